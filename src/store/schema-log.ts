/*
 * The tables of the decision log. Leaves are hashed permanently and contain nothing that may have to be erased;
 * everything readable is stored beside them.
 */

/**
 * The leaves of the decision log, from place 1 without gaps. `leaf` is the canonical JSON that is hashed: for version 1,
 * the record itself; for version 0, a salted digest of a record from before leaves existed. Append-only.
 */
export interface LeavesTable {
  place: number;
  schema_version: number;
  leaf: string;
}

/**
 * The complete tiles of the tree: `hashes` are the 256 hashes of the tile, and `root` is the hash over them, which is in the
 * tile above. Level 0 has the hashes of leaves. Append-only.
 */
export interface LogTilesTable {
  level: number;
  tile: number;
  hashes: Buffer;
  root: Buffer;
}

/**
 * The readable details of each leaf, and the columns for queries. Deleted by a recorded erasure only, and never updated, but for
 * an input that is in an archive: it is then empty. `details` is the JSON in answers; `input` and `result`, also JSON, are the
 * full decision, for replay.
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
  /** The stage whose policy decided; null if one policy decides everything. */
  stage: string | null;
  /** The salt of the leaf's digests, base64url. */
  salt: string;
  details: string;
  input: string;
  result: string;
}

/** The flags of a record, for queries. Append-only. */
export interface RecordFlagsTable {
  flag: string;
  place: number;
}

/** The pseudonyms of principals and persons in leaves. Never updated; deleted by a recorded erasure only. */
export interface PseudonymsTable {
  kind: 'principal' | 'person';
  name: string;
  pseudonym: string;
}

/** What was erased: the details of a record, or a pseudonym. Append-only. */
export interface ErasuresTable {
  place: number | null;
  pseudonym: string | null;
  /** The place of the record of the erasure. */
  erased_by: number;
}

/**
 * How often callers without a grant were denied in a minute, beyond what has records of its own. The counts become a record
 * after the minute, and the rows are deleted.
 */
export interface DenialsTable {
  minute_ms: number;
  /** The id of the principal; `*` for all that have no count of their own. */
  caller: string;
  operation: string;
  /** The recorded decision under which they count. */
  decision_id: string;
  count: number;
}

/**
 * Who evaluated which flag, counted for an interval; the record at the place has the digest of its rows. Never updated; deleted
 * by a record that says so. No row has the name of anybody.
 */
export interface EvaluationsTable {
  /** The place of the record times 1000, and the number of the row in it: `evaluations.ts`. */
  id: number;
  environment: string;
  /** The pseudonym of the principal; null for what was counted without names. Then flag and variant are, as for definitions. */
  workload: string | null;
  flag: string | null;
  variant: string | null;
  count: number;
  first_ms: number;
  last_ms: number;
}

/**
 * What was taken out of the database as it grew old, by the record at the place: inputs of decisions, which are in a file, or
 * counts of evaluations, which are gone. The record says the same, or the database refuses the row. Append-only.
 */
export interface ArchivesTable {
  place: number;
  what: 'inputs' | 'evaluations';
  /** The places of the first and the last record whose rows these are. */
  from_place: number;
  to_place: number;
  /** How many inputs, or rows. */
  count: number;
  /** The name of the file, without its folder; null if there is none. */
  file: string | null;
  /** The SHA-256 digest of the file. */
  digest: string | null;
}

/** An input that is in an archive. Never updated; deleted by a recorded erasure only: without its key nobody can read it. */
export interface ArchivedInputsTable {
  /** The place of the record whose input it is. */
  place: number;
  /** The place of the record that archived it. */
  archived_by: number;
  file_offset: number;
  file_length: number;
  /** The key of this input alone. */
  key: Buffer;
  /** Digests of the words of the input, so that an erasure finds whom it names: `erasure/words.ts`. */
  words: Buffer;
}

/** A key that signs the checkpoints of an epoch. */
export interface LogKeysTable {
  epoch: number;
  /** Its public part, with the origin of the log (C2SP signed-note). */
  vkey: string;
  /** Sealed under the master key; empty once it no longer signs. */
  private_key: string;
  created_ms: number;
  /** The place of the record that commits the key; null for the first key of the epoch. */
  place: number | null;
  /** Until when it signs beside the next one; null for the newest. */
  retires_ms: number | null;
}

/** A cosignature of a witness. Rows older than the last checkpoint that a quorum has cosigned are deleted. */
export interface CosignaturesTable {
  /** The key of the witness (C2SP signed-note). */
  witness: string;
  origin: string;
  size: number;
  /** The root hash, base64. */
  root: string;
  /** The checkpoint as the log signed it. */
  note: string;
  /** The line of the cosignature. */
  line: string;
  /** When it was made, by the clock of the witness, and never later than it arrived. */
  at_ms: number;
}

/** A published snapshot of an environment. Only the newest ones are kept. */
export interface SnapshotsTable {
  environment: string;
  /** The epoch of the log that has its leaf. */
  epoch: number;
  /** The version of the environment. */
  version: number;
  /** `sha256:` and hex over the body. */
  digest: string;
  /** The digest of the snapshot that was published before it; null for the first one. */
  previous: string | null;
  /** The size of the log that it reflects. */
  size: number;
  /** The place of the record that publishes it. */
  place: number;
  /** JSON, with the exact bytes that the digest is of. */
  body: string;
}

/** The head of the log: one row. */
export interface LogHeadTable {
  /** Always 1. */
  id: number;
  /** The permanent id of this installation. */
  installation: string;
  /** Raised by a confirmed restore only. */
  epoch: number;
  /** Raised at each takeover of the writer. */
  fence: number;
  size: number;
  /** The root of the tree, base64. */
  root: string;
  /** The roots of the complete subtrees that the tree consists of, largest first; base64 of their bytes. */
  frontier: string;
  /** The time of the last record. It never decreases. */
  last_ms: number;
  /** The size of the largest checkpoint of this epoch that a quorum of witnesses has cosigned; null if there is none. */
  cosigned_size: number | null;
  /** When that quorum was complete. */
  cosigned_ms: number | null;
}

/** An effect of the record at a place, to deliver outside. */
export interface OutboxTable {
  place: number;
  effect: string;
}

/** The last place of the outbox that a consumer has processed. */
export interface OutboxCursorsTable {
  consumer: string;
  place: number;
}
