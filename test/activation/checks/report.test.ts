import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../../src/json.ts';
import { type Config, signIn, withConfig } from '../../support/activation.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { reportOf, upload, withCases } from '../../support/checks.ts';
import { approve, createFlag, propose } from '../../support/flags.ts';
import { countsOf } from '../../support/sqlite/rows.ts';
import { withWords } from '../../support/stages.ts';

/*
 * The report of a candidate policy, as part of the request that people approve.
 */

let t: TestBroker;
let shipped: Buffer;

beforeEach(async () => {
  t = await startTestBroker();
  shipped = await readFile(join(t.folder, 'bundle.tar.gz'));
  await signIn(t);
});

afterEach(() => t.close());

const rowed = (patch: unknown[], fields: object = {}) =>
  t.call('morgan', 'POST', '/v1/requests', { kind: 'policy.activate', patch, reason: 'a test', ...fields });
const group = (name: string) =>
  `/config/role_bindings/groups/${t.people.issuer.replaceAll('/', '~1')}/${name}`;
const ttl = (seconds: number) => [{ op: 'replace', path: '/config/limits/request_ttl_s', value: seconds }];
/** From now on nobody but the security team may do anything in payments. */
const withoutDevelopers = () => [{ op: 'remove', path: group('payments-developers') }];

async function approved(request: { id: string; digest: string }) {
  await approve(t, 'jordan', request as never);
  return (await approve(t, 'sam', request as never)).body;
}

describe('the backtest', () => {
  it('finds each recorded decision that would change, by what it is about', async () => {
    const flag = await createFlag(t, 'checkout', { tier: 'informational' });
    const held = await createFlag(t, 'risky', { tier: 'sensitive' });
    expect((await propose(t, [{ action: 'enable', flag }])).body.state).toBe('applied');
    const two = (await propose(t, [{ action: 'disable', flag }])).body;
    const pending = (await propose(t, [{ action: 'enable', flag: held }], { ticket: 'PAY-1' })).body;
    const { body } = await rowed(withoutDevelopers());
    const { report, digest } = await reportOf(t, body);
    expect(digestOf(report)).toBe(digest);
    expect(report.backtest.changed).toBeGreaterThanOrEqual(3);
    expect(report.changes_nothing).toBe(false);
    type Group = { operation: string; tier: string; from: { effect: string }; examples: string[] };
    const groups = report.backtest.groups as Group[];
    const among = (operation: string, tier: string, from: string) =>
      groups.filter(
        (each) => each.operation === operation && each.tier === tier && each.from.effect === from,
      );
    expect(among('request.propose', 'informational', 'allow')).toContainEqual(
      expect.objectContaining({
        environment: 'production',
        to: { effect: 'deny', reasons: expect.arrayContaining(['unknown_principal']) },
        examples: expect.arrayContaining([two.decision_id]),
        only_obligations: false,
      }),
    );
    const holds = among('request.propose', 'sensitive', 'hold').flatMap(({ examples }) => examples);
    expect(holds).toContain(pending.decision_id);
    // Each link leads to the decision.
    const found = await t.call('avery', 'GET', `/v1/decisions/${pending.decision_id}`);
    expect(found.body).toMatchObject({ operation: 'request.propose' });
    expect(body.summary).not.toContain('no recorded decision');
  });

  it('asks anew: under the environments, zones and persons of the candidate', async () => {
    const flag = await createFlag(t, 'checkout', { tier: 'operational' });
    await propose(t, [{ action: 'enable', flag }], { environment: 'staging' });
    const { body } = await rowed([
      { op: 'replace', path: '/config/environments/staging', value: { kind: 'production' } },
    ]);
    const { report } = await reportOf(t, body);
    expect(report.backtest.groups).toContainEqual(
      expect.objectContaining({ operation: 'request.propose', environment: 'staging', tier: 'operational' }),
    );
  });

  it('leaves out what was erased or decided by no policy, and says how much', async () => {
    const { body } = await rowed(ttl(1000));
    const { report } = await reportOf(t, body);
    const { decisions, skipped } = report.backtest;
    const total = decisions + Object.values(skipped as Record<string, number>).reduce((a, b) => a + b, 0);
    expect(total).toBe(report.span.to_place - report.span.from_place + 1);
    expect(skipped.no_policy).toBeGreaterThanOrEqual(1);
  });

  it('covers as many records as the active policy says', async () => {
    const few = await rowed([{ op: 'add', path: '/config/checks', value: { backtest_records: 2 } }]);
    // The path of a folder is no row.
    expect(few.body.code).toBe('invalid_request');
    const hash = (
      await upload(
        t,
        await withConfig(shipped, (config) => Object.assign(config, { checks: { backtest_records: 2 } })),
      )
    ).body.policy_hash;
    const activation = { kind: 'policy.activate', policy_hash: hash, reason: 'a test' };
    const first = (await t.call('morgan', 'POST', '/v1/requests', activation)).body;
    expect((await reportOf(t, first)).report.span.from_place).toBe(1);
    expect(await approved(first)).toMatchObject({ state: 'applied' });
    const { report } = await reportOf(t, (await rowed(ttl(1000))).body);
    expect(report.span.to_place - report.span.from_place).toBe(1);
  });
});

