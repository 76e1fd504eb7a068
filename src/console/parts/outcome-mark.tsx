import styles from './state-mark.module.css';

const LOOKS = {
  allow: { word: 'Allowed', tone: 'good', shape: 'M4.5 8.5l2.5 2.5 5-5.5' },
  hold: { word: 'Held', tone: 'wait', shape: 'M8 4v4l3 2' },
  deny: { word: 'Denied', tone: 'bad', shape: 'M5.5 5.5l5 5m0-5l-5 5' },
} as const;

/** What a policy answered: a word, a shape and a colour, of which the word is enough. */
export function OutcomeMark({ effect }: { effect: keyof typeof LOOKS }) {
  const { word, tone, shape } = LOOKS[effect];
  return (
    <span className={`${styles.mark} ${styles[tone]}`}>
      <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
        <circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" strokeWidth="1.5" />
        <path d={shape} fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" />
      </svg>
      {word}
    </span>
  );
}
