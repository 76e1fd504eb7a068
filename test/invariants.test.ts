import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { storedPolicies } from '../src/policy/stored-policies.ts';
import { APPEND_ONLY_TABLES } from '../src/store/migrations.ts';
import { type Reply, startTestBroker, type TestBroker } from './support/broker.ts';
import { findContradictions, readLog } from './support/log-oracle.ts';
import { importsOf, readSources } from './support/sources.ts';
import { playStory } from './support/story.ts';

/*
 * The invariants of the design, and the tests that would fail if one were false.
 *
 *  1  one door                        here; control/races, control/model, store/crash
 *  2  decisions are pure              here
 *  3  deny by default                 policy/deny-by-default
 *  4  approvals are about content     control/states (edit), control/votes (digest); here (log oracle)
 *  5  two persons are two persons     control/votes, policy/own-bundle
 *  6  decided again when writing      control/decided-again
 *  7  freeze wins                     emergency/freeze, control/decided-again, control/races; here (log oracle)
 *  8  break-glass only makes safer    emergency/break-glass, policy/own-bundle
 *  9  evidence is append-only         here
 * 10  no record, no write             store/no-record
 * 11  reads outlive the broker        store/no-record; data/ofrep
 * 12  nothing secret is kept          secrets
 * 13  time is an argument             boundaries; here (replay)
 * 14  every answer says what changes  here; control/propose, control/states
 */

let t: TestBroker;
let replies: Reply[];

beforeAll(async () => {
  t = await startTestBroker();
  replies = await playStory(t, { seed: 20261118, steps: 1500 });
});

afterAll(() => t.close());

describe('a long story', () => {
  it('has all that the other tests of this file look for', async () => {
    const rows = await t.broker.store.read.selectFrom('requests').select('state').execute();
    const states = new Set(rows.map((row) => row.state));
    expect([...states].sort()).toEqual(
      expect.arrayContaining(['applied', 'conflicted', 'rejected', 'withdrawn']),
    );
    expect(new Set(replies.map((reply) => reply.status))).toEqual(
      expect.objectContaining(new Set([200, 201, 403, 409])),
    );
    expect(replies.filter((reply) => reply.status >= 500)).toEqual([]);
    const log = await readLog(t.broker.store.read);
    expect(log.filter((entry) => entry.request?.to === 'applied').length).toBeGreaterThan(20);
    expect(log.filter((entry) => entry.result.effect === 'deny').length).toBeGreaterThan(20);
    const lifts = log.filter(({ request, input }) => request?.to === 'applied' && input.request?.revocation);
    expect(lifts.length).toBeGreaterThan(5);
    expect(log.filter(({ input }) => input.request?.parked === true)).not.toEqual([]);
  });

  it('leaves a log that explains every state, version, approval, freeze and revocation', async () => {
    expect(await findContradictions(t.broker.store.read)).toEqual([]);
  });
});

