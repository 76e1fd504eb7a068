import type { Authorship, PersonNames, RevocationChecks, Revocations } from '../decide/revocations.ts';
import type { Caller } from '../identity/credential.ts';
import {
  covers,
  namesOf,
  namesOfPrincipal,
  type Resolve,
  revocableName,
  shownBy,
} from '../identity/revocable.ts';
import type { Revocation } from '../identity/revocations.ts';
import { isPrincipalId, type Principal } from '../principal.ts';
import { isUnconfirmed } from './authored-parts.ts';

/*
 * Everything about revocation: the list that callers are checked against, adding and lifting, the consequences (sessions
 * end, approvals become void, requests are parked), revoking in an incident, provisioning (SCIM), and the drill.
 */

/** The storage of revocations. */
export interface RevocationStore<Db> {
  epoch(db: Db): Promise<string | null>;
  list(db: Db): Promise<readonly Revocation[]>;
}

/** Caches the list of revocations. @param deps.latestNames the names under the policy of the last known commit */
export function createRevocations<Db>(deps: {
  store: RevocationStore<Db>;
  latestNames: () => PersonNames;
}): Revocations<Db> {
  const { store, latestNames } = deps;
  let known: KnownList = { epoch: undefined, names: null, list: new Map(), all: [], judged: new WeakMap() };
  /** The list as of the last committed read; a write that is rolled back never affects it. */
  let latest = known;
  let reading: Promise<void> | null = null;
  let begun = 0;
  let taken = 0;
  let checks: { version: string; of: RevocationChecks<Db> } | null = null;

  /** The same rows have other names under another policy. */
  async function present(db: Db, names: PersonNames): Promise<KnownList> {
    const epoch = await store.epoch(db);
    if (epoch === known.epoch && names.version === known.names?.version) return known;
    const revocations = (await store.list(db)).map((revocation) => underNames(revocation, names.resolve));
    known = { epoch, names, list: indexed(revocations), all: revocations, judged: new WeakMap() };
    return known;
  }

  function hitByLatest(caller: Caller): Revocation | null {
    const { names, list, judged } = latest;
    if (names === null || list.size === 0) return null;
    let hit = judged.get(caller);
    if (hit === undefined) {
      hit = findHit(list, caller, names.resolve);
      judged.set(caller, hit);
    }
    return hit;
  }

  function under(names: PersonNames): RevocationChecks<Db> {
    if (checks?.version !== names.version) checks = { version: names.version, of: createChecks(names) };
    return checks.of;
  }

  function createChecks(names: PersonNames): RevocationChecks<Db> {
    const { resolve } = names;
    const alone = (revocation: Revocation) => {
      const all = [underNames(revocation, resolve)];
      return { list: indexed(all), all };
    };
    const isBlockedBy = (list: RevocationList, principal: Principal) =>
      namesOfPrincipal(principal, resolve).some((name) => (list.get(name) ?? []).some(holdsForEver));
    return {
      hit: async (db, caller) => findHit((await present(db, names)).list, caller, resolve),
      isBlocked: async (db, principal) => isBlockedBy((await present(db, names)).list, principal),
      unblocked: async (db, principals) => {
        const { list } = await present(db, names);
        return list.size === 0 ? [...principals] : principals.filter((each) => !isBlockedBy(list, each));
      },
      parksAnybody: async (db) =>
        (await present(db, names)).all.some((each) => parks(each) || isIncident(each)),
      isParked: async (db, authorship) => isParkedBy(await present(db, names), authorship, resolve),
      wouldPark: (revocation, authorship) => isParkedBy(alone(revocation), authorship, resolve),
      look: async (db, caller) => {
        const { list } = await present(db, names);
        return { hit: findHit(list, caller, resolve), ended: endedBy(list, caller) };
      },
      isHit: (revocation, caller) => findHit(alone(revocation).list, caller, resolve) !== null,
    };
  }

  async function follow(db: Db): Promise<void> {
    begun += 1;
    const mine = begun;
    const list = await present(db, latestNames());
    // Reads may overlap; one that began earlier must not undo a later one.
    if (mine < taken) return;
    taken = mine;
    latest = list;
  }

  return {
    under,
    latest: () => under(latestNames()),
    hitByLatest: (caller) => {
      if (reading === null) return hitByLatest(caller);
      // If the store does not answer, the cached list is used: flag reads do not depend on the store.
      const answer = () => hitByLatest(caller);
      return reading.then(answer, answer);
    },
    refresh: (db) => {
      const mine = follow(db).finally(() => {
        if (reading === mine) reading = null;
      });
      reading = mine;
      return mine;
    },
    follow,
  };
}

