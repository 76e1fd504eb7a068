import type Sqlite from 'better-sqlite3';
import { reading, withFile } from './file.ts';

/*
 * What the tests read of the store, and do to it, by what it is about. Only this file knows what its tables and columns
 * are called: whoever changes them edits here, and the tests stay as they are.
 */

/** A record of the log with what is readable beside its leaf; that is null where it was erased. */
export interface RecordRow {
  seq: number;
  id: string;
  operation: string;
  outcome: string;
  request_id: string | null;
  /** The leaf: canonical JSON. */
  leaf: string;
  /** JSON texts. */
  record: string;
  input: string | null;
  result: string | null;
}

/** A change request. */
export interface RequestRow {
  id: string;
  state: string;
  digest: string;
}

/** A version of a flag: of its definition where `environment` is null. `document` is JSON text. */
export interface VersionRow {
  flag: string;
  environment: string | null;
  version: number;
  document: string;
  decision_id: string;
}

/** What a flag is now, beside the stored version of that number, which may be missing. */
export interface PresentRow {
  flag: string;
  environment: string | null;
  version: number;
  document: string;
  newest: string | null;
}

/** A freeze. */
export interface FreezeRow {
  id: string;
  incident: string;
  lifted_ms: number | null;
}

/** A revocation. */
export interface RevocationRow {
  kind: string;
  value: string;
  issued_before_ms: number | null;
  cause: string;
  incident: string;
  created_ms: number;
  person: string | null;
}

/** What the oracle of the log judges: everything as it stood at one moment. */
export interface StoreRows {
  records: RecordRow[];
  requests: RequestRow[];
  versions: VersionRow[];
  present: PresentRow[];
  revocations: RevocationRow[];
  /** The active policy's bundle, or null while there is none. */
  bundle: { hash: string; archive: Buffer } | null;
}

const RECORDS = `select leaves.place as seq, id, operation, outcome, request_id, details as record, input, result, leaf
  from leaves left join record_details on record_details.place = leaves.place order by leaves.place`;
const REQUESTS = 'select id, state, digest from requests order by id';
const VERSIONS = `select flag, null as environment, version, definition as document, decision_id from flag_versions
  union all select flag, environment, version, state, decision_id from flag_state_versions`;
const PRESENT = `select flags.key as flag, null as environment, flags.version, flags.definition as document,
    flag_versions.definition as newest
  from flags left join flag_versions on flag_versions.flag = flags.key and flag_versions.version = flags.version
  union all
  select s.flag, s.environment, s.version, s.state, v.state
  from flag_states s left join flag_state_versions v
    on v.flag = s.flag and v.environment = s.environment and v.version = s.version`;
const REVOCATIONS = `select kind, value, issued_before_ms, cause, incident, created_ms, person
  from revocations order by created_ms, id`;
const ACTIVE_BUNDLE = `select policy_hash as hash, archive
  from policy_activations join policy_bundles using (policy_hash, archive_digest) order by number desc`;

const TABLES = {
  records: 'leaves',
  details: 'record_details',
  pseudonyms: 'pseudonyms',
  erasures: 'erasures',
  recordFlags: 'record_flags',
  requests: 'requests',
  votes: 'votes',
  flags: 'flags',
  flagStates: 'flag_states',
  flagVersions: 'flag_versions',
  stateVersions: 'flag_state_versions',
  bundles: 'policy_bundles',
  activations: 'policy_activations',
  freezes: 'freezes',
  revocations: 'revocations',
  sessions: 'sessions',
  signIns: 'sign_ins',
  signingKeys: 'signing_keys',
} as const;

/** What rows can be about. */
export type Subject = keyof typeof TABLES;

/** What is evidence: rows that nobody may ever change or remove. */
export const EVIDENCE = [
  'records',
  'details',
  'recordFlags',
  'pseudonyms',
  'erasures',
  'flagVersions',
  'stateVersions',
  'bundles',
  'activations',
] as const satisfies Subject[];

/** What nearly every call leaves without having written anything: who was seen, and what they used. */
export const USAGE_TABLES = ['principals', 'grant_uses'];

function all<Row>(file: string, sql: string): Row[] {
  return reading(file, (db) => db.prepare(sql).all() as Row[]);
}

/** Everything that the oracle of the log judges. */
export function readStore(file: string): StoreRows {
  return reading(file, (db) => ({
    records: db.prepare(RECORDS).all() as RecordRow[],
    requests: db.prepare(REQUESTS).all() as RequestRow[],
    versions: db.prepare(VERSIONS).all() as VersionRow[],
    present: db.prepare(PRESENT).all() as PresentRow[],
    revocations: db.prepare(REVOCATIONS).all() as RevocationRow[],
    bundle: (db.prepare(ACTIVE_BUNDLE).get() as StoreRows['bundle'] | undefined) ?? null,
  }));
}

/** The log, oldest first. */
export function readRecords(file: string): RecordRow[] {
  return all(file, RECORDS);
}

