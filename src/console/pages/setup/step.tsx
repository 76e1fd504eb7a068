import type { ReactNode } from 'react';
import styles from './setup.module.css';

/** How far a step is, as far as the person may know. */
export type StepState = 'done' | 'todo' | 'unknown' | 'later';

const WORDS: Readonly<Record<StepState, string>> = {
  done: '✓ done',
  todo: '○ missing',
  unknown: '? not known to you',
  later: '→ later',
};

/** A step of the set-up. */
export function Step({ state, title, children }: { state: StepState; title: string; children: ReactNode }) {
  return (
    <li className={styles.step}>
      <div className={styles.head}>
        <h2>{title}</h2>
        <span className={styles[state]}>{WORDS[state]}</span>
      </div>
      {children}
    </li>
  );
}
