import { useState } from 'react';
import { announce } from './announce.tsx';
import { Button } from './button.tsx';
import styles from './command.module.css';
import { safeText } from './unsafe-text.ts';
import { Untrusted } from './untrusted.tsx';

/** Something to type elsewhere, with a button that copies it. */
export function Command({ text, what = 'command' }: { text: string; what?: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = () => {
    navigator.clipboard.writeText(text).then(
      () => {
        setCopied(true);
        announce(`The ${what} is copied.`);
      },
      () => announce('The browser did not let it be copied. Select the text instead.'),
    );
  };
  return (
    <div className={styles.command}>
      <pre>
        <code>
          <Untrusted text={text} />
        </code>
      </pre>
      <Button label={safeText(`Copy the ${what}: ${text.split('\n', 1)[0]}`)} onPress={copy}>
        {isCopied ? 'Copied' : 'Copy'}
      </Button>
    </div>
  );
}
