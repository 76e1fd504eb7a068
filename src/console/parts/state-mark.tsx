import type { RequestView } from '../../requests/view.ts';
import { STATE_WORDS } from './request-words.ts';
import styles from './state-mark.module.css';

/** What each state looks like besides its word and its colour. */
const SHAPES: Readonly<Record<RequestView['state'], string>> = {
  pending: 'M8 4v4l3 2',
  ready: 'M6 5l5 3-5 3z',
  applied: 'M4.5 8.5l2.5 2.5 5-5.5',
  rejected: 'M5.5 5.5l5 5m0-5l-5 5',
  withdrawn: 'M11 8H5m2.5-2.5L5 8l2.5 2.5',
  expired: 'M5 5l6 6M8 4v4',
  conflicted: 'M8 4v5m0 2v.5',
};

const TONES: Readonly<Record<RequestView['state'], string>> = {
  pending: 'wait',
  ready: 'wait',
  applied: 'good',
  rejected: 'bad',
  withdrawn: 'calm',
  expired: 'calm',
  conflicted: 'bad',
};

/** The state of a request: a word, a shape and a colour, of which the word is enough. */
export function StateMark({ state }: { state: RequestView['state'] }) {
  return (
    <span className={`${styles.mark} ${styles[TONES[state]]}`}>
      <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
        <circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" strokeWidth="1.5" />
        <path
          d={SHAPES[state]}
          fill="none"
          stroke="currentColor"
          strokeWidth="1.5"
          strokeLinecap="round"
          strokeLinejoin="round"
        />
      </svg>
      {STATE_WORDS[state]}
    </span>
  );
}
