import type { Operation } from '../operations.ts';
import type { Principal } from '../principal.ts';
import type { Reason } from '../reason.ts';

/** How one flag's version moved with a record. `environment` is null for the definition. */
export interface FlagMove {
  flag: string;
  environment: string | null;
  version_before: number;
  version_after: number;
  /** Digest of the new definition or state; null where nothing moved. */
  digest: string | null;
}

/** What was decided, with everything that is needed to decide it again. */
export interface RecordedDecision {
  effect: string;
  reasons: readonly Reason[];
  obligations: readonly RecordedObligation[];
  limits: Readonly<Record<string, number>>;
  /** The code of the guardrail that overruled the policy, where one did. */
  guardrail?: string;
  /** The versions of what it was made of; null where it was made without. */
  versions: { input: number | null; result: number; guardrails: number | null };
  policy_hash: string;
  /** To the byte what was evaluated. */
  input_json: string;
  input_digest: string;
}

/** What was still missing. */
export interface RecordedObligation {
  kind: string;
  role?: string | undefined;
  count?: number | undefined;
}

/** The request that an entry is about. */
export interface RecordedRequest {
  id: string;
  kind: string;
  /** What the request is about, for other kinds than `flag.change`. */
  object: { type: string; id: string } | null;
  digest: string;
  from: string | null;
  to: string;
  /** What its proposer wrote. */
  reason: string;
  /** The persons who wrote part of it. */
  authors: readonly string[];
}

/** A freeze that a record engages or lifts. */
export interface RecordedFreeze {
  change: 'engaged' | 'lifted';
  id: string;
  scope: string;
  environment: string | null;
  namespace: string | null;
  flag: string | null;
}

/** What flags moved in spite of. */
export interface Passage {
  /** Ids of the freezes that covered them. */
  freezes: readonly string[];
  /** Whether a user is served by exception from now on. */
  exception: boolean;
}

/** One thing that happened, to be recorded. */
export interface Entry {
  /** The decision's id (UUID version 7); it is the record's id too. */
  id: string;
  /** The moment of the write. */
  at_ms: number;
  operation: Operation;
  principal: Principal;
  environment: string | null;
  /**
   * Whether the policy that decided knows that environment. The name of another may be any text that somebody sent, so it
   * is not in the leaf.
   */
  knows_environment: boolean;
  /** What the policy answered; for the first activation of one, what the broker says. */
  decision: RecordedDecision;
  request: RecordedRequest | null;
  /** Ids of the decisions in which the votes that counted were allowed. */
  votes?: readonly string[];
  /** Flags the operation was about, with their versions where they moved. */
  flags: readonly FlagMove[];
  freeze?: RecordedFreeze | null;
  passed?: Passage;
  /** The policy that is active from now on: its hash, and the digest of the bundle's archive. */
  activates?: { hash: string; archive: string };
  /** What is not readable any more from now on. */
  erases?: { places: readonly number[]; pseudonyms: readonly string[] };
  /** What the broker itself adds to the outcome, such as `request_conflicted`. */
  note?: Reason;
  correlation: Correlation;
}

/** Ids that tie a record to what happened elsewhere. */
export interface Correlation {
  http_request_id: string | null;
  ticket: string | null;
  /** The CI run of a workload's token, where its claims name one. */
  ci_run: string | null;
  /** What names the token or session that was shown, without being it; null for the broker's own principals. */
  token: string | null;
  /**
   * The same for what the token was issued for: a workload's for its platform's token; an agent's for the delegation, the
   * person's credential and the agent's own.
   */
  origins?: readonly string[];
  /** The session at the provider that it belongs to, as `<issuer>#<sid>`, where the provider named one. */
  session?: string;
}
