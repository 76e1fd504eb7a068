import type { FlagDefinition, FlagState } from '../../src/flags/model.ts';

/** The moment that flag tests take for now. */
export const NOW_MS = Date.UTC(2026, 10, 21, 12);

/** A flag with a safe variant and two others. */
export function sampleDefinition(changes: Partial<FlagDefinition> = {}): FlagDefinition {
  return {
    key: 'checkout.new-flow',
    namespace: 'checkout',
    kind: 'release',
    tier: 'operational',
    owner: 'team-checkout',
    purpose: 'Moves organizations to the new checkout.',
    variants: { off: 'old', on: 'new', alt: 'newer' },
    safe_variant: 'off',
    created_ms: NOW_MS - 1000,
    expires_ms: null,
    retirement: 'All organizations are moved.',
    review_every_days: null,
    contract: null,
    retired: false,
    ...changes,
  };
}

/** A state that serves `on` to everybody. */
export function sampleState(changes: Partial<FlagState> = {}): FlagState {
  return {
    enabled: true,
    default_variant: 'on',
    audience: { kind: 'all' },
    rules: [],
    rollout: null,
    ...changes,
  };
}

/** A documented exception for a single user. */
export function exceptionUntil(untilMs: number) {
  return { reason: 'Pilot user, agreed in writing.', until_ms: untilMs };
}
