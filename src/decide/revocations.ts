import type { Caller } from '../identity/credential.ts';
import type { CallerChecks, Revocation } from '../identity/revocations.ts';
import type { Principal } from '../principal.ts';

/** Who wrote a request. */
export interface Authorship {
  proposer: Principal;
  /** Persons. */
  authors: readonly string[];
  /** Who edited it: a job of its author may, and is no person. */
  editors: readonly Editor[];
}

/** A principal, as far as it can be revoked as such. */
export interface Editor extends Pick<Principal, 'id' | 'person' | 'issuer'> {
  trust_rule: string | null;
  act?: readonly string[] | undefined;
}

/** The names of persons as one policy has them. */
export interface PersonNames {
  /** Differs where the names do. */
  readonly version: string;
  /** The one name of the person that a name stands for: whoever is revoked, is under all of them. */
  readonly resolve: (person: string) => string;
}

/** Who and what is revoked. */
export interface Revocations<Db> {
  /** As those names have it: those of the policy that a write meets, so that no write is judged by another's. */
  under(names: PersonNames): RevocationChecks<Db>;
  /** As the policy has it that was active by the last commit that this broker knows of: for reads. */
  latest(): RevocationChecks<Db>;
  /**
   * As {@link CallerChecks.hit}, by the list that was read last: for flag reads, which ask no store. A promise only while
   * a change that this broker has just committed is being read.
   */
  hitByLatest(caller: Caller): Revocation | null | Promise<Revocation | null>;
  /** Reads the list if it has changed; called after a commit, and now and then for what other brokers changed. */
  refresh(db: Db): Promise<void>;
}

/** Who and what is revoked, and which requests wait for that, under the names of one policy. */
export interface RevocationChecks<Db> extends CallerChecks<Db> {
  /** Whether this principal is revoked as such, until that is lifted: whatever they left behind waits. */
  isBlocked(db: Db, principal: Principal): Promise<boolean>;
  /** Whether anybody's requests wait: mostly nobody's, and then nobody needs to find out who wrote one. */
  parksAnybody(db: Db): Promise<boolean>;
  /** Whether what these wrote waits: one of them is blocked, or was logged out by their provider and is not back. */
  isParked(db: Db, authorship: Authorship): Promise<boolean>;
  /** As {@link isParked}, by one revocation alone. */
  wouldPark(revocation: Revocation, authorship: Authorship): boolean;
}
