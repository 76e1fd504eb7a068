import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { samplePerson, sampleQuestion } from '../../../src/activation/checks/samples.ts';
import { openThread } from '../../../src/activation/checks/thread.ts';
import { readStoredBundle } from '../../../src/policy/bundle.ts';
import { listPrincipals, upsertPrincipal } from '../../../src/store/principals.ts';
import { signIn, withConfig } from '../../support/activation.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { readFixtureBundle } from '../../support/bundles.ts';
import { reportOf, upload } from '../../support/checks.ts';
import { approve } from '../../support/flags.ts';

/** Far longer than it takes, on a busy machine too. */
const LONG_MS = 120_000;

/*
 * The checks run again when an approved policy is to become active: what is worse than the approved report is a conflict.
 */

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
  await signIn(t);
});

afterEach(() => t.close());

const rowed = (patch: unknown[]) =>
  t.call('morgan', 'POST', '/v1/requests', { kind: 'policy.activate', patch, reason: 'a test' });
const group = (name: string) =>
  `/config/role_bindings/groups/${t.people.issuer.replaceAll('/', '~1')}/${name}`;
const developer = { roles: ['flag-deployer', 'flag-reader'], namespaces: ['payments'], environments: ['*'] };

/** Somebody signs in for the first time, with this group, as another broker on the store sees it. */
async function arrive(name: string, groups: string[]): Promise<void> {
  const { store } = t.broker;
  const known = (await listPrincipals(store.read)).find(({ id }) => id === 'person:demo:sam');
  if (known === undefined) throw new Error('sam has not signed in');
  const [id, person] = [`person:demo:${name}`, `emp-${name}`];
  const principal = { ...JSON.parse(known.principal), id, person, groups };
  await store.writer.write((tx) =>
    upsertPrincipal(tx, { ...known, id, person, principal: JSON.stringify(principal) }),
  );
}

describe('an approved policy', () => {
  it(
    'conflicts if somebody gains access whom nobody approved, and says who gains what',
    async () => {
      const { body } = await rowed([{ op: 'add', path: group('newcomers'), value: [developer] }]);
      const { report } = await reportOf(t, body);
      expect(report.access.gained.principals).toEqual([]);
      await approve(t, 'jordan', body);
      await arrive('nina', ['newcomers']);
      const conflicted = (await approve(t, 'sam', body)).body;
      expect(conflicted.state).toBe('conflicted');
      const { detail } = conflicted.gates[0];
      expect(detail).toContain('more would change than was approved: access was gained since the approval');
      expect(detail).toContain('emp-nina may');
      const record = await t.call('avery', 'GET', `/v1/decisions/${conflicted.decision_id}`);
      expect(record.body.outcome.note).toMatchObject({
        code: 'request_conflicted',
        detail: expect.stringContaining('emp-nina'),
      });
      // Proposed again, the report has her.
      const again = (await rowed([{ op: 'add', path: group('newcomers'), value: [developer] }])).body;
      const named = (await reportOf(t, again)).report.access.gained.principals;
      expect(named).toMatchObject([{ names: ['emp-nina'] }]);
      await approve(t, 'jordan', again);
      expect((await approve(t, 'sam', again)).body.state).toBe('applied');
    },
    LONG_MS,
  );

  it('has in its report who was seen a moment ago', async () => {
    await t.call('casey', 'GET', '/v1/whoami');
    const path = group('customer-success');
    const { body } = await rowed([{ op: 'add', path: `${path}/-`, value: developer }]);
    expect((await reportOf(t, body)).report.access.gained.principals).toMatchObject([
      { names: ['emp-1004'] },
    ]);
    await approve(t, 'jordan', body);
    await t.broker.scheduler.tick();
    expect((await approve(t, 'sam', body)).body.state).toBe('applied');
  });

  it('keeps its report while others arrive whom it does not concern', async () => {
    const { body } = await rowed([{ op: 'add', path: group('newcomers'), value: [developer] }]);
    await approve(t, 'jordan', body);
    await arrive('otto', ['elsewhere']);
    const applied = (await approve(t, 'sam', body)).body;
    expect([applied.state, applied.bases]).toEqual(['applied', body.bases]);
  });

  it(
    'keeps its report over a restart, which forgets what was found',
    async () => {
      const { body } = await rowed([{ op: 'replace', path: '/config/limits/request_ttl_s', value: 1000 }]);
      await approve(t, 'jordan', body);
      await t.restart();
      const applied = (await approve(t, 'sam', body)).body;
      expect([applied.state, applied.bases]).toEqual(['applied', body.bases]);
    },
    LONG_MS,
  );
});