/** The list, its epoch in the store, and the names that it uses. */
interface KnownList {
  /** Undefined before anything was read. */
  epoch: string | null | undefined;
  names: PersonNames | null;
  list: RevocationList;
  all: readonly Revocation[];
  /** What flag reads have found for a caller in this list: the same one reads thousands of times. */
  judged: WeakMap<Caller, Revocation | null>;
}

/** A person who was revoked under a name from an earlier policy stays revoked. */
function underNames<R extends Revocation>(revocation: R, resolve: Resolve): R {
  const { kind, value, person } = revocation;
  return {
    ...revocation,
    value: kind === 'subject' && !isPrincipalId(value) ? resolve(value) : value,
    person: person === null ? null : resolve(person),
  };
}

/** Revocations by kind and value, for look-ups in constant time. */
type RevocationList = ReadonlyMap<string, readonly Revocation[]>;

/** The key that finds a revoked account by its person, because requests name their authors by person. It is not a kind. */
const ACCOUNT_OF = 'account-of';

function indexed(revocations: readonly Revocation[]): RevocationList {
  const accounts = revocations.filter(({ person }) => person !== null);
  return new Map([
    ...Map.groupBy(revocations, ({ kind, value }) => revocableName(kind, value)),
    ...Map.groupBy(accounts, ({ person }) => revocableName(ACCOUNT_OF, person ?? '')),
  ]);
}

function findHit(list: RevocationList, caller: Caller, resolve: Resolve): Revocation | null {
  if (list.size === 0) return null;
  for (const { names, issued_ms } of shownBy(caller, resolve)) {
    for (const name of names) {
      const found = list.get(name)?.find((revocation) => covers(revocation, issued_ms));
      if (found !== undefined) return found;
    }
  }
  return null;
}

function isParkedBy(
  { list, all }: Pick<KnownList, 'list' | 'all'>,
  { proposer, authors, parts }: Authorship,
  resolve: Resolve,
): boolean {
  const persons = [...authors, ...(proposer.person === null ? [] : [proposer.person])].map(resolve);
  const names = [
    ...namesOfPrincipal(proposer, resolve),
    ...parts.flatMap((part) => namesOf(part, resolve)),
    ...persons.flatMap((name) => [revocableName('subject', name), revocableName(ACCOUNT_OF, name)]),
  ];
  if (names.some((name) => (list.get(name) ?? []).some(parks))) return true;
  return isUnconfirmed(parts, all, {
    isNamed: ({ kind, value }, part) => namesOf(part, resolve).includes(revocableName(kind, value)),
    isHuman: (one, other) => one !== null && other !== null && resolve(one) === resolve(other),
  });
}

function endedBy(list: RevocationList, { principal, credential }: Caller): Revocation[] {
  if (list.size === 0) return [];
  const found = list.get(revocableName('subject', principal.id)) ?? [];
  return found.filter((logout) => isOpenLogout(logout) && !covers(logout, credential.issued_ms));
}

function isIncident({ cause }: Revocation): boolean {
  return cause === 'incident';
}

/** Whether it parks the requests of its subject. */
function parks(revocation: Revocation): boolean {
  return holdsForEver(revocation) || isOpenLogout(revocation);
}

function isOpenLogout({ kind, cause, issued_before_ms, returned_ms }: Revocation): boolean {
  return kind === 'subject' && cause === 'logout' && issued_before_ms !== null && returned_ms === null;
}

function holdsForEver({ issued_before_ms }: Revocation): boolean {
  return issued_before_ms === null;
}
