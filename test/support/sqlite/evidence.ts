import type Sqlite from 'better-sqlite3';
import { withFile } from './file.ts';
import { type Subject, TABLES } from './rows.ts';

/*
 * Evidence, as somebody who has the file meets it: what they try, and what the database says to it.
 */

/** What is evidence: rows that nobody may ever change or remove. */
export const EVIDENCE = [
  'records',
  'tiles',
  'details',
  'recordFlags',
  'pseudonyms',
  'erasures',
  'flagVersions',
  'stateVersions',
  'bundles',
  'activations',
  'reports',
  'bundleSources',
  'builtBundles',
  'evaluations',
  'archives',
  'archivedInputs',
] as const satisfies Subject[];

/** The tables of {@link EVIDENCE}, sorted, and those that the database keeps from changes. */
export function evidenceTables(file: string): { listed: string[]; kept: string[] } {
  const triggers =
    "select tbl_name from sqlite_master where type = 'trigger' and name = tbl_name || '_refuse_update'";
  const kept = withFile(file, (db) => db.prepare(`${triggers} order by tbl_name`).pluck().all() as string[]);
  return { listed: EVIDENCE.map((subject) => TABLES[subject]).sort(), kept };
}

/** One try to change evidence: the statement, and what the database said (null: it took it). */
export interface Attempt {
  attempt: string;
  refusal: string | null;
}

/** One such try, and the rows after it. */
export interface Forgery extends Attempt {
  rows: unknown[];
}

/** Columns that name a row: a forger keeps them, to put another row in its place. */
const KEYS = [
  'place',
  'level',
  'tile',
  'pseudonym',
  'erased_by',
  'id',
  'flag',
  'environment',
  'version',
  'number',
  'policy_hash',
  'archive_digest',
  'digest',
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

/** Tries each statement on its own. */
function attemptsAt(file: string, statements: readonly string[]): Attempt[] {
  return withFile(file, (db) => {
    db.pragma('foreign_keys = ON');
    return statements.map((attempt) => ({ attempt, refusal: refusalOf(db, attempt) }));
  });
}

/**
 * Tries what an erasure must not have opened: it has erased the record at place 1 and the pseudonym of a person, and left
 * the record at place 2 and the pseudonym of another.
 *
 * @param kept the other person
 */
export function forgeBeyondErasure(file: string, kept: string): Attempt[] {
  return attemptsAt(file, [
    'delete from record_details where place = 2',
    'delete from record_details',
    'delete from leaves where place = 1',
    "update record_details set details = '{}' where place = 2",
    `delete from pseudonyms where name = '${kept}'`,
    "update pseudonyms set name = 'x'",
    'delete from erasures',
    'update erasures set place = 2',
    'insert or replace into record_details select * from record_details where place = 2',
    'insert into erasures (place, erased_by) values (1, 2)',
  ]);
}

/** Tries to change what policy is active, and what it was, where there is one activation. */
export function forgePolicies(file: string): Attempt[] {
  const COPY = 'policy_hash, archive_digest';
  return attemptsAt(file, [
    'delete from policy_bundles',
    "update policy_bundles set archive = x'00'",
    'delete from policy_activations',
    "update policy_activations set policy_hash = 'x'",
    `insert into policy_activations select 3, ${COPY}, 1, null, null, null, null from policy_bundles`,
    `insert or replace into policy_activations select 1, ${COPY}, 9, null, null, null, null from policy_bundles`,
  ]);
}

/** Tries to change which job uploaded a bundle, where there is one. */
export function forgeSources(file: string): Attempt[] {
  return attemptsAt(file, [
    'delete from bundle_sources',
    "update bundle_sources set source = '{}'",
    "insert or replace into bundle_sources select archive_digest, '{}', 1 from bundle_sources",
  ]);
}

/** Tries to activate a bundle that is not stored, where there is one activation. */
export function activateUnknown(file: string): Attempt[] {
  return attemptsAt(file, [
    "insert into policy_activations values (2, 'sha256:00', 'sha256:00', 1, null, null, null, null)",
  ]);
}

/** What somebody with the file, and time to remove its triggers, could do to it. */
const TAMPERINGS = {
  'a record is gone': 'delete from leaves where place = (select max(place) - 1 from leaves)',
  'a leaf has other bytes of the same meaning':
    "update leaves set leaf = replace(leaf, ',', ', ') where place = 2",
  'a tile is another': 'update log_tiles set hashes = zeroblob(8192)',
  'a tile is gone': 'delete from log_tiles',
  'the head has another root': "update log_head set root = 'AAAA'",
  'the head has another right edge': "update log_head set frontier = ''",
  'a decision is gone': 'delete from record_details where place = 2',
  'an input is another': "update record_details set input = replace(input, 'dana', 'alex')",
  'a result is another': "update record_details set result = replace(result, 'hold', 'deny')",
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

/** Changes the stored archive of a bundle of a broker that is closed, past all that the database refuses. */
export function spoilBundle(file: string, policyHash: string): void {
  withFile(file, (db) => {
    db.exec('drop trigger if exists policy_bundles_refuse_update');
    db.prepare("update policy_bundles set archive = archive || x'00' where policy_hash = ?").run(policyHash);
  });
}
