import type {
  Authorship,
  PersonNames,
  RevocablePrincipal,
  RevocationChecks,
  Revocations,
} from '../decide/revocations.ts';
import { type Caller, type CredentialOrigin, nameAtIssuer } from '../identity/credential.ts';
import type { Revocation } from '../identity/revocations.ts';
import { isPrincipalId, type Principal } from '../principal.ts';
import { isUnconfirmed } from './authored-parts.ts';

/*
 * Everything about revocation: the list that callers are checked against, adding and lifting, the consequences (sessions
 * end, approvals become void, requests are parked), revoking in an incident, provisioning (SCIM), and the drill.
 */

type Resolve = PersonNames['resolve'];

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
    ...Map.groupBy(revocations, ({ kind, value }) => nameOf(kind, value)),
    ...Map.groupBy(accounts, ({ person }) => nameOf(ACCOUNT_OF, person ?? '')),
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

/** The credential of a caller and those it was issued for, each with the names that it can be revoked under. */
function shownBy(
  { principal, credential }: Caller,
  resolve: Resolve,
): { names: string[]; issued_ms: number }[] {
  const own = [...credentialNames(credential, principal.kind), ...namesOfPrincipal(principal, resolve)];
  const origins = (credential.origins ?? []).map((origin) => ({
    names: [
      ...credentialNames(origin, origin.kind),
      nameOf('subject', origin.principal),
      // The person behind an agent is its sponsor, whose credential this then is.
      ...(origin.kind === 'person' ? personNames(principal, resolve) : []),
    ],
    issued_ms: origin.issued_ms,
  }));
  return [{ names: own, issued_ms: credential.issued_ms }, ...origins];
}

/** The names under which a credential can be revoked, whatever its principal. */
function credentialNames(
  { issuer, token_id, session, kid }: Pick<CredentialOrigin, 'issuer' | 'token_id' | 'session' | 'kid'>,
  kind: Principal['kind'],
): string[] {
  return [
    nameOf('token', nameAtIssuer(issuer, token_id)),
    nameOf('session', token_id),
    ...(session === null ? [] : [nameOf('session', session)]),
    ...(kid === null ? [] : [nameOf('key', kid)]),
    // The issuer of the token itself, in addition to the issuer of the principal.
    nameOf('issuer', issuer),
    nameOf('class', kind),
    nameOf('class', 'all'),
  ];
}

function personNames({ person }: Pick<Principal, 'person'>, resolve: Resolve): string[] {
  return person === null ? [] : [nameOf('subject', resolve(person))];
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
    ...persons.flatMap((name) => [nameOf('subject', name), nameOf(ACCOUNT_OF, name)]),
  ];
  if (names.some((name) => (list.get(name) ?? []).some(parks))) return true;
  return isUnconfirmed(parts, all, {
    isNamed: ({ kind, value }, part) => namesOf(part, resolve).includes(nameOf(kind, value)),
    isHuman: (one, other) => one !== null && other !== null && resolve(one) === resolve(other),
  });
}

function namesOfPrincipal(principal: Principal, resolve: Resolve): string[] {
  return namesOf({ ...principal, trust_rule: principal.token.trust_rule }, resolve);
}

function endedBy(list: RevocationList, { principal, credential }: Caller): Revocation[] {
  if (list.size === 0) return [];
  const found = list.get(nameOf('subject', principal.id)) ?? [];
  return found.filter((logout) => isOpenLogout(logout) && !covers(logout, credential.issued_ms));
}

/** The names under which a principal can be revoked. An agent is revoked with its sponsor. */
function namesOf({ id, person, issuer, trust_rule, act }: RevocablePrincipal, resolve: Resolve): string[] {
  return [
    nameOf('subject', id),
    ...personNames({ person }, resolve),
    ...(act ?? []).map((actor) => nameOf('subject', actor)),
    nameOf('issuer', issuer),
    ...(trust_rule === null ? [] : [nameOf('trust_rule', trust_rule)]),
  ];
}

function nameOf(kind: string, value: string): string {
  return `${kind} ${value}`;
}

function covers({ issued_before_ms }: Revocation, issuedMs: number): boolean {
  return issued_before_ms === null || issuedMs < issued_before_ms;
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
