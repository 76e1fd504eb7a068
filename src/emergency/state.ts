import { type Effect, EVERY_NAMESPACE, type Place } from '../decide/control.ts';
import type { InputChange } from '../flags/change-facts.ts';
import type { FreezeScope, InputFreeze, PolicyInput } from '../policy/input.ts';
import { resolvePerson } from '../policy/persons.ts';
import type { Policy } from '../policy/policies.ts';
import { liftFreeze, listActiveFreezes, listOpenersSince, listOpenSessions } from '../store/emergency.ts';
import { findDefinition } from '../store/flags.ts';
import type { BreakglassSessionsTable, FreezesTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { heldByFreeze, wake } from '../store/wakes.ts';

/*
 * Emergencies: freezes and break-glass sessions. A freeze is engaged here and lifted by a request. The changes of a
 * session are requests too (`requests/break-glass.ts`). It writes freezes and sessions, and never a flag.
 */

/** The emergency part of a policy input. */
export type Emergency = PolicyInput['emergency'];

/** The period of the break-glass budget. */
const BUDGET_WINDOW_MS = 7 * 24 * 60 * 60 * 1000;

/**
 * Reads the emergency state that applies to some changes, as `db` sees it. In the writing transaction, that is the state
 * that governs this write (design invariant 7).
 */
export async function loadEmergency(
  db: Db,
  about: {
    changes: readonly InputChange[];
    /** Whether a freeze covers the request as a whole, whatever it changes. */
    isCoveredBy?: ((freeze: FreezeScope) => boolean) | undefined;
    environment: string | null;
    person: string | null;
    policy: Policy;
    now_ms: number;
  },
): Promise<Emergency> {
  const freezes = (await listActiveFreezes(db)).map(toInputFreeze).filter((freeze) => {
    if (about.isCoveredBy?.(freeze) === true) return true;
    return about.changes.some((change) => isCovered(freeze, change, about.environment));
  });
  const session = about.person === null ? undefined : await findOpenSession(db, about.person, about);
  return {
    frozen: freezes.length > 0,
    freezes,
    engage: null,
    breakglass: session === undefined ? null : toInputSession(session),
    breakglass_recent: 0,
  };
}

/** The open, unexpired break-glass session of the human behind a name, or undefined. */
export async function findOpenSession(
  db: Db,
  person: string,
  { policy, now_ms }: { policy: Policy; now_ms: number },
): Promise<BreakglassSessionsTable | undefined> {
  const human = resolvePerson(policy, person);
  const open = await listOpenSessions(db, now_ms);
  return open.find((session) => resolvePerson(policy, session.person) === human);
}

/** The number of sessions that count against the weekly budget of the human behind a name, under whatever name. */
export async function countRecentSessions(
  db: Db,
  person: string,
  { policy, now_ms }: { policy: Policy; now_ms: number },
): Promise<number> {
  const human = resolvePerson(policy, person);
  const openers = await listOpenersSince(db, now_ms - BUDGET_WINDOW_MS);
  return openers.filter((opener) => resolvePerson(policy, opener) === human).length;
}

/** Whether a freeze covers a change. A definition applies to every environment, so a freeze of any of them covers it. */
function isCovered(freeze: FreezeScope, change: InputChange, environment: string | null): boolean {
  switch (freeze.scope) {
    case 'all':
      return true;
    case 'environment':
      return change.facts.scope === 'definition' || freeze.environment === environment;
    case 'namespace':
      return freeze.namespace === change.flag.namespace && isSameEnvironment(freeze, change, environment);
    case 'flag':
      return freeze.flag === change.flag.key && isSameEnvironment(freeze, change, environment);
  }
}

/** A freeze of a namespace or a flag may be limited to one environment. */
function isSameEnvironment(freeze: FreezeScope, change: InputChange, environment: string | null): boolean {
  return (
    freeze.environment === null || change.facts.scope === 'definition' || freeze.environment === environment
  );
}

/** A freeze in the policy's input. */
export function toInputFreeze(row: FreezesTable): InputFreeze {
  return {
    id: row.id,
    scope: row.scope as FreezeScope['scope'],
    environment: row.environment,
    namespace: row.namespace,
    flag: row.flag,
    incident: row.incident,
    reason: row.reason,
  };
}

/** A break-glass session in the policy's input. */
export function toInputSession(row: BreakglassSessionsTable): NonNullable<Emergency['breakglass']> {
  return {
    id: row.id,
    opened_ms: row.opened_ms,
    expires_ms: row.expires_ms,
    incident: row.incident,
    reason: row.reason,
  };
}

/** The place whose readers may see a freeze. A flag that does not exist yet belongs to no namespace. */
export async function placeOfFreeze(
  db: Db,
  freeze: Pick<FreezesTable, 'environment' | 'namespace' | 'flag'>,
): Promise<Place> {
  const { environment, namespace, flag } = freeze;
  if (flag === null) return { environment, namespace };
  const found = await findDefinition(db, flag);
  return { environment, namespace: found?.namespace ?? EVERY_NAMESPACE };
}

/** Freezes, each with the place whose readers may see it. */
export async function placeFreezes<Freeze extends Parameters<typeof placeOfFreeze>[1]>(
  db: Db,
  freezes: readonly Freeze[],
): Promise<{ freeze: Freeze; place: Place }[]> {
  const placed = [];
  for (const freeze of freezes) placed.push({ freeze, place: await placeOfFreeze(db, freeze) });
  return placed;
}

/**
 * The namespaces whose readers may see a request to lift a freeze; none: readers of any. Only roles in every namespace may
 * lift the freeze of a flag.
 */
export function namespacesOfFreeze({ namespace, flag }: FreezeScope): string[] {
  if (flag !== null) return [EVERY_NAMESPACE];
  return namespace === null ? [] : [namespace];
}

/** The effect of a request that lifts a freeze. */
export function freezeLifted(freeze: FreezesTable): Effect {
  const { id, scope, environment, namespace, flag } = freeze;
  return {
    carryOut: async ({ tx, now_ms, deps, afterCommit }, { request_id }) => {
      await liftFreeze(tx, id, { request_id, at_ms: now_ms });
      await wake(tx, deps.newId(now_ms), heldByFreeze(id));
      afterCommit(deps.events.freezesChanged);
      return { freeze: { change: 'lifted', id, scope, environment, namespace, flag } };
    },
  };
}
