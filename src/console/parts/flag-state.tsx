import type { FlagState } from '../../flags/model.ts';
import { sharesInWords } from './change-words.ts';
import styles from './flag-state.module.css';

/** The state of a flag in one environment in a few words: on or off, for whom, and which share of them. */
export function FlagStateMark({ state }: { state: FlagState | null | undefined }) {
  if (state === null || state === undefined) return <span className={styles.calm}>never set</span>;
  if (!state.enabled) return <span className={styles.off}>off</span>;
  const { audience, rollout, rules } = state;
  const who =
    audience.kind === 'some'
      ? `${audience.organizations.length} org${audience.organizations.length === 1 ? '' : 's'}${audience.users.length === 0 ? '' : `, ${audience.users.length} users`}`
      : audience.kind === 'all'
        ? 'everybody'
        : 'nobody';
  const share = rollout?.map(({ percent }) => `${percent} %`).join(' / ');
  return (
    <span className={styles.on} title={rollout === null ? undefined : sharesInWords(rollout)}>
      <strong>on</strong> {who}
      {share !== undefined && `, ${share}`}
      {rules.length > 0 && `, ${rules.length} rule${rules.length === 1 ? '' : 's'}`}
    </span>
  );
}
