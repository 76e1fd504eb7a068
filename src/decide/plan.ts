import { BrokerError } from '../errors.ts';
import type { InputChange } from '../flags/change-facts.ts';
import type { Policies, StoredBundle } from '../policy/active.ts';
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

/** Something that has become worse since a request was approved, so that it conflicts. */
export class Worsened extends BrokerError {
  /** @param what a sentence for whoever may read the request */
  constructor(what: string) {
    super('invalid_change', what);
    this.name = 'Worsened';
  }
}

/** How many approvals the next activation would take. */
export interface NextActivation {
  approvals: number;
  /** Under the active policy; null: nobody could give them. */
  approvals_now: number | null;
  /** Why nobody could make it, and when time would let it through after all; null if somebody could. */
  nobody: { why: 'nobody_proposes' | 'not_enough_approve' | 'closed'; opens_ms: number | null } | null;
}

/** What would change if a policy became active. */
export interface CheckedCandidate {
  /** Of the report. */
  digest: string;
  /** Canonical JSON. */
  report: string;
  /** Of the run; JSON. */
  measured: string;
  /** No recorded decision, no access, no open request and no flag would change. */
  changes_nothing: boolean;
  /** Who could make the next activation; null if that was not looked for. */
  next_activation: NextActivation | null;
  /** Why it may not become active, as sentences. */
  faults: readonly string[];
  /** What is worse than in the approved report, as sentences. */
  worse: readonly string[];
}

/** The checks of candidate policies; `activation/checks` does them. */
export interface CandidateChecks {
  /**
   * What would change if a policy became active in place of another one, for use in a write.
   *
   * @param about.approved the digest of the report that was approved: its span is replayed again
   * @throws RunAgain if it was not checked yet in this state: nothing is checked while the transaction is open
   */
  checked(
    db: Db,
    about: {
      candidate: StoredBundle;
      active: Pick<StoredBundle, 'policy_hash' | 'archive_digest'>;
      /** The stage whose decisions are replayed, if there are several. */
      stage: string | null;
      approved: string | null;
      now_ms: number;
    },
  ): Promise<CheckedCandidate>;
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
  /** Checks candidates. */
  checks: CandidateChecks;
  /** Reads committed state, for what takes too long in a write. */
  read: Db;
  /** Who is revoked. */
  revocations: Pick<RevocationChecks<Db>, 'unblocked'>;
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
