import { sql } from 'kysely';
import type {
  EnvironmentVersionsTable,
  FlagStatesTable,
  FlagStateVersionsTable,
  FlagsTable,
  FlagVersionsTable,
} from './schema.ts';
import {
  type Certain,
  certainStatement,
  type Db,
  deferredInsert,
  settledStatement,
  statement,
  type Tx,
} from './statement.ts';

const findDefinitionStatement = statement<{ key: string }, FlagsTable>((db, p) =>
  db.selectFrom('flags').selectAll().where('key', '=', p('key')),
);
// Two look-ups instead of a join, which SQLite would plan again for each binding.
const findInEnvironmentStatement = statement<{ key: string; environment: string }, FlagRow>((db, p) => {
  const state = db
    .selectFrom('flag_states')
    .where('environment', '=', p('environment'))
    .whereRef('flag', '=', 'flags.key' as never);
  return db
    .selectFrom('flags')
    .select(['key', 'namespace', 'version', 'retired', 'definition'])
    .select([state.select('version').as('state_version'), state.select('state').as('state')])
    .where('key', '=', p('key'));
});
const insertDefinitionStatement = certainStatement<FlagsTable>((db, p) =>
  db.insertInto('flags').values({
    key: p('key'),
    namespace: p('namespace'),
    version: p('version'),
    retired: p('retired'),
    definition: p('definition'),
  }),
);
const updateDefinitionStatement = certainStatement<FlagsTable & { base: number }>((db, p) =>
  db
    .updateTable('flags')
    .set({
      namespace: p('namespace'),
      version: p('version'),
      retired: p('retired'),
      definition: p('definition'),
    })
    .where('key', '=', p('key'))
    .where('version', '=', p('base')),
);
const insertDefinitionVersion = deferredInsert<FlagVersionsTable>('flag_versions', [
  'flag',
  'version',
  'definition',
  'request_id',
  'decision_id',
  'at_ms',
]);
const insertStateStatement = certainStatement<FlagStatesTable>((db, p) =>
  db.insertInto('flag_states').values({
    flag: p('flag'),
    environment: p('environment'),
    version: p('version'),
    state: p('state'),
  }),
);
const updateStateStatement = certainStatement<FlagStatesTable & { base: number }>((db, p) =>
  db
    .updateTable('flag_states')
    .set({ version: p('version'), state: p('state') })
    .where('environment', '=', p('environment'))
    .where('flag', '=', p('flag'))
    .where('version', '=', p('base')),
);
const insertStateVersion = deferredInsert<FlagStateVersionsTable>('flag_state_versions', [
  'flag',
  'environment',
  'version',
  'state',
  'request_id',
  'decision_id',
  'at_ms',
]);
const environmentVersionStatement = settledStatement<{ environment: string }, { version: number }>(
  'environment_versions',
  (db, p) =>
    db.selectFrom('environment_versions').select('version').where('environment', '=', p('environment')),
);
const putEnvironmentVersion = deferredInsert<EnvironmentVersionsTable>(
  'environment_versions',
  ['environment', 'version'],
  { replacedBy: 'environment' },
);

/** The current definition of a flag, or undefined if the flag never existed. */
export async function findDefinition(db: Db, key: string): Promise<FlagsTable | undefined> {
  return (await findDefinitionStatement(db, { key })).rows[0];
}

/** The namespaces that have flags. */
export async function listNamespaces(db: Db): Promise<string[]> {
  const rows = await db.selectFrom('flags').select('namespace').distinct().orderBy('namespace').execute();
  return rows.map(({ namespace }) => namespace);
}

/** Names of flags, also of retired ones: of one namespace, or with a key like this one. */
export async function listFlagNames(
  db: Db,
  filter: { namespace?: string; like?: string; limit: number },
): Promise<{ key: string; namespace: string }[]> {
  let query = db.selectFrom('flags').select(['key', 'namespace']).orderBy('key').limit(filter.limit);
  const { namespace, like } = filter;
  if (namespace !== undefined) query = query.where('namespace', '=', namespace);
  if (like !== undefined) {
    const { length } = like;
    query = query.where((e) =>
      e.or([
        e.between(e.fn<number>('length', ['key']), length - 3, length + 3),
        e(sql<string>`substr(key, 1, ${length})`, '=', like),
      ]),
    );
  }
  return query.execute();
}

/** Flags of one namespace, tier, kind and owner. */
export interface FlagGroup {
  namespace: string;
  tier: string;
  kind: string;
  owner: string;
  /** How many they are. */
  flags: number;
  /** The keys of some, in order. */
  names: string[];
}

/** The flags that are not retired, by what policies tell them apart. @param maxNames of each group */
export async function listFlagGroups(db: Db, maxNames: number): Promise<FlagGroup[]> {
  const rows = await db
    .selectFrom('flags')
    .select(['key', 'namespace', 'definition'])
    .where('retired', '=', 0)
    .orderBy('key')
    .execute();
  const groups = new Map<string, FlagGroup>();
  for (const { key, namespace, definition } of rows) {
    const { tier, kind, owner } = JSON.parse(definition) as Omit<FlagGroup, 'namespace'>;
    const of = JSON.stringify([namespace, tier, kind, owner]);
    const group = groups.get(of) ?? { namespace, tier, kind, owner, flags: 0, names: [] };
    groups.set(of, {
      ...group,
      flags: group.flags + 1,
      names: group.names.length < maxNames ? [...group.names, key] : group.names,
    });
  }
  return [...groups.values()];
}

/** A flag with its current state in an environment, or undefined if the flag never existed. */
export async function findInEnvironment(
  db: Db,
  key: string,
  environment: string,
): Promise<FlagRow | undefined> {
  return (await findInEnvironmentStatement(db, { key, environment })).rows[0];
}

