import type { Audience, FlagState, Rollout } from '../../flags/model.ts';

/** Summarizes a flag's state in an environment; null when it was never set. */
export function describeState(state: FlagState | null): string {
  if (state === null) return 'off (never set here)';
  if (!state.enabled) return 'off';
  const { audience, rules, rollout, default_variant } = state;
  const shares = rollout === null ? default_variant : describeShares(rollout);
  return `on for ${describeAudience(audience)}: ${shares}${rules.length === 0 ? '' : `, ${rules.length} rules`}`;
}

/** Summarizes an audience; organizations and users are counted, not named. */
export function describeAudience(audience: Audience): string {
  return audience.kind === 'some'
    ? [`${audience.organizations.length} organizations`, `${audience.users.length} users`].join(', ')
    : audience.kind;
}

/** Lists all shares of a rollout. */
export function describeShares(rollout: Rollout): string {
  return rollout.map(({ variant, percent }) => `${variant}=${percent}%`).join(',');
}
