import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import { BrokerError } from '../errors.ts';
import { DAY_MS, epochMs } from '../moment.ts';
import { CAPABILITIES, type Capability } from '../operations.ts';
import { foldPerson } from '../person-name.ts';
import type { AccessAnswer } from '../policy/access.ts';
import type { Policy } from '../policy/policies.ts';
import { ownPrincipals, type Principal, principalSchema } from '../principal.ts';
import { findActivationByNumber, listBootstraps } from '../store/policies.ts';
import { ANY_PLACE, listGrantUses, listPrincipals } from '../store/principals.ts';
import type { GrantUsesTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { type FlagReading, flagReadings, readingsOf } from './flag-readers.ts';
import { accessOfStages } from './staged-access.ts';

/*
 * Access: who can do what, by which binding, and which grants are unused. It evaluates the active bundle's second entry
 * point and reads the usage data of `usage.ts`. It decides nothing, and writes nothing but usage data.
 */

/** The filter of the answer; every part is optional. */
export interface AccessFilter {
  /** A principal's id, or a person. */
  principal?: string | undefined;
  capability?: Capability | undefined;
  environment?: string | undefined;
  namespace?: string | undefined;
  /** Only grants that were not used within `unused_days`. */
  unused?: boolean | undefined;
}

const bindingName = {
  by: z.enum(['group', 'claim', 'trust_rule', 'principal', 'audience']),
  issuer: z.string().nullable().meta({ description: 'The issuer of the group or claim; otherwise null.' }),
  key: z.string().meta({
    description: "The group, `claim=value`, the trust rule (also for `audience`) or the principal's id.",
  }),
  index: z.int().min(0).meta({ description: 'Its index, from 0, in the list under that key.' }),
  stage: z.string().optional().meta({
    description: 'The earlier stage whose data has it; absent if the data of the last, or only, stage has.',
  }),
};
const capabilitySchema = z.enum(CAPABILITIES);
const usage = {
  last_used_ms: epochMs.nullable(),
  unused: z.boolean().meta({
    description: 'Whether it was not used within `unused_days`, of all of which the uses are known.',
  }),
};

/** One capability of one principal in one place, by one binding. */
const grantViewSchema = z
  .object({
    principal: principalSchema
      .pick({ id: true, kind: true, person: true })
      .strip()
      .extend({
        blocked: z.boolean().meta({ description: 'Whether the principal is disabled or revoked.' }),
      }),
    capability: capabilitySchema,
    environment: z.string(),
    namespace: z.string().meta({ description: 'A namespace, or `*` for all.' }),
    binding: z.object(bindingName).meta({ description: "The place in the policy's data that grants it." }),
    ...usage,
  })
  .meta({ id: 'Grant' });
export type GrantView = z.infer<typeof grantViewSchema>;

/** One binding of the policy's data, with or without holders. */
const bindingViewSchema = z
  .object({
    ...bindingName,
    capabilities: z.array(capabilitySchema),
    environments: z.array(z.string()),
    namespaces: z.array(z.string()),
    holders: z.int().min(0).meta({ description: 'How many of the known principals hold it.' }),
    ...usage,
  })
  .meta({ id: 'Binding' });
export type BindingView = z.infer<typeof bindingViewSchema>;

/** Who may do what, by which binding, and when it was last used. */
export const accessViewSchema = z
  .object({
    policy_hash: z.string(),
    at_ms: epochMs,
    unused_days: z.int(),
    known_since_ms: epochMs.meta({
      description: 'Since when uses are known. What was before counts as no lack of use.',
    }),
    grants: z.array(grantViewSchema),
    bindings: z.array(bindingViewSchema),
    bootstraps: z
      .array(
        z.object({
          number: z.int(),
          kind: z.enum(['first_start', 'recovery']),
          activated_ms: epochMs,
          policy_hash: z.string(),
          decision_id: z.string().nullable().meta({ description: 'Its record.' }),
        }),
      )
      .meta({
        description:
          'The activations of policies without a decision, by whoever holds the machine: the first start and recoveries.',
      }),
  })
  .meta({ id: 'Access' });
export type AccessView = z.infer<typeof accessViewSchema>;

type Grant = Omit<AccessAnswer['grants'][number], 'binding'> & Pick<GrantView, 'binding'>;
type Binding = Omit<BindingView, 'holders' | keyof typeof usage>;

/** The number of the activation that began the installation. */
const FIRST = 1;

/** The number of principals evaluated in one turn of the event loop: a few milliseconds. */
const PRINCIPALS_AT_ONCE = 100;

/**
 * Computes from the active bundle what each known principal may do. The policy derives the roles, as in every decision,
 * from the groups and claims that each principal presented last.
 *
 * @param options.unused_days the number of days without a use after which a grant counts as unused
 * @throws BrokerError `not_supported` if the active bundle has no entry point `countersign/access`
 */
export async function computeAccess(
  { store, policies, revocations, clock }: ControlDeps,
  options: { filter: AccessFilter; unused_days: number },
): Promise<AccessView> {
  const { filter, unused_days } = options;
  const policy = await policies.active(store.read);
  const atMs = clock();
  const principals = await knownPrincipals(store.read);
  const uses = usesByPrincipal(await listGrantUses(store.read));
  const known_since_ms = (await findActivationByNumber(store.read, FIRST))?.activated_ms ?? atMs;
  const firstSeen = new Map(
    (await listPrincipals(store.read)).map(({ id, first_seen_ms }) => [id, first_seen_ms]),
  );
  // Without a use, it counts as used when it became known.
  const isUnused = (last: number | null, sinceMs: number) => (last ?? sinceMs) < atMs - unused_days * DAY_MS;

  const grants: GrantView[] = [];
  const held = new Map<string, { holders: Set<string>; last: number | null }>();
  let bindings: readonly Binding[] = [];
  for (const part of partsOf([...principals.values()])) {
    const answer = judge(policy, part);
    bindings = answer.bindings;
    const shown = new Map<string, GrantView['principal']>();
    for (const known of part) {
      const { id, kind, person } = known;
      shown.set(id, { id, kind, person, blocked: await revocations.latest().isBlocked(store.read, known) });
    }
    for (const grant of answer.grants) {
      const principal = shown.get(grant.principal);
      if (principal === undefined)
        throw new Error(`the policy returned grants for ${grant.principal}, which was not in its input`);
      const last = lastUse(uses.get(grant.principal) ?? [], grant);
      const since = firstSeen.get(grant.principal) ?? known_since_ms;
      const view = { ...grant, principal, last_used_ms: last, unused: isUnused(last, since) };
      if (isWanted(view, filter)) grants.push(view);
      const name = nameOf(grant.binding);
      const holding = held.get(name) ?? { holders: new Set(), last: null };
      held.set(name, { holders: holding.holders.add(grant.principal), last: latest([holding.last, last]) });
    }
    // Yields between the parts, so that flag reads are not delayed.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return {
    policy_hash: policy.hash,
    at_ms: atMs,
    unused_days,
    known_since_ms,
    grants,
    bindings: bindings
      .map((binding): BindingView => {
        const { holders, last } = held.get(nameOf(binding)) ?? { holders: new Set(), last: null };
        return {
          ...binding,
          holders: holders.size,
          last_used_ms: last,
          unused: isUnused(last, known_since_ms),
        };
      })
      .filter((view) => filter.unused !== true || view.unused),
    bootstraps: await listBootstraps(store.read),
  };
}

/** Every principal ever seen, and the broker's own principals. */
async function knownPrincipals(db: Db): Promise<Map<string, Principal>> {
  const seen = (await listPrincipals(db)).map((row) => JSON.parse(row.principal) as Principal);
  return new Map([...ownPrincipals, ...seen].map((principal) => [principal.id, principal]));
}

function partsOf(principals: readonly Principal[]): Principal[][] {
  const count = Math.ceil(principals.length / PRINCIPALS_AT_ONCE);
  return Array.from({ length: count }, (_, place) =>
    principals.slice(place * PRINCIPALS_AT_ONCE, (place + 1) * PRINCIPALS_AT_ONCE),
  );
}

function judge(
  policy: Policy,
  principals: readonly Principal[],
): { grants: readonly Grant[]; bindings: readonly Binding[] } {
  const answer = accessOfStages(policy, principals);
  if (answer === null) {
    throw new BrokerError(
      'not_supported',
      'The active policy bundle has no entry point countersign/access; add it as described in docs/policy.md.',
    );
  }
  // Applications read flags by their trust rule's audience: the policy decides the token exchange, not each read.
  const readings = flagReadings(policy);
  const readers = principals.flatMap((principal) =>
    readingsOf(principal, readings).map((reading) => ({ principal: principal.id, ...reading })),
  );
  return {
    grants: [...answer.grants, ...readers],
    bindings: [...answer.bindings, ...[...readings.values()].map(toBinding)],
  };
}

function toBinding(readings: readonly FlagReading[]): Binding {
  const [first] = readings;
  if (first === undefined) throw new Error('a trust rule that grants no flags is not a binding');
  return {
    ...first.binding,
    capabilities: [first.capability],
    environments: [...new Set(readings.map(({ environment }) => environment))],
    namespaces: [...new Set(readings.map(({ namespace }) => namespace))],
  };
}

function usesByPrincipal(uses: readonly GrantUsesTable[]): Map<string, GrantUsesTable[]> {
  return Map.groupBy(uses, (use) => use.principal_id);
}

/** The last use that matches the grant; a use counts for every binding that grants it. */
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
    (principal === undefined || isNamed(principal, view.principal)) &&
    (capability === undefined || capability === view.capability) &&
    (environment === undefined || environment === view.environment) &&
    (namespace === undefined || view.namespace === '*' || namespace === view.namespace) &&
    (unused !== true || view.unused)
  );
}

function isNamed(name: string, { id, person }: GrantView['principal']): boolean {
  return name === id || (person !== null && foldPerson(name) === foldPerson(person));
}

function nameOf({ by, issuer, key, index, stage }: Grant['binding']): string {
  return JSON.stringify([by, issuer, key, index, stage ?? null]);
}
