import type { Caller } from '../identity/credential.ts';
import type { RevocablePrincipal } from '../identity/revocable.ts';
import type { CallerChecks, Revocation } from '../identity/revocations.ts';
import type { Principal } from '../principal.ts';

/** The authors of a request. */
export interface Authorship {
  proposer: Principal;
  /** Persons. */
  authors: readonly string[];
  /** Each proposal, edit and schedule of it, oldest first. */
  parts: readonly AuthoredPart[];
}

/** A part of a request, by who wrote it with which credential. The authors include jobs, which are not persons. */
export interface AuthoredPart extends RevocablePrincipal, Pick<Principal, 'kind'> {
  at_ms: number;
  /** When the credential was issued. */
  issued_ms: number;
  /** The ids of the token or session, of what it was issued for, and of its session at the provider. */
  credentials: readonly string[];
}

/** The names of persons under one policy. */
export interface PersonNames {
  /** Policies with different names have different versions. */
  readonly version: string;
  /** The one name of the person behind a name. A revocation covers all names of a person. */
  readonly resolve: (person: string) => string;
}

/** The active revocations. */
export interface Revocations<Db> {
  /** Checks under these names. A write uses those of the policy that is active in its transaction. */
  under(names: PersonNames): RevocationChecks<Db>;
  /** Checks for reads, under the policy of the last commit that this broker knows of. */
  latest(): RevocationChecks<Db>;
  /**
   * As {@link CallerChecks.hit}, by the list as last read, for flag reads, which do not query the store. Returns a promise
   * only while a change that this broker has just committed is being loaded.
   */
  hitByLatest(caller: Caller): Revocation | null | Promise<Revocation | null>;
  /** Reloads the list if it has changed, after a commit of this broker. Until then {@link hitByLatest} waits for it. */
  refresh(db: Db): Promise<void>;
  /** The same for changes by other brokers, for which nobody waits. */
  follow(db: Db): Promise<void>;
}

/** Which callers are revoked, and which requests are parked for it, under the names of one policy. */
export interface RevocationChecks<Db> extends CallerChecks<Db> {
  /** Whether this principal itself is revoked until lifted. Their open requests are then parked. */
  isBlocked(db: Db, principal: Principal): Promise<boolean>;
  /** Of many principals those who are not {@link isBlocked}, by one read. */
  unblocked(db: Db, principals: readonly Principal[]): Promise<Principal[]>;
  /** Whether any requests are parked. Usually none are, and then the authors of requests need not be loaded. */
  parksAnybody(db: Db): Promise<boolean>;
  /**
   * Whether requests of these authors are parked: one of them is blocked, or was logged out by the provider and has not
   * signed in again, or wrote a part with a credential that was revoked in an incident and has not confirmed it with
   * another one.
   */
  isParked(db: Db, authorship: Authorship): Promise<boolean>;
  /** As {@link isParked}, for a single revocation. */
  wouldPark(revocation: Revocation, authorship: Authorship): boolean;
}