/** The request and the decision behind a new version. */
export interface VersionOrigin {
  request_id: string;
  decision_id: string;
  at_ms: number;
}

/**
 * Writes the next version of a definition.
 *
 * @throws Error if the stored version is not `row.version - 1`; in the writing transaction that is a programming error
 */
export async function writeDefinition(tx: Tx, row: FlagsTable, origin: VersionOrigin): Promise<void> {
  const base = row.version - 1;
  if (base === 0) await insertDefinitionStatement(tx, row, moved(row.key));
  else await updateDefinitionStatement(tx, { ...row, base }, moved(row.key));
  const { version, definition } = row;
  await insertDefinitionVersion(tx, { flag: row.key, version, definition, ...origin });
}

/** As {@link writeDefinition}, for the state in one environment. */
export async function writeState(tx: Tx, row: FlagStatesTable, origin: VersionOrigin): Promise<void> {
  const base = row.version - 1;
  if (base === 0) await insertStateStatement(tx, row, moved(row.flag));
  else await updateStateStatement(tx, { ...row, base }, moved(row.flag));
  await insertStateVersion(tx, { ...row, ...origin });
}

function moved(flag: string): Certain {
  return { rows: 1, otherwise: `the version of ${flag} changed inside the writing transaction` };
}

/** Increments the version of an environment. @returns its new version */
export async function raiseEnvironmentVersion(tx: Tx, environment: string): Promise<number> {
  const version = (await environmentVersion(tx, environment)) + 1;
  await putEnvironmentVersion(tx, { environment, version });
  knowEnvironmentVersion(tx, { environment, version });
  return version;
}

/** Tells the writes of a batch the version of an environment. */
export function knowEnvironmentVersion(tx: Tx, { environment, version }: EnvironmentVersionsTable): void {
  environmentVersionStatement.know(tx, { environment }, [{ version }]);
}

/**
 * Increments the version of an environment that the policy has added. The policy may have had it before, and flags may
 * have changed since without a new version there; the increment invalidates caches of the former version.
 */
export async function renewEnvironment(tx: Tx, environment: string): Promise<void> {
  await raiseEnvironmentVersion(tx, environment);
}

/** The version of an environment; 0 if nothing ever changed there. */
export async function environmentVersion(db: Db, environment: string): Promise<number> {
  return (await environmentVersionStatement(db, { environment })).rows[0]?.version ?? 0;
}

/** The versions of all environments. */
export async function environmentVersions(db: Db): Promise<ReadonlyMap<string, number>> {
  const rows = await db.selectFrom('environment_versions').selectAll().execute();
  return new Map(rows.map(({ environment, version }) => [environment, version]));
}

/** A flag with its state in one environment; `state` is null if it never had one. */
export interface FlagRow {
  key: string;
  namespace: string;
  version: number;
  retired: number;
  definition: string;
  state_version: number | null;
  state: string | null;
}

/** The filter of {@link listFlags}. */
export interface FlagFilter {
  namespaces?: readonly string[];
  key?: string;
  /** Only flags after this key, for paging. */
  after?: string | null;
  limit?: number;
}

/** Flags with their state in an environment, by key. */
export async function listFlags(db: Db, environment: string, filter: FlagFilter = {}): Promise<FlagRow[]> {
  let query = db
    .selectFrom('flags')
    .leftJoin('flag_states', (join) =>
      join.onRef('flag_states.flag', '=', 'flags.key').on('flag_states.environment', '=', environment),
    )
    .select([
      'flags.key',
      'flags.namespace',
      'flags.version',
      'flags.retired',
      'flags.definition',
      'flag_states.version as state_version',
      'flag_states.state',
    ])
    .orderBy('flags.key');
  if (filter.namespaces !== undefined) query = query.where('flags.namespace', 'in', filter.namespaces);
  if (filter.key !== undefined) query = query.where('flags.key', '=', filter.key);
  if (typeof filter.after === 'string') query = query.where('flags.key', '>', filter.after);
  if (filter.limit !== undefined) query = query.limit(filter.limit);
  return query.execute();
}

/** All current states of a flag, by environment. */
export async function listStates(db: Db, flag: string): Promise<FlagStatesTable[]> {
  return db.selectFrom('flag_states').selectAll().where('flag', '=', flag).orderBy('environment').execute();
}

/** One version of a definition, or undefined. */
export async function findDefinitionVersion(
  db: Db,
  at: { flag: string; version: number },
): Promise<FlagVersionsTable | undefined> {
  return db
    .selectFrom('flag_versions')
    .selectAll()
    .where('flag', '=', at.flag)
    .where('version', '=', at.version)
    .executeTakeFirst();
}

/** One earlier state, or undefined. */
export async function findStateVersion(
  db: Db,
  at: { flag: string; environment: string; version: number },
): Promise<FlagStateVersionsTable | undefined> {
  return db
    .selectFrom('flag_state_versions')
    .selectAll()
    .where('flag', '=', at.flag)
    .where('environment', '=', at.environment)
    .where('version', '=', at.version)
    .executeTakeFirst();
}

/** States, newest first, only those before `beforeVersion`. */
export async function listStateVersions(
  db: Db,
  options: { flag: string; environment: string; beforeVersion: number | null; limit: number },
): Promise<FlagStateVersionsTable[]> {
  let query = db
    .selectFrom('flag_state_versions')
    .selectAll()
    .where('flag', '=', options.flag)
    .where('environment', '=', options.environment);
  if (options.beforeVersion !== null) query = query.where('version', '<', options.beforeVersion);
  return query.orderBy('version', 'desc').limit(options.limit).execute();
}
