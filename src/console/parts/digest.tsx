import { useState } from 'react';
import { announce } from './announce.tsx';
import { Button } from './button.tsx';
import { shortDigest } from './request-words.ts';

/** A digest: its beginning to compare by eye, and the whole of it to copy with one press. */
export function Digest({ digest, of }: { digest: string; of: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = () => {
    navigator.clipboard.writeText(digest).then(
      () => {
        setCopied(true);
        announce(`The ${of} is copied.`);
      },
      () => announce(`The browser did not let it be copied: ${digest}`),
    );
  };
  return (
    <span title={digest}>
      <code>{shortDigest(digest)}</code>{' '}
      <Button kind="quiet" label={`Copy the ${of}`} onPress={copy}>
        {isCopied ? 'Copied' : 'Copy'}
      </Button>
    </span>
  );
}
