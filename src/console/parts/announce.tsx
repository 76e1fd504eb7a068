import { useSyncExternalStore } from 'react';
import styles from './announce.module.css';
import { safeText } from './unsafe-text.ts';

/*
 * One live region for the whole console: what happened, for whoever does not see it happen. WCAG 4.1.3
 */

let said = '';
const listeners = new Set<() => void>();

/** Says what happened, politely. The text may be of others. */
export function announce(text: string): void {
  said = safeText(text);
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The region itself. */
export function Announcer() {
  const text = useSyncExternalStore(subscribe, () => said);
  return (
    <div role="status" aria-live="polite" className={styles.hidden}>
      {text}
    </div>
  );
}
