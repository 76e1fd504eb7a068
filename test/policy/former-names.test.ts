import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import { OPERATION_NAMES, OPERATIONS, type Operation } from '../../src/operations.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import { createPolicy, type Policy, type Question } from '../../src/policy/policies.ts';
import { storedPolicies } from '../../src/policy/stored-policies.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { readFixtureBundle } from '../support/bundles.ts';
import { INPUTS } from '../support/inputs.ts';
import { readRecords } from '../support/sqlite/rows.ts';

/*
 * A bundle of before an operation had a name of its own goes on deciding: it is asked under the former name. The record
 * says what was done, the kept input what was asked, and a replay comes out the same.
 */

type Config = { config: { operations: Record<string, unknown> } };
const SHIPPED = readFileSync(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
const RENAMED = OPERATION_NAMES.filter((name) => OPERATIONS[name].formerly !== null);

/** The data as it was before these operations had names. */
function withoutNewNames(data: unknown): unknown {
  const { operations } = (data as Config).config;
  for (const name of RENAMED) delete operations[name];
  return data;
}

async function policyOf(archive: Buffer, edit: (data: unknown) => unknown = (data) => data): Promise<Policy> {
  return createPolicy(await readBundle(await rebundle(archive, edit)), { inputs: INPUTS });
}

function question(operation: Operation): Question {
  const { input } = JSON.parse(
    readFileSync(new URL('../../fixtures/decisions/base.json', import.meta.url), 'utf8'),
  ) as { input: Question };
  return { ...input, operation, request: null };
}

/** What a policy is really asked about an operation. */
function askedOf(policy: Policy, operation: Operation): string {
  const decision = policy.decide(question(operation), 0);
  const { effect, reasons, obligations, limits } = decision;
  expect(policy.replay(decision.input_json, decision.versions)).toEqual({
    effect,
    reasons,
    obligations,
    limits,
  });
  return (JSON.parse(decision.input_json) as { operation: string }).operation;
}

describe('a bundle', () => {
  it('that knows an operation is asked by its name', async () => {
    const policy = await policyOf(SHIPPED);
    for (const name of RENAMED) expect(askedOf(policy, name)).toBe(name);
  });

  it('that does not is asked by the former one, and never says that it does not know it', async () => {
    const policy = await policyOf(SHIPPED, withoutNewNames);
    for (const name of RENAMED) {
      expect(askedOf(policy, name)).toBe(OPERATIONS[name].formerly);
      expect(policy.decide(question(name), 0).reasons).not.toContainEqual(
        expect.objectContaining({ code: 'unknown_operation' }),
      );
    }
  });

  it('that lacks an operation without a former name is asked about that one, and denies it', async () => {
    const policy = await policyOf(SHIPPED, (data) => {
      delete (data as Config).config.operations['flag.read'];
      return data;
    });
    expect(askedOf(policy, 'flag.read')).toBe('flag.read');
    expect(policy.decide(question('flag.read'), 0)).toMatchObject({
      effect: 'deny',
      reasons: expect.arrayContaining([expect.objectContaining({ code: 'unknown_operation' })]),
    });
  });

  it.each([
    ['nothing', undefined],
    ['a list', ['key.read']],
    ['a text', 'key.read'],
    ['null', null],
  ])('of one’s own that has %s under operations is asked by the oldest name', async (_what, operations) => {
    const policy = await policyOf(await readFixtureBundle('anybody'), (data) => {
      const { config } = data as { config: object };
      return { config: { ...config, ...(operations === undefined ? {} : { operations }) } };
    });
    expect(askedOf(policy, 'key.read')).toBe('policy.read');
    expect(askedOf(policy, 'flag.read')).toBe('flag.read');
  });

  it('of one’s own that names an operation is asked by that name', async () => {
    const policy = await policyOf(await readFixtureBundle('anybody'), (data) => {
      const { config } = data as { config: object };
      return { config: { ...config, operations: { 'key.read': {} } } };
    });
    expect(askedOf(policy, 'key.read')).toBe('key.read');
    expect(askedOf(policy, 'breakglass.read')).toBe('freeze.read');
  });
});

describe('a broker whose active bundle is older', () => {
  let t: TestBroker;

  beforeAll(async () => {
    t = await startTestBroker({ editData: withoutNewNames });
  });
  afterAll(() => t.close());

  it('lets those read who could, and no others', async () => {
    expect((await t.call('avery', 'GET', '/v1/keys')).status).toBe(200);
    expect((await t.call('dana', 'GET', '/v1/break-glass')).status).toBe(200);
    const body = { kind: 'class', value: 'all', incident: 'INC-1', reason: 'x', dry_run: true };
    expect((await t.call('riley', 'POST', '/v1/revocations', body)).status).toBe(200);
  });

  it.each([
    ['GET', '/v1/keys', undefined, 'key.read'],
    [
      'POST',
      '/v1/revocations',
      { kind: 'class', value: 'all', incident: 'INC-1', reason: 'x', dry_run: true },
      'revocation.preview',
    ],
  ] as const)('records a refused %s %s as what it is', async (method, path, body, operation) => {
    const refused = await t.call('dana', method, path, body);
    expect(refused.status).toBe(403);
    const { items } = (await t.call('avery', 'GET', `/v1/decisions?operation=${operation}`)).body;
    expect(items).toMatchObject([{ id: refused.body.decision_id, operation, outcome: { effect: 'deny' } }]);
    const { body: record } = await t.call('avery', 'GET', `/v1/decisions/${refused.body.decision_id}`);
    expect(record.input.operation).toBe(OPERATIONS[operation].formerly);

    const row = readRecords(t.file).find(({ id }) => id === refused.body.decision_id);
    const policies = storedPolicies({ inputs: INPUTS });
    const policy = await policies.active(t.broker.store.read);
    expect(
      policy.replay(row?.input ?? '', { input: record.input.schema_version, result: 1, guardrails: 1 }),
    ).toEqual(record.result);
  });
});