/** All requests, oldest first. */
export function readRequests(file: string): RequestRow[] {
  return all(file, REQUESTS);
}

/** What every flag is now, in every environment that has a state of it. */
export function readPresent(file: string): PresentRow[] {
  return all(file, PRESENT);
}

/** All freezes, lifted ones too. */
export function readFreezes(file: string): FreezeRow[] {
  return all(file, 'select id, incident, lifted_ms from freezes order by id');
}

/** All revocations, oldest first, lifted ones too. */
export function readRevocations(file: string): RevocationRow[] {
  return all(file, REVOCATIONS);
}

/** Browser sessions, oldest first. */
export function readSessions<Row>(file: string): Row[] {
  return all(file, 'select * from sessions order by opened_ms, id');
}

/** How many rows there are of each of some subjects. */
export function countsOf<S extends Subject>(file: string, subjects: readonly S[]): Record<S, number> {
  return reading(
    file,
    (db) =>
      Object.fromEntries(subjects.map((subject) => [subject, countOf(db, subject)])) as Record<S, number>,
  );
}

function countOf(db: Sqlite.Database, subject: Subject): number {
  return db.prepare(`select count(*) from ${TABLES[subject]}`).pluck().get() as number;
}

/**
 * Makes the store refuse new rows of a subject, as a failing disk would.
 *
 * @param options.flagsLike refuses only those of flags whose key is like this pattern
 * @returns what makes it take them again
 */
export function refuseInserts(
  file: string,
  subject: Subject,
  options: { flagsLike?: string } = {},
): () => void {
  const when = options.flagsLike === undefined ? '' : `when new.flag like '${options.flagsLike}'`;
  withFile(file, (db) =>
    db.exec(
      `create trigger fault before insert on ${TABLES[subject]} ${when} begin select raise(abort, 'disk on fire'); end`,
    ),
  );
  return () => withFile(file, (db) => db.exec('drop trigger fault'));
}

/** One try to change evidence: the statement, what the database said (null: it took it), and the rows after it. */
export interface Forgery {
  attempt: string;
  refusal: string | null;
  rows: unknown[];
}

/** Columns that name a row: a forger keeps them, to put another row in its place. */
const KEYS = [
  'place',
  'pseudonym',
  'erased_by',
  'id',
  'flag',
  'environment',
  'version',
  'number',
  'policy_hash',
  'archive_digest',
];

/** Tries to change and remove the rows of a subject in every way that SQL knows. @returns the rows before, and each try */
export function forge(file: string, subject: Subject): { before: unknown[]; forgeries: Forgery[] } {
  const table = TABLES[subject];
  return withFile(file, (db) => {
    const rows = () => db.prepare(`select * from ${table}`).all();
    const before = rows();
    const columns = (db.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => name);
    const forged = columns.map((name) => (KEYS.includes(name) ? name : "'forged'"));
    const attempts = [
      `update ${table} set ${columns[0]} = ${columns[0]}`,
      `delete from ${table}`,
      `insert or replace into ${table} select * from ${table}`,
      `replace into ${table} select ${forged.join(', ')} from ${table}`,
    ];
    const forgeries = attempts.map((attempt) => ({ attempt, refusal: refusalOf(db, attempt), rows: rows() }));
    return { before, forgeries };
  });
}

function refusalOf(db: Sqlite.Database, attempt: string): string | null {
  try {
    db.prepare(attempt).run();
    return null;
  } catch (error) {
    return String(error);
  }
}

/** What somebody with the file, and time to remove its triggers, could do to it. */
const TAMPERINGS = {
  'a record is gone': 'delete from leaves where place = (select max(place) - 1 from leaves)',
  'a decision is gone': 'delete from record_details where place = 2',
  'an input is another': "update record_details set input = replace(input, 'dana', 'alex')",
  'a request is in another state': "update requests set state = 'withdrawn'",
  'a request is gone': 'delete from requests',
  'a version is of nobody': `insert into flag_state_versions
    select flag, environment, version + 1000, state, request_id, decision_id, at_ms from flag_state_versions`,
  'a version is missing': 'delete from flag_state_versions where version = 2',
  'a state is no version': "update flag_states set state = replace(state, 'true', 'false')",
} as const;

/** Every {@link tamper}. */
export const TAMPERING_NAMES = Object.keys(TAMPERINGS) as (keyof typeof TAMPERINGS)[];

/** Changes a file of a broker that is closed, past all that the database refuses. */
export function tamper(file: string, how: keyof typeof TAMPERINGS): void {
  withFile(file, (db) => {
    db.pragma('foreign_keys = OFF');
    const triggers = db.prepare("select name from sqlite_master where type = 'trigger'").pluck().all();
    for (const name of triggers as string[]) db.exec(`drop trigger "${name}"`);
    const { changes } = db.prepare(TAMPERINGS[how]).run();
    if (changes === 0) throw new Error(`there is nothing in ${file} by which ${how} could be shown`);
  });
}
