import type { InputChange } from '../flags/change-facts.ts';
import type { Policies } from '../policy/active.ts';
import type { RequestObject } from '../policy/input.ts';
import type { Policy } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';
import type { Db } from '../store/statement.ts';
import type { RevocationChecks } from './revocations.ts';

/** The version of one thing that a request is based on; 0 if it did not exist. */
export interface Base {
  /** Its type and name, such as `state:<flag>@<environment>` or `freeze:<id>`. */
  of: string;
  version: number;
}

/** What a request would do, computed when its content was written. Stored with the request as JSON. */
export interface Plan {
  /** {@link RequestKind.planVersion} of the code that made it. */
  version: number;
  /** The changes of flags; empty for kinds that change none. */
  changes: InputChange[];
  /** The object of the request; null for a change of flags. */
  object: RequestObject | null;
  /** The versions that it is based on. The approved digest covers them. */
  bases: Base[];
}

/** The members of every content; each kind adds its own. */
export interface RequestContent {
  kind: string;
  reason: string;
  ticket: string | null;
  /** `auto`: the broker applies it as soon as the policy allows; `manual`: it waits for a call to apply. */
  apply: 'auto' | 'manual';
  /** The earliest time to apply it, in epoch milliseconds. Null: as soon as the policy allows. */
  start_ms: number | null;
}

/** The context of a plan. */
export interface PlanContext {
  now_ms: number;
  /** The policy that decides the request. */
  policy: Policy;
  /** Compiles candidates. */
  policies: Pick<Policies<Db>, 'ready' | 'assertSigned'>;
  /** Who wrote the content, as they were then. */
  proposer: Principal;
  /** Who is revoked. */
  revocations: Pick<RevocationChecks<Db>, 'isBlocked'>;
  /** The plan of the request as it was proposed: facts of that time are taken from it. */
  proposed?: Plan;
  /** All environments of the active policy. */
  environments: readonly string[];
  /**
   * Makes a plan that the policy judges and nobody carries out: as if no flag had the keys of new flags, and without
   * anything costly.
   */
  onlyJudged?: true;
}
