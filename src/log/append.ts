import { BrokerError } from '../errors.ts';
import { canonicalJson } from '../json.ts';
import type { Operation } from '../operations.ts';
import type { Principal } from '../principal.ts';
import { EVERY_ENVIRONMENT, insertDecision, insertRecord, insertRecordFlag } from '../store/records.ts';
import type { Tx } from '../store/statement.ts';

/** How one flag's version moved with a record. `environment` is null for the definition. */
export interface FlagMove {
  flag: string;
  environment: string | null;
  version_before: number;
  version_after: number;
}

/** Why something came out as it did. `code` is stable; `detail` is for people. */
export interface Reason {
  code: string;
  detail: string;
}

/** What was decided, with everything that is needed to decide it again. */
export interface RecordedDecision {
  effect: string;
  reasons: readonly Reason[];
  obligations: readonly unknown[];
  limits: Readonly<Record<string, number>>;
  policy_hash: string;
  /** To the byte what was evaluated. */
  input_json: string;
  input_digest: string;
}

/** One thing that happened, to be recorded. */
export interface Entry {
  /** The decision's id (UUID version 7); it is the record's id too. */
  id: string;
  at_ms: number;
  operation: Operation;
  principal: Principal;
  environment: string | null;
  /** What the policy answered; null for what no policy decides (the first activation of one). */
  decision: RecordedDecision;
  request: { id: string; digest: string; from: string | null; to: string } | null;
  /** Flags the operation was about, with their versions where they moved. */
  flags: readonly FlagMove[];
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

/** A record as outsiders see it: at most 64 KiB of canonical JSON. */
export interface DecisionRecord {
  id: string;
  at_ms: number;
  operation: string;
  principal: {
    id: string;
    kind: string;
    /** For an agent its sponsor, the person it acts for. */
    person: string | null;
    issuer: string;
    trust_rule: string | null;
    /** For an agent, who acts: newest first. */
    act?: readonly string[];
  };
  environment: string | null;
  outcome: {
    effect: string;
    reasons: readonly Reason[];
    obligations: readonly unknown[];
    note: Reason | null;
  };
  request: Entry['request'];
  flags: readonly FlagMove[];
  policy_hash: string;
  input_digest: string;
  correlation: Correlation;
}

/** A record must fit a log entry bundle of C2SP tlog-tiles, with room for what a later version adds. */
const MAX_RECORD_BYTES = 64 * 1024 - 1;

/**
 * Appends one record, and beside it the decision's input and result for replay. The only function that writes the
 * decision log; it MUST run in the transaction of the write that it records.
 *
 * @throws BrokerError `invalid_change` when the record is larger than 64 KiB: the write that it belongs to fails with it
 */
export async function append(tx: Tx, entry: Entry): Promise<void> {
  const record = canonicalJson(toRecord(entry));
  if (Buffer.byteLength(record) > MAX_RECORD_BYTES) {
    throw new BrokerError(
      'invalid_change',
      'The record of this would be larger than 64 KiB. Split it into several requests.',
    );
  }
  const seq = await insertRecord(tx, {
    id: entry.id,
    at_ms: entry.at_ms,
    operation: entry.operation,
    outcome: entry.decision.effect,
    principal_id: entry.principal.id,
    person: entry.principal.person,
    environment: indexedEnvironment(entry),
    request_id: entry.request?.id ?? null,
    policy_hash: entry.decision.policy_hash,
    record,
  });
  for (const flag of new Set(entry.flags.map((move) => move.flag))) {
    await insertRecordFlag(tx, { flag, seq });
  }
  const { effect, reasons, obligations, limits } = entry.decision;
  await insertDecision(tx, {
    id: entry.id,
    input: entry.decision.input_json,
    result: JSON.stringify({ effect, reasons, obligations, limits }),
  });
}

/** What a query by environment finds it under. A definition reaches every environment, so it is found by any of them. */
function indexedEnvironment({ flags, environment }: Entry): string | null {
  const moved = new Set(flags.map((move) => move.environment));
  return moved.has(null) || moved.size > 1 ? EVERY_ENVIRONMENT : environment;
}

function toRecord({
  id,
  at_ms,
  operation,
  principal,
  environment,
  decision,
  request,
  flags,
  note,
  correlation,
}: Entry): DecisionRecord {
  return {
    id,
    at_ms,
    operation,
    principal: {
      id: principal.id,
      kind: principal.kind,
      person: principal.person,
      issuer: principal.issuer,
      trust_rule: principal.token.trust_rule,
      ...(principal.act && { act: principal.act }),
    },
    environment,
    outcome: {
      effect: decision.effect,
      reasons: decision.reasons,
      obligations: decision.obligations,
      note: note ?? null,
    },
    request,
    flags,
    policy_hash: decision.policy_hash,
    input_digest: decision.input_digest,
    correlation,
  };
}
