import { BrokerError } from '../errors.ts';
import type { Capability } from '../operations.ts';
import type { AccessAnswer } from '../policy/access.ts';
import type { Principal } from '../policy/input.ts';
import type { Policy } from '../policy/policies.ts';
import { ANY_PLACE, listGrantUses, listPrincipals } from '../store/principals.ts';
import type { GrantUsesTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { ownPrincipals } from '../use-case/own-principals.ts';
import type { ControlDeps } from '../use-case/use-case.ts';

/** What of the answer is wanted; every part is optional. */
export interface AccessFilter {
  /** A principal's id, or a person. */
  principal?: string | undefined;
  capability?: Capability | undefined;
  environment?: string | undefined;
  namespace?: string | undefined;
  /** Only what nobody has used within `unused_days`. */
  unused?: boolean | undefined;
}

type Grant = AccessAnswer['grants'][number];
type Binding = AccessAnswer['bindings'][number];

/** One thing that one principal may do somewhere, by one binding. */
export interface GrantView {
  principal: { id: string; kind: Principal['kind']; person: string | null; blocked: boolean };
  capability: string;
  environment: string;
  /** A namespace, or `*` for all of them. */
  namespace: string;
  binding: Grant['binding'];
  last_used_ms: number | null;
  unused: boolean;
}

/** One binding of the policy's data, whoever holds it. */
export interface BindingView extends Binding {
  /** How many of the known principals hold it. */
  holders: number;
  last_used_ms: number | null;
  unused: boolean;
}

/** Who may do what, by which binding, and when it was used last. */
export interface AccessView {
  policy_hash: string;
  at_ms: number;
  unused_days: number;
  grants: GrantView[];
  bindings: BindingView[];
}

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Computes from the active bundle who of the known principals may do what. The policy derives the roles, as for each
 * decision; what it says of a principal is by the groups and claims that they showed last.
 *
 * @param options.unused_days how many days without a use make a grant unused
 * @throws BrokerError `not_supported` when the active bundle has no entry point `countersign/access`
 */
export async function computeAccess(
  { store, policies, revocations, clock }: ControlDeps,
  options: { filter: AccessFilter; unused_days: number },
): Promise<AccessView> {
  const { filter, unused_days } = options;
  const policy = await policies.active(store.read);
  const atMs = clock();
  const principals = await knownPrincipals(store.read);
  const { grants, bindings } = judge(policy, [...principals.values()]);
  const uses = usesByPrincipal(await listGrantUses(store.read));
  const isUnused = (last: number | null) => last === null || last < atMs - unused_days * DAY_MS;
  const blocked = new Map<string, boolean>();
  for (const [id, principal] of principals)
    blocked.set(id, await revocations.isBlocked(store.read, principal));

  const views = grants.map((grant): GrantView => {
    const principal = principals.get(grant.principal);
    const last = lastUse(uses.get(grant.principal) ?? [], grant);
    return {
      ...grant,
      principal: {
        id: grant.principal,
        kind: principal?.kind ?? 'person',
        person: principal?.person ?? null,
        blocked: blocked.get(grant.principal) ?? false,
      },
      last_used_ms: last,
      unused: isUnused(last),
    };
  });
  const held = Map.groupBy(views, ({ binding }) => nameOf(binding));
  return {
    policy_hash: policy.hash,
    at_ms: atMs,
    unused_days,
    grants: views.filter((view) => isWanted(view, filter)),
    bindings: bindings
      .map((binding): BindingView => {
        const holding = held.get(nameOf(binding)) ?? [];
        const last = latest(holding.map((view) => view.last_used_ms));
        const holders = new Set(holding.map((view) => view.principal.id)).size;
        return { ...binding, holders, last_used_ms: last, unused: isUnused(last) };
      })
      .filter((view) => filter.unused !== true || view.unused),
  };
}

/** Everybody who was ever seen, and the broker's own principals. */
async function knownPrincipals(db: Db): Promise<Map<string, Principal>> {
  const seen = (await listPrincipals(db)).map((row) => JSON.parse(row.principal) as Principal);
  return new Map([...ownPrincipals, ...seen].map((principal) => [principal.id, principal]));
}

function judge(policy: Policy, principals: readonly Principal[]): AccessAnswer {
  const answer = policy.access(principals);
  if (answer !== null) return answer;
  throw new BrokerError(
    'not_supported',
    'The active policy bundle has no entry point countersign/access; add one, as docs/policy.md says.',
  );
}

function usesByPrincipal(uses: readonly GrantUsesTable[]): Map<string, GrantUsesTable[]> {
  return Map.groupBy(uses, (use) => use.principal_id);
}

/** The last use that the grant could have been for; a use is noted for every binding that grants it. */
function lastUse(uses: readonly GrantUsesTable[], grant: Grant): number | null {
  const fits = (of: string, used: string) => of === '*' || used === ANY_PLACE || of === used;
  return latest(
    uses
      .filter(
        (use) =>
          use.capability === grant.capability &&
          fits(grant.environment, use.environment) &&
          fits(grant.namespace, use.namespace),
      )
      .map((use) => use.last_ms),
  );
}

function latest(moments: readonly (number | null)[]): number | null {
  return moments.reduce<number | null>(
    (last, at) => (at !== null && (last === null || at > last) ? at : last),
    null,
  );
}

function isWanted(view: GrantView, filter: AccessFilter): boolean {
  const { principal, capability, environment, namespace, unused } = filter;
  return (
    (principal === undefined || principal === view.principal.id || principal === view.principal.person) &&
    (capability === undefined || capability === view.capability) &&
    (environment === undefined || environment === view.environment) &&
    (namespace === undefined || view.namespace === '*' || namespace === view.namespace) &&
    (unused !== true || view.unused)
  );
}

function nameOf({ by, issuer, key, index }: Grant['binding']): string {
  return JSON.stringify([by, issuer, key, index]);
}