describe('a row that changes nothing', () => {
  it('says so in its report and its sentence', async () => {
    await createFlag(t, 'checkout');
    const { body } = await rowed(ttl(1000));
    expect(body.summary).toBe(
      'change the policy: replace /config/limits/request_ttl_s; no recorded decision and no access changes',
    );
    const { report } = await reportOf(t, body);
    expect(report).toMatchObject({ changes_nothing: true, backtest: { changed: 0, groups: [] } });
  });
});

describe('a bundle with another module', () => {
  it('never says that it changes nothing, since its rules may wait for a person or a date', async () => {
    const { body } = await upload(t, await withWords(shipped, 'Nobody has read this.'));
    const content = { kind: 'policy.activate', policy_hash: body.policy_hash, reason: 'a test' };
    const request = (await t.call('morgan', 'POST', '/v1/requests', content)).body;
    expect(request.object).not.toHaveProperty('changes_nothing');
    expect(request.summary).not.toContain('no recorded decision');
    expect((await reportOf(t, request)).report).toMatchObject({
      changes_nothing: false,
      access: { notes: [{ code: 'other_module' }] },
    });
  });
});

describe('the report', () => {
  it('is covered by the digest that people approve, and stored once', async () => {
    const { body } = await rowed(ttl(1000));
    expect(await countsOf(t.file, ['reports'])).toEqual({ reports: 1 });
    expect((await approve(t, 'jordan', { ...body, digest: digestOf({}) })).status).toBe(409);
    const again = (await rowed(ttl(1000))).body;
    // Nothing that was measured is in it.
    expect(again.bases).toEqual(body.bases);
    expect(await countsOf(t.file, ['reports'])).toEqual({ reports: 1 });
  });

  it('is read by those who may read the request, and by nobody else', async () => {
    const { body } = await rowed(ttl(1000));
    const { digest } = await reportOf(t, body, 'sam');
    expect((await t.call('dana', 'GET', `/v1/policy/reports/${digest}`)).status).toBe(403);
    const unknown = await t.call('sam', 'GET', `/v1/policy/reports/${digestOf('nothing')}`);
    expect(unknown.body).toMatchObject({ code: 'not_found' });
  });

  it('names nobody to a reader who may neither read access nor approve', async () => {
    const { body } = await rowed(ttl(1000));
    for (const [who, isTold] of [
      ['sam', true],
      ['avery', true],
      ['riley', false],
    ] as const) {
      const { report } = await reportOf(t, body, who);
      expect(['access' in report, 'next_activation' in report], who).toEqual([isTold, isTold]);
    }
  });

  it('warns of bindings of persons, of windows that nobody names, and of a bundle without cases', async () => {
    const binding = [{ roles: ['flag-reader'], namespaces: ['*'], environments: ['*'] }];
    const { body } = await rowed([
      { op: 'add', path: '/config/role_bindings/principals/person:demo:dana', value: binding },
      {
        op: 'add',
        path: '/config/windows/nights',
        value: {
          zone: 'Europe/Berlin',
          days: [1],
          start: { hour: 1, minute: 0 },
          end: { hour: 2, minute: 0 },
          holidays: [],
        },
      },
    ]);
    expect(body.code, JSON.stringify(body)).toBeUndefined();
    const { report } = await reportOf(t, body);
    expect(report.warnings.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      '',
      '/config/role_bindings/principals/person:demo:dana',
      '/config/windows/nights',
    ]);
  });
});

describe('a candidate is refused', () => {
  const proposed = async (archive: Buffer) => {
    const stored = await upload(t, archive);
    expect(stored.status, JSON.stringify(stored.body)).toBe(201);
    const content = {
      kind: 'policy.activate',
      policy_hash: stored.body.policy_hash,
      archive_digest: stored.body.archive_digest,
      reason: 'a test',
    };
    return t.call('morgan', 'POST', '/v1/requests', content);
  };
  const slow = (config: Config) =>
    Object.assign(config, { limits: { ...config.limits, request_ttl_s: 999 } });

  it('with a decision case that it does not pass, and nothing is stored', async () => {
    const failing = {
      name: 'everybody may',
      whole_input: { schema_version: 2 },
      expected: { effect: 'allow' },
    };
    const { status, body } = await proposed(
      await withCases(await withConfig(shipped, slow), { 'own.json': [failing] }),
    );
    expect([status, body.code]).toEqual([422, 'invalid_change']);
    expect(body.errors[0].detail).toContain('the decision case "own: everybody may" fails: not an input');
    expect(await countsOf(t.file, ['requests', 'reports'])).toEqual({
      requests: 0,
      reports: 0,
    });
  });

  it('whose evaluations take longer than the active policy lets them', async () => {
    await t.close();
    t = await startTestBroker({
      editData: (data) => {
        const { config } = data as { config: object };
        return { ...(data as object), config: { ...config, checks: { evaluation_ms: 1 } } };
      },
    });
    shipped = await readFile(join(t.folder, 'bundle.tar.gz'));
    await signIn(t);
    const base = JSON.parse(
      await readFile(new URL('../../../fixtures/decisions/base.json', import.meta.url), 'utf8'),
    );
    const large = { name: 'large', changes: Array(900).fill({}), expected: { effect: 'deny' } };
    const archive = await withConfig(shipped, slow);
    const { body } = await proposed(await withCases(archive, { 'base.json': base, 'own.json': [large] }));
    expect(body).toMatchObject({ code: 'invalid_change' });
    expect(body.errors[0].detail).toContain('an evaluation takes more than 1 ms');
  });
});
