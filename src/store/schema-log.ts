/*
 * The tables of the decision log. Leaves are hashed for ever and hold nothing that must one day be erased; everything
 * readable lies beside them.
 */

/**
 * The leaves of the decision log, from place 1 without a gap. `leaf` is the canonical JSON that is hashed for ever: for
 * version 1 the record itself; for version 0 a salted digest of a record from before there were leaves. Append-only.
 */
export interface LeavesTable {
  place: number;
  schema_version: number;
  leaf: string;
}

/**
 * What is readable beside each leaf, and what queries need. Never updated; removed by a recorded erasure only. `details`
 * is the JSON that outsiders see; `input` and `result`, JSON too, are the decision in full, for replay.
 */
export interface RecordDetailsTable {
  place: number;
  id: string;
  at_ms: number;
  operation: string;
  outcome: string;
  principal_id: string;
  person: string | null;
  environment: string | null;
  request_id: string | null;
  policy_hash: string;
  /** What the leaf's digests are salted with, base64url. */
  salt: string;
  details: string;
  input: string;
  result: string;
}

/** Which flags a record is about, for queries. Append-only. */
export interface RecordFlagsTable {
  flag: string;
  place: number;
}

/** How principals and persons are called in leaves. Never updated; removed by a recorded erasure only. */
export interface PseudonymsTable {
  kind: 'principal' | 'person';
  name: string;
  pseudonym: string;
}

/** What was erased beside the leaves: the details of a record, or a pseudonym. Append-only. */
export interface ErasuresTable {
  place: number | null;
  pseudonym: string | null;
  /** The place of the record of the erasure. */
  erased_by: number;
}

/** How far the log has come: one row. */
export interface LogHeadTable {
  /** Always 1. */
  id: number;
  /** Names this installation for ever. */
  installation: string;
  /** Raised by a confirmed restore only. */
  epoch: number;
  /** Raised at each takeover of the writer. */
  fence: number;
  size: number;
  /** Root hash and frontier of the tree; null until there is one. */
  root: string | null;
  frontier: string | null;
  /** The moment of the last record. It never goes back. */
  last_ms: number;
}

/** What is to be delivered outside: an effect of the record at a place. */
export interface OutboxTable {
  place: number;
  effect: string;
}

/** The last place of the outbox that a consumer is done with. */
export interface OutboxCursorsTable {
  consumer: string;
  place: number;
}
