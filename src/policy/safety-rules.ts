import type { ChangeFacts, InputChange } from '../flags/change-facts.ts';
import type { BrokerData } from './data.ts';

/**
 * Which changes make things safer, for the guardrails (invariants 7 and 8 of the design). The rules are kept by version of
 * the guardrails, so that a replay answers as it was then.
 */

/** The rules of one version. */
export interface SafetyRules {
  /** Whether a change may pass a freeze. */
  passesFreeze(change: InputChange, data: ExposureOrders): boolean;
  /** Whether a change may be made in a break-glass session. */
  passesBreakglass(change: InputChange, data: ExposureOrders): boolean;
  /** Why a change may not, and what to do. */
  breakglassUnsafe: string;
  /** Why a freeze holds a change back. @param incidents of the freezes */
  frozen(incidents: readonly string[]): string;
}

type ExposureOrders = Pick<BrokerData, 'exposure_order'>;

/** The present rules: what is not shown to be safe is not safe, and what changes nothing is not an emergency. */
export const SAFETY: SafetyRules = {
  passesFreeze: (change, data) => isSafer(change, data) && change.facts.direction !== 'neutral',
  passesBreakglass: (change, data) =>
    isSafer(change, data) && (change.facts.direction !== 'neutral' || change.facts.returns_to !== null),
  breakglassUnsafe:
    'Break-glass may switch off, narrow, or return to an earlier version, if every context is then served the value of ' +
    'before or the safe variant. Propose any other change.',
  // An incident is told to those alone who may read freezes.
  frozen: () => 'Writes are frozen. GET /v1/freezes lists the freezes that you may read.',
};

/** The rules of versions 1 and 2. They took a swap of one variant for another as safe. */
export const SAFETY_V1: SafetyRules = {
  passesFreeze: ({ facts }) => isDownward(facts),
  passesBreakglass: ({ facts }) =>
    isDownward(facts) ||
    (facts.scope === 'state' &&
      facts.returns_to !== null &&
      !facts.audience_grew &&
      facts.direction !== 'on'),
  breakglassUnsafe:
    'Break-glass may switch off, narrow, or return to an earlier version; it cannot switch on.',
  frozen: (incidents) => `Writes are frozen (${incidents.join(', ')}).`,
};

function isDownward({ scope, direction }: ChangeFacts): boolean {
  return scope === 'state' && (direction === 'off' || direction === 'narrow');
}

function isSafer({ flag, facts }: InputChange, { exposure_order }: ExposureOrders): boolean {
  if (facts.scope !== 'state' || facts.audience_grew || facts.direction === 'on') return false;
  // Version 1 of the input has no fact of safety; there, every direction but `widen` is certain.
  const isShown = facts.safe ?? facts.direction !== 'widen';
  return isShown || isLessExposed(facts.swaps ?? [], exposure_order.get(flag.key) ?? []);
}

/** True if there are swaps, and each is of a variant for one that is not more exposed, in an order that has both. */
function isLessExposed(swaps: NonNullable<ChangeFacts['swaps']>, order: readonly string[]): boolean {
  return (
    swaps.length > 0 &&
    swaps.every(({ from, to }) => order.includes(to) && order.indexOf(to) <= order.indexOf(from))
  );
}
