import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import Sqlite from 'better-sqlite3';
import { Kysely, SqliteDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { ControlDeps, Writing } from '../../src/decide/control.ts';
import type { Refused } from '../../src/decide/refused.ts';
import { write } from '../../src/decide/write.ts';
import type { Principal } from '../../src/principal.ts';
import { apply } from '../../src/requests/apply.ts';
import { loadVotes } from '../../src/requests/request.ts';
import { approve } from '../../src/requests/vote.ts';
import { standingOf } from '../../src/revocation/provisioning.ts';
import { openStore } from '../../src/store/database.ts';
import { findOpenSession } from '../../src/store/emergency.ts';
import { migrations } from '../../src/store/migrations.ts';
import { findBrowserSession } from '../../src/store/sessions.ts';
import { openControl, personOf } from '../support/local-control.ts';
import { findContradictions } from '../support/log-oracle.ts';

/*
 * A database of the former version goes on. The file was written by that version itself (schema 0002, on 18 November 2026
 * from 9:30 on): requests in several states, one with two approvals in one millisecond, a freeze with the request that
 * lifts it, a break-glass session, a browser session, and people whom a provider has disabled and deleted.
 */

const FIXTURE = new URL('../../fixtures/stores/0002_identity.db.gz', import.meta.url);
const SHIPPED = new URL('../../policies/bundle.tar.gz', import.meta.url);
const NOW_MS = Date.UTC(2026, 10, 18, 9, 40);

interface FormerRow {
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
  input: string;
  result: string;
}

let folder: string;
let file: string;
let former: FormerRow[];
const opened: ControlDeps[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-migration-'));
  file = join(folder, 'countersign.db');
  await writeFile(file, gunzipSync(await readFile(FIXTURE)));
  former = raw((db) =>
    db.prepare('select records.*, input, result from records join decisions using (id) order by seq').all(),
  ) as FormerRow[];
  expect(former.length).toBeGreaterThan(25);
});

afterEach(async () => {
  for (const control of opened.splice(0)) await control.store.close();
  await rm(folder, { recursive: true, force: true });
});

function raw<T>(work: (db: Sqlite.Database) => T, path = file): T {
  const db = new Sqlite(path);
  try {
    return work(db);
  } finally {
    db.close();
  }
}

async function open(): Promise<ControlDeps> {
  const control = await openControl({ file, archive: await readFile(SHIPPED), clock: () => NOW_MS });
  opened.push(control);
  return control;
}

const cast = {
  dana: personOf('dana', ['payments-developers'], 'emp-1001'),
  alex: personOf('alex', ['payments-approvers'], 'emp-1002'),
  sam: personOf('sam', ['security', 'payments-approvers'], 'emp-1003'),
};

function act<T>(
  control: ControlDeps,
  principal: Principal,
  work: (writing: Writing) => Promise<T | Refused>,
): Promise<T> {
  return write(control, { principal, credential: null, http_request_id: null }, work);
}

async function requestIn(control: ControlDeps, where: { state: string; kind: string }, flag?: string) {
  const rows = await control.store.read
    .selectFrom('requests')
    .selectAll()
    .where('state', '=', where.state)
    .where('kind', '=', where.kind)
    .execute();
  const found = rows.find(({ content }) => flag === undefined || content.includes(`"${flag}"`));
  if (found === undefined) throw new Error(`no ${where.state} ${where.kind}`);
  return found;
}

describe('the records of a former version', () => {
  it('keep bytes and place, and a salted digest of them is the leaf', async () => {
    const { store } = await open();
    const rows = await store.read
      .selectFrom('record_details')
      .innerJoin('leaves', 'leaves.place', 'record_details.place')
      .selectAll()
      .orderBy('record_details.place')
      .execute();
    expect(rows).toHaveLength(former.length);
    for (const [index, { leaf, salt, details, place, schema_version, ...row }] of rows.entries()) {
      const { seq, record, ...rest } = former[index] as FormerRow;
      expect({ place, details, ...row }).toEqual({ place: seq, details: record, ...rest });
      expect(place).toBe(index + 1);
      const digest = createHash('sha256').update(salt).update('\0record\0').update(record).digest('hex');
      expect({ schema_version, leaf }).toEqual({
        schema_version: 0,
        leaf: `{"digest":"sha256:${digest}","schema":{"record":0}}`,
      });
    }
    const salts = rows.map(({ salt }) => Buffer.from(salt, 'base64url'));
    expect(new Set(salts.map(String)).size).toBe(rows.length);
    expect(salts.every((salt) => salt.length === 32)).toBe(true);
  });

  it('are found by what they were found by, and stand in the head', async () => {
    const flagsBefore = raw((db) => db.prepare('select flag, seq as place from record_flags').all());
    const { store } = await open();
    expect(await store.read.selectFrom('record_flags').selectAll().execute()).toEqual(flagsBefore);
    const head = await store.read.selectFrom('log_head').selectAll().executeTakeFirstOrThrow();
    expect(head).toMatchObject({
      epoch: 1,
      fence: 1,
      size: former.length,
      root: null,
      frontier: null,
      last_ms: Math.max(...former.map(({ at_ms }) => at_ms)),
    });
    expect(head.installation).toMatch(/^[0-9a-f-]{36}$/);
    const tables = raw((db) =>
      db.prepare("select name from sqlite_master where type = 'table'").pluck().all(),
    );
    expect(tables).not.toContain('records');
    expect(tables).not.toContain('decisions');
  });

  it('replay to what they decided', async () => {
    const { store, policies } = await open();
    let replayed = 0;
    for (const { operation, policy_hash, input, result } of former) {
      if (operation === 'policy.activate') continue;
      const policy = await policies.byHash(store.read, policy_hash);
      const { effect, reasons, obligations, limits } =
        policy?.replay(input, { input: 1, result: 1, guardrails: 1 }) ?? {};
      expect({ effect, reasons, obligations, limits }).toEqual(JSON.parse(result));
      replayed += 1;
    }
    expect(replayed).toBeGreaterThan(25);
  });

  it('cannot be moved when one is missing: the broker does not start, and changes nothing', async () => {
    raw((db) => {
      db.exec('drop trigger records_refuse_delete; delete from records where seq = 5');
    });
    await expect(open()).rejects.toThrow(/schema could not be brought up to date/);
    expect(raw((db) => db.prepare('select count(*) from records').pluck().get())).toBe(former.length - 1);
  });
});

