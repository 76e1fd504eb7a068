import type { Audience, FlagState, Rollout } from '../../flags/model.ts';

/** A flag's state in an environment in a few words; null where none was ever set. */
export function describeState(state: FlagState | null): string {
  if (state === null) return 'off (never set here)';
  if (!state.enabled) return 'off';
  const { audience, rules, rollout, default_variant } = state;
  const shares = rollout === null ? default_variant : describeShares(rollout);
  return `on for ${describeAudience(audience)}: ${shares}${rules.length === 0 ? '' : `, ${rules.length} rules`}`;
}

/** Who sees a flag, in a few words; organizations and users are counted, not named. */
export function describeAudience(audience: Audience): string {
  return audience.kind === 'some'
    ? [`${audience.organizations.length} organizations`, `${audience.users.length} users`].join(', ')
    : audience.kind;
}

/** All shares of a rollout. */
export function describeShares(rollout: Rollout): string {
  return rollout.map(({ variant, percent }) => `${variant}=${percent}%`).join(',');
}
