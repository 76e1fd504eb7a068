import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { replayPage } from '../src/audit/replay.ts';
import { append } from '../src/log/append.ts';
import { erase } from '../src/log/erase.ts';
import { storedPolicies } from '../src/policy/stored-policies.ts';
import { newId } from '../src/random.ts';
import { moveInputs } from '../src/retention/archive-inputs.ts';
import { insertEvaluations } from '../src/store/evaluations.ts';
import { storeBuilt, storeBundleSource } from '../src/store/policies.ts';
import { insertReport } from '../src/store/policy-reports.ts';
import { type Reply, startTestBroker, type TestBroker } from './support/broker.ts';
import { erasureEntry, undecidedEntry } from './support/entries.ts';
import { INPUTS } from './support/inputs.ts';
import { findContradictions, readLog } from './support/log-oracle.ts';
import { namesImported, readSources } from './support/sources.ts';
import { EVIDENCE, evidenceTables, forge } from './support/sqlite/evidence.ts';
import { readRequests } from './support/sqlite/rows.ts';
import { playStory } from './support/story.ts';

/*
 * The invariants of the design, and the tests that would fail if one were false.
 *
 *  1  one door                        here and the linter; requests/races, requests/model, store/crash
 *  2  decisions are pure              here
 *  3  deny by default                 policy/deny-by-default
 *  4  approvals are about content     requests/states (edit), requests/votes (digest); here (log oracle)
 *  5  two persons are two persons     requests/votes, policy/own-bundle
 *  6  decided again when writing      requests/decided-again
 *  7  freeze wins                     emergency/freeze, requests/decided-again, requests/races; here (log oracle)
 *  8  break-glass only makes safer    emergency/break-glass, policy/own-bundle
 *  9  evidence is append-only         here
 * 10  no record, no write             store/no-record
 * 11  reads outlive the broker        store/no-record; data/ofrep
 * 12  nothing secret is kept          secrets
 * 13  time is an argument             the linter; here (replay)
 * 14  every answer says what changes  here; requests/propose, requests/states
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
    const states = new Set(readRequests(t.file).map((row) => row.state));
    expect([...states].sort()).toEqual(
      expect.arrayContaining(['applied', 'conflicted', 'rejected', 'withdrawn']),
    );
    expect(new Set(replies.map((reply) => reply.status))).toEqual(
      expect.objectContaining(new Set([200, 201, 403, 409])),
    );
    expect(replies.filter((reply) => reply.status >= 500)).toEqual([]);
    const log = readLog(t.file);
    expect(log.filter((entry) => entry.request?.to === 'applied').length).toBeGreaterThan(20);
    expect(log.filter((entry) => entry.result.effect === 'deny').length).toBeGreaterThan(20);
    const lifts = log.filter(
      ({ request, input }) => request?.to === 'applied' && input.request?.object?.type === 'revocation',
    );
    expect(lifts.length).toBeGreaterThan(5);
    expect(log.filter(({ input }) => input.request?.parked === true)).not.toEqual([]);
  });

  it('leaves a log that explains every state, version, approval, freeze and revocation', async () => {
    expect(await findContradictions(t.file)).toEqual([]);
  });
});

describe('one door', () => {
  const importersOf = (file: string, names: readonly string[]) =>
    readSources('src', '.ts')
      .filter((source) => namesImported(source, file).some((name) => names.includes(name)))
      .map(({ path }) => path);

  it('alone imports the writers of flag state', () => {
    const writers = ['writeDefinition', 'writeState', 'raiseEnvironmentVersion'];
    for (const writer of writers) {
      expect(importersOf('src/store/flags.ts', [writer])).toEqual(['src/requests/write-flags.ts']);
    }
  });

  it('is reached as an effect of one kind of requests alone, which is carried out after asking the policy', () => {
    const door = 'src/requests/write-flags.ts';
    expect(importersOf(door, ['flagsMoved'])).toEqual(['src/requests/kinds/flag-change.ts']);
  });
});

describe('every stored decision', () => {
  it('comes out the same when it is replayed, byte for byte, guardrails and all', async () => {
    const policies = storedPolicies({ inputs: INPUTS });
    const log = readLog(t.file);
    const made = log.filter(({ operation }) => !['policy.activate', 'denials.counted'].includes(operation));
    expect(made.length).toBeGreaterThan(400);
    const page = await replayPage({ store: t.broker.store, policies }, {}, log.length);
    expect(page).toMatchObject({ first_difference: null, same: made.length, different: 0 });
  });
});

describe('the evidence', () => {
  // So that every table has a row to try it with. The story is over, and its log was looked at.
  beforeAll(async () => {
    await t.beforeForging();
    const names = [{ kind: 'person', name: 'emp-1001' }] as const;
    await t.broker.store.writer.write(async (tx) => {
      await erase(tx, { places: [1], names }, await erasureEntry(tx));
      await insertReport(tx, { digest: 'a', report: '{}', measured: '{}', stored_ms: 1 });
      await storeBundleSource(tx, { archive_digest: 'a', source: '{}', stored_ms: 1 });
      // One complete tile.
      for (let turn = 0; turn < 256; turn += 1) await append(tx, await undecidedEntry(tx));
      const row = { environment: 'production', workload: null, flag: null, variant: null, count: 1 };
      await insertEvaluations(tx, 1, [{ ...row, first_ms: 1, last_ms: 1 }]);
      await storeBuilt(tx, 'b', { policy_hash: 'a', archive_digest: 'a' });
    });
    const deps = { store: t.broker.store, clock: t.clock, newId };
    await moveInputs(deps, { before_ms: Number.MAX_SAFE_INTEGER, folder: t.folder });
  });

  it('is every table that the database keeps from changes', () => {
    const { listed, kept } = evidenceTables(t.file);
    expect(kept).toEqual(listed);
  });

  it.each(EVIDENCE)('of %s is neither changed nor removed, whoever holds the connection', (subject) => {
    const { before, forgeries } = forge(t.file, subject);
    expect(before.length).toBeGreaterThan(0);
    for (const { attempt, refusal, rows } of forgeries) {
      if (refusal !== null) expect(refusal, attempt).toMatch(/append-only/);
      expect(rows, attempt).toEqual(before);
    }
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
          ...(gate.code === 'approval_required' && {
            scope: expect.arrayContaining([
              { namespace: expect.stringMatching(/\S/), environment: expect.stringMatching(/\S/) },
            ]),
          }),
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