describe('what was under way in a former version', () => {
  it('goes on: votes count, in the order of their records, and a freeze is lifted', async () => {
    const control = await open();
    const { read } = control.store;
    const waiting = await requestIn(control, { state: 'ready', kind: 'flag.change' }, 'old-b');
    const approvals = former.filter(
      ({ operation, request_id }) => operation === 'request.approve' && request_id === waiting.id,
    );
    // Sam was first, in the same millisecond; by name Alex would be.
    expect(approvals.map(({ person }) => person)).toEqual(['emp-1003', 'emp-1002']);
    expect(new Set(approvals.map(({ at_ms }) => at_ms)).size).toBe(1);
    const votes = await loadVotes(read, waiting.id);
    expect(votes.map(({ decision_id }) => decision_id)).toEqual(approvals.map(({ id }) => id));

    await expect(act(control, cast.dana, (writing) => apply(writing, waiting.id))).rejects.toMatchObject({
      code: 'policy_denied',
    });
    const lift = await requestIn(control, { state: 'pending', kind: 'freeze.lift' });
    const word = { request_id: lift.id, digest: lift.digest, comment: null };
    const lifted = await act(control, cast.sam, (writing) => approve(writing, word));
    expect(lifted.state).toBe('applied');
    const applied = await act(control, cast.dana, (writing) => apply(writing, waiting.id));
    expect(applied.state).toBe('applied');

    const leaves = await read.selectFrom('leaves').selectAll().orderBy('place').execute();
    const { size } = await read.selectFrom('log_head').select('size').executeTakeFirstOrThrow();
    expect(leaves.map(({ place }) => place)).toEqual(Array.from({ length: size }, (_, index) => index + 1));
    expect(leaves.map(({ schema_version }) => schema_version)).toEqual([
      ...former.map(() => 0),
      ...leaves.slice(former.length).map(() => 1),
    ]);
    expect(leaves.length).toBeGreaterThan(former.length + 3);
    expect(JSON.parse(leaves.at(-1)?.leaf ?? '')).toMatchObject({
      operation: 'request.apply',
      request: { id: waiting.id, to: 'applied' },
      votes: approvals.map(({ id }) => id),
    });
    expect(await findContradictions(file)).toEqual([]);
  });

  it('knows whom a provider has disabled or deleted by a column, and not by the text', async () => {
    const { store } = await open();
    const standings = await Promise.all(
      ['emp-1007', 'emp-1008', 'emp-1009', 'emp-1001'].map((person) => standingOf(store.read, person)),
    );
    expect(standings).toEqual(['disabled', 'deleted', 'active', 'active']);
    const rows = await store.read.selectFrom('revocations').selectAll().orderBy('id').execute();
    const enabled = rows.filter(({ issued_before_ms }) => issued_before_ms !== null);
    expect(enabled.map(({ person_state }) => person_state)).toEqual([null]);
    await store.writer.write((tx) => tx.updateTable('revocations').set({ incident: 'INC' }).execute());
    expect(await standingOf(store.read, 'emp-1008')).toBe('deleted');
  });

  it('keeps its sessions', async () => {
    const { store } = await open();
    expect(await findBrowserSession(store.read, 'hash')).toMatchObject({ id: 'session-1', ended_ms: null });
    expect(await findOpenSession(store.read, 'emp-1005', NOW_MS)).toMatchObject({ incident: 'INC-1' });
  });
});

describe('a migration that does not come to its end', () => {
  const schemaOf = (path: string) =>
    raw((db) => db.prepare('select name, sql from sqlite_master order by name').all(), path);

  it('leaves the former schema with its rows, and the next start goes through', async () => {
    const before = schemaOf(file);
    raw((db) => db.exec('create table outbox_cursors (x)'));
    await expect(openStore({ file, clock: systemClock })).rejects.toThrow(/could not be brought up to date/);
    raw((db) => db.exec('drop table outbox_cursors'));
    expect(schemaOf(file)).toEqual(before);
    expect(raw((db) => db.prepare('select count(*) from records').pluck().get())).toBe(former.length);
    await open();
    expect(await findContradictions(file)).toEqual([]);
  });

  it('because the process is gone just before its commit leaves on disk what was there', async () => {
    const before = schemaOf(file);
    const copy = join(folder, 'crashed.db');
    const connection = new Sqlite(file);
    connection.pragma('journal_mode = WAL');
    // What has no room in the cache goes to the log on disk, before any commit.
    connection.pragma('cache_size = 10');
    connection.exec('begin immediate');
    const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: connection }) });
    const { error } = await new Migrator({ db, provider: migrations }).migrateToLatest();
    expect(error).toBeUndefined();
    expect(connection.prepare('select count(*) from leaves').pluck().get()).toBe(former.length);
    await cp(file, copy);
    await cp(`${file}-wal`, `${copy}-wal`);
    connection.exec('rollback');
    await db.destroy();
    expect(schemaOf(copy)).toEqual(before);
    const store = await openStore({ file: copy, clock: () => NOW_MS });
    expect(await findContradictions(copy)).toEqual([]);
    await store.close();
  });
});
