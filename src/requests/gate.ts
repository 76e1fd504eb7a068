import type { Plan } from '../decide/plan.ts';
import { canonicalJson, sha256Hex } from '../json.ts';
import type { Obligation } from '../policy/decision.ts';
import { approvalsIn } from '../policy/variations.ts';

/** What a gate depends on. */
interface Waiting {
  id: string;
  kind: string;
  state: string;
  environment: string | null;
  plan: Pick<Plan, 'changes'>;
  standing: { obligations: readonly Obligation[] };
}

/**
 * What pending requests share that want the same approvals for the same reasons: their place, what the rules of a policy look
 * at, and the approvals that are missing. The inbox of a person asks the policy about one request of each gate, and finds
 * the others by an index. Requests of other kinds than `flag.change` are few, and each has a gate of its own.
 *
 * @returns null for a request that waits for nobody's approval
 */
export function gateOf({ id, kind, state, environment, plan, standing }: Waiting): string | null {
  if (state !== 'pending') return null;
  if (kind !== 'flag.change') return id;
  const judged = plan.changes.map(({ flag, action, facts }) => [
    ...[flag.namespace, flag.tier, flag.kind, flag.owner],
    ...[facts.scope, facts.direction, facts.tier_lowered_from, facts.exception_used, action === 'create'],
  ]);
  const missing = approvalsIn(standing.obligations).map(({ role, organization }) => [
    role,
    organization ?? null,
  ]);
  const about = [environment, [...new Set(judged.map(canonicalJson))].sort(), missing];
  return sha256Hex(canonicalJson(about)).slice(0, 32);
}