describe('one door', () => {
  it('is the only code that knows the writers of flag state', () => {
    const writers = /\b(writeDefinition|writeState|raiseEnvironmentVersion)\b/;
    const users = readSources('src', '.ts').filter(
      ({ path, text }) => path !== 'src/store/flags.ts' && writers.test(text),
    );
    expect(users.map(({ path }) => path)).toEqual(['src/control/apply.ts']);
  });

  it('is reached through deciding only: apply has one caller, which has just asked the policy', () => {
    const callers = readSources('src', '.ts').filter(
      (source) => /\bapplyPlan\b/.test(source.text) && importsOf(source).includes('src/control/apply.ts'),
    );
    expect(callers.map(({ path }) => path)).toEqual(['src/control/settle.ts']);
  });

  it('is the only code that writes to the tables of flags', () => {
    const tables =
      /(insertInto|updateTable|deleteFrom)\(\s*'(flags|flag_states|flag_versions|flag_state_versions|environment_versions)'/;
    const users = readSources('src', '.ts').filter(({ text }) => tables.test(text));
    expect(users.map(({ path }) => path)).toEqual(['src/store/flags.ts']);
  });
});

describe('every stored decision', () => {
  it('comes out the same when it is replayed, guardrails and all', async () => {
    const { read } = t.broker.store;
    const policies = storedPolicies();
    const log = (await readLog(read)).filter((entry) => entry.operation !== 'policy.activate');
    expect(log.length).toBeGreaterThan(400);
    for (const entry of log) {
      const policy = await policies.byHash(read, entry.policy_hash);
      const { effect, reasons, obligations, limits } = policy?.replay(entry.input_json) ?? {};
      expect({ seq: entry.seq, effect, reasons, obligations, limits }).toEqual({
        seq: entry.seq,
        ...entry.result,
      });
    }
  });
});

describe('the evidence', () => {
  it.each(APPEND_ONLY_TABLES)(
    'in %s is neither changed nor removed, whoever holds the connection',
    async (table) => {
      const file = new Sqlite(join(t.folder, 'countersign.db'));
      const before = file.prepare(`select * from ${table}`).all();
      expect(before.length).toBeGreaterThan(0);
      const columns = (file.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => name);
      const keys = ['seq', 'id', 'flag', 'environment', 'version', 'number', 'policy_hash', 'archive_digest'];
      const forged = columns.map((name) => (keys.includes(name) ? name : "'forged'"));
      for (const attempt of [
        `update ${table} set ${columns[0]} = ${columns[0]}`,
        `delete from ${table}`,
        `insert or replace into ${table} select * from ${table}`,
        `replace into ${table} select ${forged.join(', ')} from ${table}`,
      ]) {
        try {
          file.prepare(attempt).run();
        } catch (error) {
          expect(String(error)).toMatch(/append-only/);
        }
        expect(file.prepare(`select * from ${table}`).all()).toEqual(before);
      }
      file.close();
    },
  );

  it('has no code that updates or deletes it', () => {
    const verbs = new RegExp(`(updateTable|deleteFrom)\\(\\s*'(${APPEND_ONLY_TABLES.join('|')})'`);
    expect(readSources('src', '.ts').filter(({ text }) => verbs.test(text))).toEqual([]);
  });
});

describe('every answer', () => {
  it('of refusal by policy or state has a reason, and gates that say who can do what', () => {
    const gated = ['policy_denied', 'sign_in_required', 'request_conflicted', 'digest_mismatch'];
    const refusals = replies.filter((reply) => gated.includes(reply.body?.code));
    expect(refusals.length).toBeGreaterThan(50);
    for (const { body } of refusals) {
      expect(body.detail).not.toBe('');
      expect(body.gates).not.toEqual([]);
      for (const gate of body.gates) {
        expect(gate).toEqual({
          code: expect.stringMatching(/^[a-z_]+$/),
          detail: expect.stringMatching(/\S/),
          cleared_by: expect.stringMatching(/\S/),
          call:
            gate.call === null
              ? null
              : expect.objectContaining({
                  method: expect.any(String),
                  path: expect.stringMatching(/^\/v1\//),
                }),
        });
      }
    }
  });

  it('about an open request has gates, and about an applied one has none', async () => {
    const { items } = (await t.call('avery', 'GET', '/v1/requests?limit=200')).body;
    const open = items.filter((item: Reply['body']) => item.state === 'pending' || item.state === 'ready');
    for (const item of open) expect(item.gates).not.toEqual([]);
    for (const item of items) if (item.state === 'applied') expect(item.gates).toEqual([]);
  });

  it('that is refused comes with the code that its status stands for', async () => {
    const page = await readFile(new URL('../docs/problems.md', import.meta.url), 'utf8');
    for (const { status, body } of replies) {
      if (status >= 400) expect(page).toContain(`## ${body.code}\n\nHTTP ${status}.`);
    }
  });
});
