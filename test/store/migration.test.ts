import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kysely, SqliteDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { ControlDeps, WriteContext } from '../../src/decide/control.ts';
import type { Refused } from '../../src/decide/refused.ts';
import { write } from '../../src/decide/write.ts';
import type { Principal } from '../../src/principal.ts';
import { apply } from '../../src/requests/apply.ts';
import { loadVotes } from '../../src/requests/request.ts';
import { approve } from '../../src/requests/vote.ts';
import { stateOfPerson } from '../../src/revocation/provisioning.ts';
import { findUser, listUsers } from '../../src/revocation/scim-users.ts';
import { openStore } from '../../src/store/database.ts';
import { listActiveFreezes, listOpenSessions } from '../../src/store/emergency.ts';
import { migrations } from '../../src/store/migrations.ts';
import { listProvisionedUsers } from '../../src/store/provisioned-users.ts';
import { findRequest } from '../../src/store/requests.ts';
import { findBrowserSession } from '../../src/store/sessions.ts';
import { heldByFreeze } from '../../src/store/wakes.ts';
import { openControl, personOf } from '../support/local-control.ts';
import { findContradictions } from '../support/log-oracle.ts';
import { occupyTable, schemaOf, tableNames } from '../support/sqlite/file.ts';
import {
  addFormerPrincipal,
  beginSpilled,
  countFormerRecords,
  type FormerRecord,
  formerDatabase,
  readFormerPlans,
  readFormerRecordFlags,
  readFormerRecords,
  removeFormerRecord,
} from '../support/sqlite/former.ts';
import { readHead, readLeaves, readLeavesAndDetails, readRecordFlags } from '../support/sqlite/log.ts';
import { type RequestRow, readRequests, readRevocations, renameIncidents } from '../support/sqlite/rows.ts';
import { treeHash } from '../support/tree-oracle.ts';

/*
 * A database of the former version goes on. The file was written by that version itself (schema 0002, on 18 November 2026
 * from 9:30 on): requests in several states, one with two approvals in one millisecond, a freeze with the request that
 * lifts it, a break-glass session, a browser session, and people whom a provider has disabled and deleted.
 */

const SHIPPED = new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url);
const NOW_MS = Date.UTC(2026, 10, 18, 9, 40);

let folder: string;
let file: string;
let former: FormerRecord[];
const opened: ControlDeps[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-migration-'));
  file = join(folder, 'countersign.db');
  await writeFile(file, formerDatabase());
  former = readFormerRecords(file);
  expect(former.length).toBeGreaterThan(25);
});

afterEach(async () => {
  for (const control of opened.splice(0)) await control.store.close();
  await rm(folder, { recursive: true, force: true });
});

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
  work: (writing: WriteContext) => Promise<T | Refused>,
): Promise<T> {
  return write(control, { principal, credential: null, http_request_id: null }, work);
}

function requestIn({ state, kind }: { state: string; kind: string }, flag?: string): RequestRow {
  const found = readRequests(file)
    .filter((row) => row.state === state && row.kind === kind)
    .find(({ content }) => flag === undefined || content.includes(`"${flag}"`));
  if (found === undefined) throw new Error(`no ${state} ${kind}`);
  return found;
}

