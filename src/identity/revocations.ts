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
  created_ms: number;
  expires_ms: number | null;
  /** The cause: `incident`, `logout`, `provisioning` or `holder`. */
  cause: string;
  /** The person of a revoked account, if known. */
  person: string | null;
  /** When the principal signed in again after a logout. From then on, their requests are no longer parked. */
  returned_ms: number | null;
}

/** Whether callers are revoked. */
export interface CallerChecks<Db> {
  /**
   * The revocation that applies to a caller in the state visible to `db`, or null. Each call makes one small read. The
   * list is reloaded whenever any broker has changed it, so a revocation is effective on the next request everywhere.
   */
  hit(db: Db, caller: Caller): Promise<Revocation | null>;
  /** As {@link hit}, with the logouts that this caller's newer credential ends, in one read. */
  look(db: Db, caller: Caller): Promise<{ hit: Revocation | null; ended: readonly Revocation[] }>;
  /** Whether a single revocation applies to a caller. */
  isHit(revocation: Revocation, caller: Caller): boolean;
}
