import { useState } from 'react';
import { Button } from '../parts/button.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { hasLetterKeys, setLetterKeys } from '../parts/letter-keys.ts';
import styles from './key-list.module.css';
import { PLACES } from './places.ts';

const KEYS: readonly (readonly [keys: string, does: string])[] = [
  ['Ctrl K or ⌘ K', 'search flags, requests and pages'],
  ['j, k', 'next and previous in a list'],
  ['Enter', 'open what is chosen'],
  ['a', 'approve the request that is open: it asks you to confirm'],
  ['x', 'reject the request that is open: it asks you to confirm'],
  ['c', 'comment on the request that is open'],
  ...PLACES.map(({ key, label }) => [`g ${key}`, `go to ${label}`] as const),
  ['?', 'this list'],
];

/** Help, and the keys. */
export function KeyList({ onClose }: { onClose: () => void }) {
  const [isOn, setOn] = useState(hasLetterKeys);
  return (
    <Dialog title="Help and keys" onClose={onClose}>
      <p>
        Who can approve a change stands on the page of its request, beside each thing that is missing. The
        command line has the same calls: <code>countersign --help</code>.
      </p>
      <dl className={styles.keys}>
        {KEYS.map(([keys, does]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <p>No key changes anything by itself. Letters do nothing while you type in a field.</p>
      <Button
        onPress={() => {
          setLetterKeys(!isOn);
          setOn(!isOn);
        }}
      >
        {isOn ? 'Turn keys of one letter off' : 'Turn keys of one letter on'}
      </Button>
    </Dialog>
  );
}
