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
  /** By which road it came: `incident`, `logout`, `provisioning` or `holder`. */
  cause: string;
  /** The person behind a revoked account, as far as it was known. */
  person: string | null;
  /** When who was logged out came back; from then on nothing of theirs waits any more. */
  returned_ms: number | null;
}

/** Whether callers are revoked. */
export interface CallerChecks<Db> {
  /**
   * The revocation that hits a caller in the state that `db` sees, or null. One small read each time: the list is read
   * again whenever any broker has changed it, so a revocation is effective on the next request everywhere.
   */
  hit(db: Db, caller: Caller): Promise<Revocation | null>;
  /** The logouts after which this caller is back, by a credential that came later. */
  endedBy(db: Db, caller: Caller): Promise<readonly Revocation[]>;
  /** Whether one revocation hits a caller. */
  isHit(revocation: Revocation, caller: Caller): boolean;
}
