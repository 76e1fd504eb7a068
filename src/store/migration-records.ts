import { randomUUID } from 'node:crypto';
import { type Kysely, sql } from 'kysely';
import { canonicalJson, newSalt, saltedDigest } from '../json.ts';
import { refuseChanges } from './append-only.ts';

/** The parts of the former and of the new schema that the records move between. */
interface BothSchemas {
  records: FormerRecord;
  decisions: { id: string; input: string; result: string };
  leaves: { place: number; schema_version: number; leaf: string };
  record_details: Omit<FormerRecord, 'seq' | 'record'> & {
    place: number;
    salt: string;
    details: string;
    input: string;
    result: string;
  };
}

interface FormerRecord {
  seq: number;
  id: string;
  at_ms: number;
  operation: string;
  outcome: string;
  principal_id: string;
  person: string | null;
  environment: string | null;
  request_id: string | null;
  policy_hash: string;
  record: string;
}

/** The number of records in memory at a time. */
const PAGE = 500;

/**
 * Separates the leaves of the log from their readable details, and adds the head that assigns places, pseudonyms,
 * erasures and the outbox.
 */
export async function addRecords(db: Kysely<unknown>): Promise<void> {
  await createLeaves(db);
  await createErasures(db);
  await createDetails(db);
  await createPseudonyms(db);
  await createOutbox(db);
  await moveRecords(db as Kysely<BothSchemas>);
  await createHead(db);
  await addVoteDecisions(db);
  await db.schema.dropTable('records').execute();
  await db.schema.dropTable('decisions').execute();
  await db.schema.alterTable('record_flags').renameColumn('seq', 'place').execute();
  await addPersonState(db);
}

async function createLeaves(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('leaves')
    .addColumn('place', 'integer', (c) => c.primaryKey().notNull())
    .addColumn('schema_version', 'integer', (c) => c.notNull())
    .addColumn('leaf', 'text', (c) => c.notNull())
    .execute();
  await refuseChanges(db, 'leaves', [['place']]);
}

async function createErasures(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('erasures')
    .addColumn('place', 'integer', (c) => c.unique())
    .addColumn('pseudonym', 'text', (c) => c.unique())
    .addColumn('erased_by', 'integer', (c) => c.notNull())
    .execute();
  await refuseChanges(db, 'erasures', [['place'], ['pseudonym']]);
}

async function createDetails(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('record_details')
    .addColumn('place', 'integer', (c) => c.primaryKey().notNull())
    .addColumn('id', 'text', (c) => c.notNull().unique())
    .addColumn('at_ms', 'bigint', (c) => c.notNull())
    .addColumn('operation', 'text', (c) => c.notNull())
    .addColumn('outcome', 'text', (c) => c.notNull())
    .addColumn('principal_id', 'text', (c) => c.notNull())
    .addColumn('person', 'text')
    .addColumn('environment', 'text')
    .addColumn('request_id', 'text')
    .addColumn('policy_hash', 'text', (c) => c.notNull())
    .addColumn('salt', 'text', (c) => c.notNull())
    .addColumn('details', 'text', (c) => c.notNull())
    .addColumn('input', 'text', (c) => c.notNull())
    .addColumn('result', 'text', (c) => c.notNull())
    .execute();
  const index = (name: string, columns: string[]) =>
    db.schema.createIndex(`record_details_${name}`).on('record_details').columns(columns).execute();
  await index('at', ['at_ms']);
  await index('principal', ['principal_id', 'place']);
  await index('environment', ['environment', 'place']);
  await index('request', ['request_id', 'place']);
  await refuseChanges(db, 'record_details', [['place'], ['id']], {
    erasable: 'exists (select 1 from erasures where erasures.place = old.place)',
  });
}

async function createPseudonyms(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('pseudonyms')
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('pseudonym', 'text', (c) => c.notNull().unique())
    .addPrimaryKeyConstraint('pseudonyms_pk', ['kind', 'name'])
    .execute();
  await refuseChanges(db, 'pseudonyms', [['kind', 'name'], ['pseudonym']], {
    erasable: 'exists (select 1 from erasures where erasures.pseudonym = old.pseudonym)',
  });
}

async function createOutbox(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('outbox')
    .addColumn('place', 'integer', (c) => c.notNull())
    .addColumn('effect', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('outbox_pk', ['place', 'effect'])
    .execute();
  await db.schema
    .createTable('outbox_cursors')
    .addColumn('consumer', 'text', (c) => c.primaryKey().notNull())
    .addColumn('place', 'integer', (c) => c.notNull())
    .execute();
}

/** Former records keep their bytes and place. Their leaf is only a digest, because their bytes name persons. */
async function moveRecords(db: Kysely<BothSchemas>): Promise<void> {
  let moved = 0;
  for (;;) {
    const page = await db
      .selectFrom('records')
      .innerJoin('decisions', 'decisions.id', 'records.id')
      .selectAll('records')
      .select(['decisions.input', 'decisions.result'])
      .where('records.seq', '>', moved)
      .orderBy('records.seq')
      .limit(PAGE)
      .execute();
    for (const { seq: place, record, ...rest } of page) {
      moved += 1;
      if (place !== moved) throw new Error(`the decision log has no record at place ${moved}`);
      const salt = newSalt();
      const leaf = canonicalJson({ schema: { record: 0 }, digest: saltedDigest(salt, 'record', record) });
      await db.insertInto('leaves').values({ place, schema_version: 0, leaf }).execute();
      await db
        .insertInto('record_details')
        .values({ place, salt, details: record, ...rest })
        .execute();
    }
    if (page.length < PAGE) break;
  }
  const { rows } = await sql<{ last: number | null }>`select max(seq) as last from records`.execute(db);
  if ((rows[0]?.last ?? 0) !== moved)
    throw new Error(`the decision log has a record without its decision after place ${moved}`);
}

/** A single permanent row: the installation's id, and the size of its log. */
async function createHead(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('log_head')
    .addColumn('id', 'integer', (c) => c.primaryKey().notNull().check(sql`id = 1`))
    .addColumn('installation', 'text', (c) => c.notNull())
    .addColumn('epoch', 'integer', (c) => c.notNull())
    .addColumn('fence', 'integer', (c) => c.notNull())
    .addColumn('size', 'integer', (c) => c.notNull())
    .addColumn('root', 'text')
    .addColumn('frontier', 'text')
    .addColumn('last_ms', 'bigint', (c) => c.notNull())
    .execute();
  await sql`insert into log_head (id, installation, epoch, fence, size, root, frontier, last_ms)
    select 1, ${randomUUID()}, 1, 0, (select count(*) from leaves), null, null,
      coalesce((select at_ms from record_details order by place desc limit 1), 0)`.execute(db);
}

/** Links each vote to the record of its decision: for existing votes, the last one that allowed it at its time. */
async function addVoteDecisions(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('votes').addColumn('decision_id', 'text').execute();
  await sql`update votes set decision_id = (
    select d.id from record_details d
    where d.request_id = votes.request_id and d.person = votes.person and d.at_ms = votes.at_ms
      and d.operation = 'request.' || votes.verdict and d.outcome = 'allow'
    order by d.place desc limit 1)`.execute(db);
}

/** The person's state at the identity provider was previously stored only in the text of the incident. */
async function addPersonState(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('revocations').addColumn('person_state', 'text').execute();
  await sql`update revocations
    set person_state = case incident when 'provisioning: deleted' then 'deleted' else 'disabled' end
    where cause = 'provisioning' and issued_before_ms is null`.execute(db);
}
