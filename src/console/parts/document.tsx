import { type ReactNode, useState } from 'react';
import { Button } from './button.tsx';
import styles from './document.module.css';
import { saveAs } from './download.ts';
import { safeText } from './unsafe-text.ts';

/** A JSON document that opens where it stands. It is written out only when it is opened: some are large. */
export function JsonDocument({ title, value, file }: { title: ReactNode; value: unknown; file?: string }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details className={styles.document} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>{title}</summary>
      {isOpen && (
        <>
          <Code text={JSON.stringify(value, null, 2)} label="As JSON" />
          {file !== undefined && (
            <Button onPress={() => saveAs(file, `${JSON.stringify(value, null, 2)}\n`)}>
              Save as {file}
            </Button>
          )}
        </>
      )}
    </details>
  );
}

/** Text with its line breaks, which scrolls by itself, also by keyboard. */
export function Code({ text, label }: { text: string; label: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard. WCAG 2.1.1
    <section className={styles.code} tabIndex={0} aria-label={label}>
      <pre>{safeText(text)}</pre>
    </section>
  );
}
