import type Sqlite from 'better-sqlite3';
import { reading, tableNames, withFile } from './file.ts';

/*
 * What the tests read of the store, and do to it, by what it is about. Only this file knows what its tables and columns
 * are called: whoever changes them edits here, and the tests stay as they are.
 */

/** A record of the log with what is readable beside its leaf; that is null where it was erased. */
export interface RecordRow {
  place: number;
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

/** A change request. `content` and `plan` are JSON texts. */
export interface RequestRow {
  id: string;
  kind: string;
  state: string;
  digest: string;
  content: string;
  plan: string;
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
  scope: string;
  environment: string | null;
  namespace: string | null;
  flag: string | null;
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
  person_state: string | null;
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

const RECORDS = `select leaves.place, id, operation, outcome, request_id, details as record, input, result, leaf
  from leaves left join record_details on record_details.place = leaves.place order by leaves.place`;
const REQUESTS = 'select id, kind, state, digest, content, plan from requests order by id';
const VERSIONS = `select flag, null as environment, version, definition as document, decision_id from flag_versions
  union all select flag, environment, version, state, decision_id from flag_state_versions`;
const PRESENT = `select flags.key as flag, null as environment, flags.version, flags.definition as document,
    flag_versions.definition as newest
  from flags left join flag_versions on flag_versions.flag = flags.key and flag_versions.version = flags.version
  union all
  select s.flag, s.environment, s.version, s.state, v.state
  from flag_states s left join flag_state_versions v
    on v.flag = s.flag and v.environment = s.environment and v.version = s.version`;
const FREEZES =
  'select id, scope, environment, namespace, flag, incident, lifted_ms from freezes order by id';
const REVOCATIONS = `select kind, value, issued_before_ms, cause, incident, created_ms, person, person_state
  from revocations order by created_ms, id`;
const ACTIVE_BUNDLE = `select policy_hash as hash, archive
  from policy_activations join policy_bundles using (policy_hash, archive_digest) order by number desc`;

/** The tables by what they are about. For the folders of raw SQL only. */
export const TABLES = {
  records: 'leaves',
  tiles: 'log_tiles',
  details: 'record_details',
  pseudonyms: 'pseudonyms',
  erasures: 'erasures',
  recordFlags: 'record_flags',
  requests: 'requests',
  votes: 'votes',
  comments: 'comments',
  flags: 'flags',
  flagStates: 'flag_states',
  flagVersions: 'flag_versions',
  stateVersions: 'flag_state_versions',
  bundles: 'policy_bundles',
  activations: 'policy_activations',
  reports: 'policy_reports',
  bundleSources: 'bundle_sources',
  builtBundles: 'built_bundles',
  evaluations: 'evaluations',
  archives: 'archives',
  archivedInputs: 'archived_inputs',
  freezes: 'freezes',
  revocations: 'revocations',
  snapshots: 'snapshots',
  relays: 'relays',
  reportedReads: 'reported_reads',
  receipts: 'receipts',
  sessions: 'sessions',
  usedTokens: 'used_tokens',
  environments: 'environment_versions',
  signIns: 'sign_ins',
  signingKeys: 'signing_keys',
} as const;

/** What rows can be about. */
export type Subject = keyof typeof TABLES;

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

/** Every version of every flag, of definitions first. */
export function readVersions(file: string): VersionRow[] {
  return all(file, VERSIONS);
}

/** What every flag is now, in every environment that has a state of it. */
export function readPresent(file: string): PresentRow[] {
  return all(file, PRESENT);
}

/** All freezes, lifted ones too. */
export function readFreezes(file: string): FreezeRow[] {
  return all(file, FREEZES);
}

/** All revocations, oldest first, lifted ones too. */
export function readRevocations(file: string): RevocationRow[] {
  return all(file, REVOCATIONS);
}

/** Writes another incident into every revocation. */
export function renameIncidents(file: string, incident: string): void {
  withFile(file, (db) => db.prepare('update revocations set incident = ?').run(incident));
}

/** Writes the purpose of a flag past the log. */
export function forgePurpose(file: string, flag: string, purpose: string): void {
  withFile(file, (db) =>
    db
      .prepare(`update flags set definition = json_set(definition, '$.purpose', ?) where key = ?`)
      .run(purpose, flag),
  );
}

/** The rows of counted evaluations, oldest first. */
export function readEvaluations(file: string): Record<string, unknown>[] {
  return all(file, 'select * from evaluations order by id');
}

/** Changes how often something was evaluated, past what refuses it. */
export function forgeCount(file: string, count: number): void {
  withFile(file, (db) => {
    const name = 'evaluations_refuse_update';
    const trigger = db.prepare('select sql from sqlite_schema where name = ?').pluck().get(name) as string;
    db.exec(`drop trigger ${name}`);
    db.prepare('update evaluations set count = ? where id = (select min(id) from evaluations)').run(count);
    db.exec(trigger);
  });
}

/** Bundles of policies. */
export function readBundles(file: string): { policy_hash: string; archive: Buffer }[] {
  return all(file, 'select policy_hash, archive from policy_bundles order by stored_ms, policy_hash');
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

/** Makes the store refuse every write. @returns what makes it take them again */
export function refuseWrites(file: string): () => void {
  const faults = tableNames(file)
    .filter((table) => !table.startsWith('sqlite_'))
    .flatMap((table) =>
      ['insert', 'update', 'delete'].map((kind) => ({ name: `fault_${table}_${kind}`, table, kind })),
    );
  withFile(file, (db) => {
    for (const { name, table, kind } of faults) {
      db.exec(
        `create trigger "${name}" before ${kind} on "${table}" begin select raise(abort, 'disk on fire'); end`,
      );
    }
  });
  return () =>
    withFile(file, (db) => {
      for (const { name } of faults) db.exec(`drop trigger "${name}"`);
    });
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
  options: { flagsLike?: string; environment?: string } = {},
): () => void {
  const { flagsLike, environment } = options;
  const conditions = [
    ...(flagsLike === undefined ? [] : [`new.flag like '${flagsLike}'`]),
    ...(environment === undefined ? [] : [`new.environment = '${environment}'`]),
  ];
  const when = conditions.length === 0 ? '' : `when ${conditions.join(' and ')}`;
  withFile(file, (db) =>
    db.exec(
      `create trigger fault before insert on ${TABLES[subject]} ${when} begin select raise(abort, 'disk on fire'); end`,
    ),
  );
  return () => withFile(file, (db) => db.exec('drop trigger fault'));
}
