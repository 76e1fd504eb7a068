import type { Principal } from '../policy/input.ts';
import type { Caller } from './credential.ts';

/** One revocation, as far as it decides who is refused. */
export interface Revocation {
  id: string;
  /**
   * What `value` is: `token` `<issuer>#<token id>`; `session` `session:<id>` or `<issuer>#<sid>`; `subject` a principal's
   * id or a person; `trust_rule` a name; `issuer` an `iss`; `class` `person`, `workload`, `agent` or `all`; `key` a `kid`.
   */
  kind: string;
  value: string;
  /** What was issued before this moment is revoked; null: everything, until it is lifted. */
  issued_before_ms: number | null;
  expires_ms: number | null;
}

/** Where revocations are kept. */
export interface RevocationStore<Db> {
  epoch(db: Db): Promise<string | null>;
  list(db: Db): Promise<readonly Revocation[]>;
}

/** Who and what is revoked. */
export interface Revocations<Db> {
  /**
   * The revocation that hits a caller in the state that `db` sees, or null. One small read each time: the list is read
   * again whenever any broker has changed it, so a revocation is effective on the next request everywhere.
   */
  hit(db: Db, caller: Caller): Promise<Revocation | null>;
  /**
   * As {@link hit}, by the list that was read last: for flag reads, which ask no store. A promise only while a change that
   * this broker has just committed is being read.
   */
  hitByLatest(caller: Caller): Revocation | null | Promise<Revocation | null>;
  /** Whether this principal is revoked as such, until that is lifted: whatever they left behind waits. */
  isBlocked(db: Db, principal: Principal): Promise<boolean>;
  /** Reads the list if it has changed; called after a commit, and now and then for what other brokers changed. */
  refresh(db: Db): Promise<void>;
}

/**
 * Keeps the list of what is revoked.
 *
 * @param deps.humanOf the one name of the human that a person's name stands for: whoever is revoked, is under all of them
 */
export function createRevocations<Db>(deps: {
  store: RevocationStore<Db>;
  humanOf: (person: string) => string;
}): Revocations<Db> {
  const { store, humanOf } = deps;
  let known: { epoch: string | null; list: RevocationList } = { epoch: null, list: indexed([]) };
  let reading: Promise<void> | null = null;

  async function present(db: Db): Promise<RevocationList> {
    const epoch = await store.epoch(db);
    if (epoch !== known.epoch) known = { epoch, list: indexed(await store.list(db)) };
    return known.list;
  }

  return {
    hit: async (db, caller) => findHit(await present(db), caller, humanOf),
    hitByLatest: (caller) => {
      if (reading === null) return findHit(known.list, caller, humanOf);
      return reading.then(() => findHit(known.list, caller, humanOf));
    },
    isBlocked: async (db, principal) => {
      const list = await present(db);
      return namesOf(principal, humanOf).some((name) => (list.get(name) ?? []).some(holdsForEver));
    },
    refresh: (db) => {
      const mine = present(db).then(() => {
        if (reading === mine) reading = null;
      });
      reading = mine;
      return mine;
    },
  };
}

/** Revocations by kind and value, so that a look-up does not grow with their number. */
type RevocationList = ReadonlyMap<string, readonly Revocation[]>;

function indexed(revocations: readonly Revocation[]): RevocationList {
  return Map.groupBy(revocations, ({ kind, value }) => nameOf(kind, value));
}

function findHit(
  list: RevocationList,
  { principal, credential }: Caller,
  humanOf: (person: string) => string,
): Revocation | null {
  if (list.size === 0) return null;
  const names = [
    nameOf('token', `${credential.issuer}#${credential.token_id}`),
    nameOf('session', credential.token_id),
    ...(credential.session === null ? [] : [nameOf('session', credential.session)]),
    ...(credential.kid === null ? [] : [nameOf('key', credential.kid)]),
    // The issuer of the token itself, besides the one that vouched for the principal.
    nameOf('issuer', credential.issuer),
    nameOf('class', principal.kind),
    nameOf('class', 'all'),
    ...namesOf(principal, humanOf),
  ];
  for (const name of names) {
    const found = list.get(name)?.find((revocation) => covers(revocation, credential.issued_ms));
    if (found !== undefined) return found;
  }
  return null;
}

/** The names under which a principal as such can be revoked. An agent is revoked with its sponsor. */
function namesOf(
  { id, person, issuer, token, act }: Principal,
  humanOf: (person: string) => string,
): string[] {
  return [
    nameOf('subject', id),
    ...(person === null ? [] : [nameOf('subject', humanOf(person))]),
    ...(act ?? []).map((actor) => nameOf('subject', actor)),
    nameOf('issuer', issuer),
    ...(token.trust_rule === null ? [] : [nameOf('trust_rule', token.trust_rule)]),
  ];
}

function nameOf(kind: string, value: string): string {
  return `${kind} ${value}`;
}

function covers({ issued_before_ms }: Revocation, issuedMs: number): boolean {
  return issued_before_ms === null || issuedMs < issued_before_ms;
}

function holdsForEver({ issued_before_ms }: Revocation): boolean {
  return issued_before_ms === null;
}
