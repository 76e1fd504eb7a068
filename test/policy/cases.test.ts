import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readBundle } from '../../src/policy/bundle.ts';
import { readCases, runCases } from '../../src/policy/cases.ts';
import { createEngine, type Engine } from '../../src/policy/engine.ts';
import { packMembers, readFixtureBundle, readTestDataBundle, unpackMembers } from '../support/bundles.ts';
import { INPUTS } from '../support/inputs.ts';

/*
 * Decision cases that a bundle brings with it.
 */

const FIXTURES = new URL('../../fixtures/decisions/', import.meta.url);
const fixtures = new Map(
  readdirSync(FIXTURES).map((name) => [`cases/${name}`, readFileSync(new URL(name, FIXTURES))]),
);

let engine: Engine;
let version: number;

beforeAll(async () => {
  const bundle = await readTestDataBundle();
  engine = await createEngine(bundle);
  version = bundle.broker.input_version;
});

const run = (files: ReadonlyMap<string, Buffer>) =>
  runCases({ evaluate: engine.evaluate, inputs: INPUTS, version }, readCases(files));

/** A file of one case, which the shipped policy passes. */
const [passing] = JSON.parse(fixtures.get('cases/tiers.json')?.toString() ?? '');
const withCase = (changed: object, base: object | null = null) =>
  new Map([
    ['cases/base.json', base === null ? (fixtures.get('cases/base.json') as Buffer) : json(base)],
    ['cases/own.json', json([{ ...passing, ...changed }])],
  ]);
const json = (value: unknown) => Buffer.from(JSON.stringify(value));

describe('the cases of a bundle', () => {
  it('are those of fixtures/decisions, which the shipped policy passes', () => {
    const { passed, failed } = run(fixtures);
    expect(failed).toEqual([]);
    expect(passed).toBeGreaterThan(300);
  });

  it('need no base, and may say only what effect they expect', () => {
    const [file] = readCases(withCase({})).files.values();
    expect(file).toHaveLength(1);
    const whole = { name: 'whole', whole_input: { schema_version: 2 }, expected: { effect: 'deny' } };
    expect(run(new Map([['cases/deep/own.json', json([whole])]]))).toEqual({
      passed: 0,
      failed: [{ name: 'deep/own: whole', detail: expect.stringContaining('not an input: /operation') }],
    });
    expect(run(withCase({ expected: { effect: 'allow' } }))).toEqual({ passed: 1, failed: [] });
  });

  it.each([
    [{ effect: 'hold' }, 'expected hold, got allow (self_service'],
    [{ reasons: ['requirements_met'] }, 'expected the reasons ["requirements_met"], got ["self_service"]'],
    [{ obligations: [{ kind: 'ticket', pattern: 'x' }] }, 'expected the obligations [{"kind":"ticket"'],
    [{ limits: { request_ttl_s: 1 } }, 'expected the limit request_ttl_s 1, got 604800'],
    [{ limits: { no_such_limit: 1 } }, 'expected the limit no_such_limit 1, got null'],
  ])('fail with what is other than expected: %j', (changed, detail) => {
    const { passed, failed } = run(withCase({ expected: { ...passing.expected, ...changed } }));
    expect([passed, failed]).toEqual([
      0,
      [{ name: `own: ${passing.name}`, detail: expect.stringContaining(detail) }],
    ]);
  });

  it.each([
    [{ schema_version: 1 }, 'not an input'],
    [{ schema_version: 7 }, '/schema_version: expected one of 1, 2'],
    [{ operation: 'request.bless' }, 'not an input: /operation'],
    [{ principal: { nickname: 'x' } }, 'not an input: /principal'],
    [{ request: { reason: 'x'.repeat(1024 * 1024) } }, 'characters; at most'],
  ])('fail if they are no input that a policy is asked: %#', (input, detail) => {
    const { failed } = run(withCase({ input }));
    expect(failed).toEqual([{ name: `own: ${passing.name}`, detail: expect.stringContaining(detail) }]);
  });

  it('keep a member with the name of what objects inherit', () => {
    const input = JSON.parse('{"principal": {"claims": {"__proto__": "x", "constructor": "y"}}}');
    const files = withCase({ input });
    const cases = readCases(files);
    expect(JSON.stringify([...cases.files.values()])).toContain('"constructor":"y"');
    expect(run(files).passed).toBe(1);
    expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
  });
});

describe('a bundle is refused for cases', () => {
  it.each([
    ['that are no list', Buffer.from('{}'), 'has no decision cases'],
    ['that are no JSON', Buffer.from('[{'), 'is invalid'],
    ['that are no UTF-8', Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d]), 'it is not valid UTF-8'],
    ['with a member twice', Buffer.from('[{"name":"a","name":"b"}]'), 'duplicate member'],
    ['with a misspelt member', json([{ ...passing, approval: [] }]), 'approval'],
    ['without what is expected', json([{ name: 'x' }]), '/0/expected'],
    ['with an effect that does not exist', json([{ name: 'x', expected: { effect: 'maybe' } }]), '/effect'],
    ['of one name', json([passing, passing]), 'two cases of the name'],
    ['that use what the base lacks', json([{ ...passing, use: ['toString'] }]), 'no part "toString"'],
    ['with a vote that the base lacks', json([{ ...passing, approvals: ['nobody'] }]), 'no vote "nobody"'],
    [
      'with a whole input and a part of one',
      json([{ ...passing, whole_input: {} }]),
      'whole_input stands alone',
    ],
    ['that are too large', Buffer.alloc(4 * 1024 * 1024 + 1, ' '), 'at most 4194304 are accepted'],
    ['that unpack to more than a bundle may', Buffer.alloc(64 * 1024 * 1024, ' '), 'it unpacks to more than'],
    [
      'that are too many',
      json(Array.from({ length: 10_001 }, (_, n) => ({ name: `${n}`, expected: { effect: 'deny' } }))),
      'at most 10000 are accepted',
    ],
  ])('%s', async (_what, bytes, message) => {
    const members = await unpackMembers(await readFixtureBundle('anybody'));
    const archive = await packMembers([
      ...members,
      { header: { name: '/cases/base.json' }, bytes: fixtures.get('cases/base.json') as Buffer },
      { header: { name: '/cases/own.json' }, bytes },
    ]);
    await expect(readBundle(archive)).rejects.toThrow(message);
  });
});