describe('the records of a former version', () => {
  it('keep bytes and place, and a salted digest of them is the leaf', async () => {
    await open();
    const rows = readLeavesAndDetails(file);
    expect(rows).toHaveLength(former.length);
    for (const [index, { leaf, salt, details, place, schema_version, ...row }] of rows.entries()) {
      const { seq, record, ...rest } = former[index] as FormerRecord;
      // There was one stage for all.
      expect({ place, details, ...row }).toEqual({ place: seq, details: record, stage: null, ...rest });
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
    const flagsBefore = readFormerRecordFlags(file);
    expect(flagsBefore.length).toBeGreaterThan(10);
    await open();
    expect(readRecordFlags(file)).toEqual(flagsBefore);
    const head = readHead(file);
    expect(head).toMatchObject({
      epoch: 1,
      fence: 1,
      size: former.length,
      root: treeHash(readLeaves(file).map(({ leaf }) => Buffer.from(leaf))).toString('base64'),
      last_ms: Math.max(...former.map(({ at_ms }) => at_ms)),
    });
    expect(head.installation).toMatch(/^[0-9a-f-]{36}$/);
    const tables = tableNames(file);
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
    removeFormerRecord(file, 5);
    await expect(open()).rejects.toThrow(/could not migrate the database schema/);
    expect(countFormerRecords(file)).toBe(former.length - 1);
  });
});

describe('the plans of a former version', () => {
  it('all have a version and an object, and keep their changes and bases', async () => {
    const before = readFormerPlans(file);
    await open();
    const after = readRequests(file);
    expect(after.map(({ id }) => id)).toEqual([...before.keys()]);
    const objects: unknown[] = [];
    for (const { id, kind, plan } of after) {
      const { changes, freeze, bases, ...rest } = JSON.parse(before.get(id) ?? '');
      expect(rest).toEqual({});
      const object = freeze && { type: 'freeze', ...freeze };
      expect(JSON.parse(plan)).toEqual({ version: 1, changes, object, bases });
      expect(changes.length > 0).toBe(kind === 'flag.change');
      expect(object === null).toBe(kind === 'flag.change');
      expect(bases.length).toBeGreaterThan(0);
      objects.push(...(object === null ? [] : [object]));
    }
    expect(objects).toMatchObject([{ type: 'freeze', scope: 'flag', flag: 'old-b', incident: 'INC-2' }]);
  });
});

describe('what was under way in a former version', () => {
  it('goes on: votes count, in the order of their records, and a freeze is lifted', async () => {
    const control = await open();
    const { read } = control.store;
    const waiting = requestIn({ state: 'ready', kind: 'flag.change' }, 'old-b');
    const approvals = former.filter(
      ({ operation, request_id }) => operation === 'request.approve' && request_id === waiting.id,
    );
    // Sam was first, in the same millisecond; by name Alex would be.
    expect(approvals.map(({ person }) => person)).toEqual(['emp-1003', 'emp-1002']);
    expect(new Set(approvals.map(({ at_ms }) => at_ms)).size).toBe(1);
    const votes = await loadVotes(read, waiting.id);
    expect(votes.map(({ decision_id }) => decision_id)).toEqual(approvals.map(({ id }) => id));
    // What was not allowed may have been held back by any freeze, so the lift of each must find it.
    const [freeze] = await listActiveFreezes(read);
    const heldBy = async (id: string) => JSON.parse((await findRequest(read, id))?.held_by ?? '[]');
    const { id: held } = requestIn({ state: 'pending', kind: 'freeze.lift' });
    expect(await heldBy(held)).toContain(heldByFreeze(freeze?.id ?? ''));
    expect(await heldBy(waiting.id)).toEqual([]);

    await expect(
      act(control, cast.dana, (writing) => apply(writing, { request_id: waiting.id, digest: null })),
    ).rejects.toMatchObject({
      code: 'policy_denied',
    });
    const lift = requestIn({ state: 'pending', kind: 'freeze.lift' });
    const word = { request_id: lift.id, digest: lift.digest, comment: null };
    const lifted = await act(control, cast.sam, (writing) => approve(writing, word));
    expect(lifted.state).toBe('applied');
    const applied = await act(control, cast.dana, (writing) =>
      apply(writing, { request_id: waiting.id, digest: null }),
    );
    expect(applied.state).toBe('applied');

    const leaves = readLeaves(file);
    const { size } = readHead(file);
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
    const { store, policies } = await open();
    const policy = await policies.active(store.read);
    const states = await Promise.all(
      ['emp-1007', 'emp-1008', 'emp-1009', 'emp-1001'].map((person) =>
        stateOfPerson(store.read, policy, person),
      ),
    );
    expect(states).toEqual(['disabled', 'deleted', 'active', 'active']);
    const enabled = readRevocations(file).filter(({ issued_before_ms }) => issued_before_ms !== null);
    expect(enabled.map(({ person_state }) => person_state)).toEqual([null]);
    renameIncidents(file, 'INC');
    expect(await stateOfPerson(store.read, policy, 'emp-1008')).toBe('deleted');
  });

  it('keeps the ids of users that it answered, and links none of them', async () => {
    addFormerPrincipal(file, { id: 'person:demo:dana', kind: 'person', person: 'emp-1001' });
    addFormerPrincipal(file, { id: 'workload:x:y', kind: 'workload', person: null });
    const { store, policies } = await open();
    const users = await listProvisionedUsers(store.read);
    // 1007 was disabled, 1009 enabled again, and 1001 signed in; 1008 was deleted.
    expect(users).toEqual(
      ['emp-1001', 'emp-1007', 'emp-1009'].map((id) => ({
        id,
        user_name: null,
        external_id: null,
        linked_ms: null,
      })),
    );
    const policy = await policies.active(store.read);
    expect(await findUser(store.read, policy, 'emp-1007')).toMatchObject({ state: 'disabled' });
    // As no filter finds them, the first POST creates them.
    expect(await listUsers(store.read, policy)).toEqual([]);
  });

  it('keeps its sessions', async () => {
    const { store } = await open();
    expect(await findBrowserSession(store.read, 'hash')).toMatchObject({ id: 'session-1', ended_ms: null });
    expect(await listOpenSessions(store.read, NOW_MS)).toMatchObject([
      { person: 'emp-1005', incident: 'INC-1' },
    ]);
  });
});

describe('a migration that does not complete', () => {
  it('leaves the former schema with its rows, and the next start goes through', async () => {
    const before = schemaOf(file);
    const vacate = occupyTable(file, 'outbox_cursors');
    await expect(openStore({ file, clock: systemClock })).rejects.toThrow(
      /could not migrate the database schema/,
    );
    vacate();
    expect(schemaOf(file)).toEqual(before);
    expect(countFormerRecords(file)).toBe(former.length);
    await open();
    expect(await findContradictions(file)).toEqual([]);
  });

  it('because the process is gone just before its commit leaves on disk what was there', async () => {
    const before = schemaOf(file);
    const copy = join(folder, 'crashed.db');
    const { connection, countLeaves, rollback } = beginSpilled(file);
    const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: connection }) });
    const { error } = await new Migrator({ db, provider: migrations }).migrateToLatest();
    expect(error).toBeUndefined();
    expect(countLeaves()).toBe(former.length);
    await cp(file, copy);
    await cp(`${file}-wal`, `${copy}-wal`);
    rollback();
    await db.destroy();
    expect(schemaOf(copy)).toEqual(before);
    const store = await openStore({ file: copy, clock: () => NOW_MS });
    expect(await findContradictions(copy)).toEqual([]);
    await store.close();
  });
});
