import { type Caller, nameAtIssuer, type Origin } from '../identity/credential.ts';
import type { Authorship, Editor, Revocation, Revocations } from '../identity/revocations.ts';
import type { Principal } from '../principal.ts';

/*
 * Everything about revocation: the list that callers are checked against, adding and lifting, the consequences (sessions
 * end, approvals become void, requests are parked), revoking in an incident, provisioning (SCIM), and the drill.
 */

/** The storage of revocations. */
export interface RevocationStore<Db> {
  epoch(db: Db): Promise<string | null>;
  list(db: Db): Promise<readonly Revocation[]>;
}

/**
 * Caches the list of revocations.
 *
 * @param deps.humanOf the canonical name of the human that a name stands for: a revocation covers all names of a human
 */
export function createRevocations<Db>(deps: {
  store: RevocationStore<Db>;
  humanOf: (person: string) => string;
}): Revocations<Db> {
  const { store, humanOf } = deps;
  let known: KnownList = { epoch: null, list: indexed([]), parks: false };
  /** The list as of the last committed read; a write that is rolled back never affects it. */
  let latest = known.list;
  let reading: Promise<void> | null = null;

  const hitByLatest = (caller: Caller) => findHit(latest, caller, humanOf);

  async function present(db: Db): Promise<KnownList> {
    const epoch = await store.epoch(db);
    if (epoch === known.epoch) return known;
    const revocations = await store.list(db);
    known = { epoch, list: indexed(revocations), parks: revocations.some(parks) };
    return known;
  }

  return {
    hit: async (db, caller) => findHit((await present(db)).list, caller, humanOf),
    hitByLatest: (caller) => {
      if (reading === null) return hitByLatest(caller);
      // If the store does not answer, the cached list is used: flag reads do not depend on the store.
      const answer = () => hitByLatest(caller);
      return reading.then(answer, answer);
    },
    isBlocked: async (db, principal) => {
      const { list } = await present(db);
      return namesOfPrincipal(principal, humanOf).some((name) => (list.get(name) ?? []).some(holdsForEver));
    },
    parksAnybody: async (db) => (await present(db)).parks,
    isParked: async (db, authorship) => isParkedBy((await present(db)).list, authorship, humanOf),
    wouldPark: (revocation, authorship) => isParkedBy(indexed([revocation]), authorship, humanOf),
    endedBy: async (db, { principal, credential }) => {
      const { list } = await present(db);
      const found = list.get(nameOf('subject', principal.id)) ?? [];
      return found.filter((logout) => isOpenLogout(logout) && !covers(logout, credential.issued_ms));
    },
    isHit: (revocation, caller) => findHit(indexed([revocation]), caller, humanOf) !== null,
    refresh: (db) => {
      const mine = present(db)
        .then(({ list }) => {
          latest = list;
        })
        .finally(() => {
          if (reading === mine) reading = null;
        });
      reading = mine;
      return mine;
    },
  };
}

/** The list, and its epoch in the store. */
interface KnownList {
  epoch: string | null;
  list: RevocationList;
  /** Whether any entry parks requests. */
  parks: boolean;
}

/** Revocations by kind and value, for look-ups in constant time. */
type RevocationList = ReadonlyMap<string, readonly Revocation[]>;

/** The key that finds a revoked account by its human, because requests name their authors by human. It is not a kind. */
const ACCOUNT_OF = 'account-of';

function indexed(revocations: readonly Revocation[]): RevocationList {
  const accounts = revocations.filter(({ person }) => person !== null);
  return new Map([
    ...Map.groupBy(revocations, ({ kind, value }) => nameOf(kind, value)),
    ...Map.groupBy(accounts, ({ person }) => nameOf(ACCOUNT_OF, person ?? '')),
  ]);
}

function findHit(
  list: RevocationList,
  caller: Caller,
  humanOf: (person: string) => string,
): Revocation | null {
  if (list.size === 0) return null;
  for (const { names, issued_ms } of shownBy(caller, humanOf)) {
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
  humanOf: (person: string) => string,
): { names: string[]; issued_ms: number }[] {
  const own = [...credentialNames(credential, principal.kind), ...namesOfPrincipal(principal, humanOf)];
  const origins = (credential.origins ?? []).map((origin) => ({
    names: [
      ...credentialNames(origin, origin.kind),
      nameOf('subject', origin.principal),
      // The human behind an agent is its sponsor, whose credential this then is.
      ...(origin.kind === 'person' ? humanNames(principal, humanOf) : []),
    ],
    issued_ms: origin.issued_ms,
  }));
  return [{ names: own, issued_ms: credential.issued_ms }, ...origins];
}

/** The names under which a credential can be revoked, whatever its principal. */
function credentialNames(
  { issuer, token_id, session, kid }: Pick<Origin, 'issuer' | 'token_id' | 'session' | 'kid'>,
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

function humanNames({ person }: Pick<Principal, 'person'>, humanOf: (person: string) => string): string[] {
  return person === null ? [] : [nameOf('subject', humanOf(person))];
}

function isParkedBy(
  list: RevocationList,
  { proposer, authors, editors }: Authorship,
  humanOf: (person: string) => string,
): boolean {
  const humans = [...authors, ...(proposer.person === null ? [] : [proposer.person])].map(humanOf);
  const names = [
    ...namesOfPrincipal(proposer, humanOf),
    ...editors.flatMap((editor) => namesOf(editor, humanOf)),
    ...humans.flatMap((human) => [nameOf('subject', human), nameOf(ACCOUNT_OF, human)]),
  ];
  return names.some((name) => (list.get(name) ?? []).some(parks));
}

function namesOfPrincipal(principal: Principal, humanOf: (person: string) => string): string[] {
  return namesOf({ ...principal, trust_rule: principal.token.trust_rule }, humanOf);
}

/** The names under which a principal can be revoked. An agent is revoked with its sponsor. */
function namesOf(
  { id, person, issuer, trust_rule, act }: Editor,
  humanOf: (person: string) => string,
): string[] {
  return [
    nameOf('subject', id),
    ...humanNames({ person }, humanOf),
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