describe('a check', () => {
  it('of a policy that runs on and on is ended, and the broker goes on', async () => {
    const bomb = await readStoredBundle(await readFixtureBundle('bomb'));
    const sound = await readStoredBundle(await readFile(join(t.folder, 'bundle.tar.gz')));
    const thread = openThread(
      { bundles: { active: sound, candidate: sound }, stage: null },
      { deadlineMs: 1 },
    );
    await expect(thread.run('backtest', { rows: [] })).rejects.toMatchObject({
      code: 'invalid_change',
      fields: { errors: [{ detail: 'the policy did not answer within 0.001 seconds' }] },
    });
    await thread.close();
    const other = openThread({ bundles: { active: sound, candidate: bomb }, stage: null });
    const question = sampleQuestion('policy.read', samplePerson('x', { issuer: t.people.issuer }));
    const [answer] = await other.run('ask', { questions: [{ question, now_ms: 0 }] });
    expect(answer?.candidate).toMatchObject({ effect: 'deny', reasons: [{ code: 'policy_error' }] });
    expect(answer?.active.effect).toBe('deny');
    await other.close();
    expect((await t.call('morgan', 'GET', '/v1/whoami')).status).toBe(200);
  });
});

describe('checks without a proposal', () => {
  const patch = [{ op: 'replace', path: '/config/limits/request_ttl_s', value: 1000 }];
  const start = (who: string, asked: object = { patch }) => t.call(who, 'POST', '/v1/policy/checks', asked);
  const look = (who: string, id: string) => t.call(who, 'GET', `/v1/policy/checks/${id}`);
  async function ended(who: string, id: string) {
    for (;;) {
      const { body } = await look(who, id);
      if (body.state !== 'running') return body;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  it(
    'tell how far they are, one for each caller, and are seen by the caller alone',
    async () => {
      const { status, body, headers } = await start('morgan');
      expect([status, body.state, headers.get('location')]).toEqual([
        202,
        'running',
        `/v1/policy/checks/${body.id}`,
      ]);
      const second = await start('morgan');
      expect([second.status, second.body.code, second.body.running]).toEqual([
        409,
        'state_conflict',
        body.id,
      ]);
      expect((await look('jordan', body.id)).body.code).toBe('not_found');
      const { state, result, fault } = await ended('morgan', body.id);
      expect([state, fault]).toEqual(['done', null]);
      expect(result.report).toMatchObject({ changes_nothing: true, cases: { failed: [] } });
      // Nothing was proposed or stored, and the proposal uses what was found.
      expect((await t.call('morgan', 'GET', '/v1/requests')).body.items).toEqual([]);
      const request = (await rowed(patch)).body;
      expect((await reportOf(t, request)).digest).toBe(result.digest);
    },
    LONG_MS,
  );

  it(
    'take their place before anything is built: of many at one moment one starts',
    async () => {
      const answers = await Promise.all(Array.from({ length: 6 }, () => start('morgan')));
      expect(answers.map(({ status }) => status).sort()).toEqual([202, 409, 409, 409, 409, 409]);
      const started = answers.find(({ status }) => status === 202);
      expect((await ended('morgan', started?.body.id)).state).toBe('done');
    },
    LONG_MS,
  );

  it('are for those who may propose a policy, and refuse what cannot be one', async () => {
    expect((await start('dana')).body.code).toBe('policy_denied');
    expect((await start('morgan', { patch, policy_hash: `sha256:${'0'.repeat(64)}` })).status).toBe(400);
    expect((await start('morgan', { policy_hash: `sha256:${'0'.repeat(64)}` })).body.code).toBe('not_found');
    const bad = [{ op: 'add', path: '/config/zones/-', value: 'Europe/Atlantis' }];
    expect((await start('morgan', { patch: bad })).body.code).toBe('invalid_change');
  });

  it('replay the places that are asked for', async () => {
    const shipped = await readFile(join(t.folder, 'bundle.tar.gz'));
    const edited = await withConfig(shipped, ({ limits = {} }) =>
      Object.assign(limits, { request_ttl_s: 7 }),
    );
    const { policy_hash } = (await upload(t, edited)).body;
    const { body } = await start('morgan', { policy_hash, span: { from_place: 1, to_place: 1 } });
    const { result } = await ended('morgan', body.id);
    expect(result.report.span).toEqual({ from_place: 1, to_place: 1 });
    expect(result.report.backtest).toMatchObject({ decisions: 0, skipped: { no_policy: 1 } });
  });
});
