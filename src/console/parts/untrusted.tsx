import { Fragment } from 'react';
import { type Piece, piecesOf } from './unsafe-text.ts';
import styles from './untrusted.module.css';

/**
 * Text that others wrote: names, reasons, comments. It is shown as text in its own direction, and what could make it look like
 * another text is shown as an escape.
 */
export function Untrusted({ text }: { text: string }) {
  return (
    <bdi className={styles.text}>
      {piecesOf(text).map((piece, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: pieces have no other identity
        <Fragment key={place}>{shown(piece)}</Fragment>
      ))}
    </bdi>
  );
}

function shown({ text, why }: Piece) {
  if (why === null) return text;
  return (
    <span className={styles.mark} title={why}>
      {text}
    </span>
  );
}
