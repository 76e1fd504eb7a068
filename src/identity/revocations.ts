import type { Principal } from '../principal.ts';
import type { Caller } from './credential.ts';

/** A revocation, as far as it determines who is refused. */
export interface Revocation {
  id: string;
  /**
   * The format of `value`, by kind: `token` `<issuer>#<token id>`; `session` `session:<id>` or `<issuer>#<sid>`;
   * `subject` a principal's id or a person; `trust_rule` a name; `issuer` an `iss`; `class` `person`, `workload`,
   * `agent` or `all`; `key` a `kid`.
   */
  kind: string;
  value: string;
  /** Revokes everything issued before this moment; null revokes everything until it is lifted. */
  issued_before_ms: number | null;
  expires_ms: number | null;
  /** The cause: `incident`, `logout`, `provisioning` or `holder`. */
  cause: string;
  /** The person of a revoked account, if known. */
  person: string | null;
  /** When the principal signed in again after a logout. From then on, their requests are no longer parked. */
  returned_ms: number | null;
}

/** The authors of a request. */
export interface Authorship {
  proposer: Principal;
  /** Persons. */
  authors: readonly string[];
  /** The principals who edited it. They include jobs of its author, which are not persons. */
  editors: readonly Editor[];
}

/** The parts of a principal that revocations match. */
export interface Editor extends Pick<Principal, 'id' | 'person' | 'issuer'> {
  trust_rule: string | null;
  act?: readonly string[] | undefined;
}

/** The active revocations. */
export interface Revocations<Db> {
  /**
   * The revocation that applies to a caller in the state visible to `db`, or null. Each call makes one small read. The
   * list is reloaded whenever any broker has changed it, so a revocation is effective on the next request everywhere.
   */
  hit(db: Db, caller: Caller): Promise<Revocation | null>;
  /**
   * As {@link hit}, by the list as last read, for flag reads, which do not query the store. Returns a promise only
   * while a change that this broker has just committed is being loaded.
   */
  hitByLatest(caller: Caller): Revocation | null | Promise<Revocation | null>;
  /** Whether this principal itself is revoked until lifted. Their open requests are then parked. */
  isBlocked(db: Db, principal: Principal): Promise<boolean>;
  /** Whether any requests are parked. Usually none are, and then the authors of requests need not be loaded. */
  parksAnybody(db: Db): Promise<boolean>;
  /**
   * Whether requests of these authors are parked: one of them is blocked, or was logged out by the provider and has not
   * signed in again.
   */
  isParked(db: Db, authorship: Authorship): Promise<boolean>;
  /** As {@link isParked}, for a single revocation. */
  wouldPark(revocation: Revocation, authorship: Authorship): boolean;
  /** The logouts that this caller's newer credential ends. */
  endedBy(db: Db, caller: Caller): Promise<readonly Revocation[]>;
  /** Whether a single revocation applies to a caller. */
  isHit(revocation: Revocation, caller: Caller): boolean;
  /** Reloads the list if it has changed. Called after a commit, and periodically for changes by other brokers. */
  refresh(db: Db): Promise<void>;
}
