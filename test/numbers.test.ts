import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../src/config.ts';
import type { Condition, Rule } from '../src/flags/model.ts';
import { parseTokenForm } from '../src/identity/token-form.ts';
import { readBundle, readStoredBundle } from '../src/policy/bundle.ts';
import { createTerminal } from './cli/support.ts';
import { type OfrepServer, startOfrepServer } from './data/ofrep-server.ts';
import { sampleDefinition, sampleState } from './flags/samples.ts';
import { startTestBroker, type TestBroker } from './support/broker.ts';
import { packMembers, readFixtureBundle, unpackMembers } from './support/bundles.ts';
import { countRows, createFlag, creation, proposal } from './support/flags.ts';

/*
 * Numbers that a double cannot hold, at every entry: what would be stored, approved or compared is another number than the
 * one that was written. RFC 8259 section 6, RFC 7493 section 2.2.
 */

/** Rounded, indistinguishable from a neighbour, too large, too small, too precise. */
const INEXACT = [
  '9007199254740993',
  '9007199254740992',
  '123456789012345680',
  '1e400',
  '1e-400',
  '0.12345678901234567890',
];

const ACCOUNT = 123_456_789_012_345;

let t: TestBroker;
beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'checkout');
});
afterAll(() => t.close());

/** The document as JSON, with the number in place of `"NUMBER"`. */
const withNumber = (document: unknown, number: string) =>
  JSON.stringify(document).replaceAll('"NUMBER"', number);

/** What the command line says to a file of changes that is given to it. */
function proposeFrom(text: string) {
  const terminal = createTerminal(t, { readStdin: async () => text });
  return terminal.as('dana', 'propose', '--environment', 'production', '--reason', 'x', '--file', '-');
}

/** A bundle in which a file has this number. */
async function bundleWith(file: string, number: string): Promise<Buffer> {
  const members = await unpackMembers(await readFixtureBundle('anybody'));
  return packMembers(
    members.map(({ header, bytes }) => ({
      header,
      bytes:
        header.name.replace(/^\//, '') === file
          ? Buffer.from(bytes.toString('utf8').replace('{', `{"limit":${number},`))
          : bytes,
    })),
  );
}

const rules = (values: unknown[]) => [
  { name: 'accounts', when: [{ attribute: 'account', operator: 'in', values }], serve: { variant: 'on' } },
];

describe.each(INEXACT)('the number %s', (number) => {
  it.each([
    ['a variant', creation('limit', { variants: { low: 1, high: 'NUMBER' }, safe_variant: 'low' })],
    [
      'a variant, deep inside',
      creation('limit', { variants: { low: { a: 1 }, high: { a: { b: ['NUMBER'] } } }, safe_variant: 'low' }),
    ],
    ['the value of a rule', { action: 'set_rollout', flag: 'checkout', rules: rules([1, 'NUMBER']) }],
    ['a share', { action: 'set_rollout', flag: 'checkout', rollout: [{ variant: 'on', percent: 'NUMBER' }] }],
    ['a version', { action: 'return_to_version', flag: 'checkout', version: 'NUMBER' }],
  ])('is refused as %s, and nothing is kept', async (_place, change) => {
    const before = await countRows(t);
    const answer = await t.call('dana', 'POST', '/v1/requests', withNumber(proposal([change]), number));
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    expect(answer.body.detail).toContain(`The number ${number} cannot be kept exactly`);
    expect(answer.body.detail).toContain(`The number ${number} cannot be kept exactly`);
    expect(await countRows(t)).toEqual(before);
  });

  it('is refused in a file of the command line, before it is sent', async () => {
    const before = await countRows(t);
    for (const text of [
      withNumber(proposal([{ action: 'set_rollout', flag: 'checkout', rules: rules(['NUMBER']) }]), number),
      `changes:\n  - action: set_rollout\n    flag: checkout\n    values: [ ${number} ]\n`,
      `${number}: a key\n`,
    ]) {
      const run = await proposeFrom(text);
      expect(run.err).toContain(`The number ${number} cannot be kept exactly`);
      expect(run.code).toBe(2);
    }
    expect(await countRows(t)).toEqual(before);
  });

  it('is refused in the configuration', async () => {
    const file = join(await mkdtemp(join(t.folder, 'config-')), 'countersign.yaml');
    await writeFile(file, `calls_per_minute: ${number}\n`);
    expect(() => loadConfig({ file, env: {} })).toThrow(`The number ${number} cannot be kept exactly`);
  });

  it('is refused in the data and the manifest of a bundle', async () => {
    for (const file of ['data.json', '.manifest']) {
      await expect(readBundle(await bundleWith(file, number))).rejects.toThrow(
        `The number ${number} cannot be kept exactly`,
      );
    }
  });
});

it('of a bundle that is already stored does not stop it from deciding', async () => {
  const archive = await bundleWith('data.json', '9007199254740993');
  await expect(readBundle(archive)).rejects.toThrow('cannot be kept exactly');
  // As it was read when it was stored, so its policy hash is the same.
  expect((await readStoredBundle(archive)).data).toMatchObject({ limit: 2 ** 53 });
});

it.each(['0x20000000000001', '0o400000000000000001', '.inf', '-.inf', '.nan', '+9007199254740993'])(
  'the number %s of YAML is refused',
  async (number) => {
    const run = await proposeFrom(`changes: [ { action: ${number} } ]`);
    expect(run.err).toContain('cannot be kept exactly');
  },
);

it('an option of the command line with such a number is refused', async () => {
  const terminal = createTerminal(t);
  for (const option of [
    ['--return-to', 'checkout@9007199254740993'],
    ['--rollout', 'checkout', 'on=25.00000000000000001,off=75'],
  ]) {
    const run = await terminal.as(
      'dana',
      'propose',
      '--environment',
      'production',
      '--reason',
      'x',
      ...option,
    );
    expect(run.err).toContain('cannot be kept exactly');
  }
});

describe('an evaluation context', () => {
  const when = (attribute: string, operator: Condition['operator'], values: Condition['values']): Rule => ({
    name: attribute,
    when: [{ attribute, operator, values }],
    serve: { variant: 'on' },
  });
  let server: OfrepServer;

  beforeAll(async () => {
    const state = sampleState({
      default_variant: 'off',
      rules: [
        when('account', 'in', [ACCOUNT, Number.MAX_SAFE_INTEGER]),
        when('amount', 'less_or_equal', [1]),
        when('id', 'not_in', [7]),
        when('list', 'contains', [7]),
      ],
    });
    server = await startOfrepServer([
      { definition: sampleDefinition({ key: 'accounts' }), state, version: 1 },
    ]);
  });
  afterAll(() => server.close());

  const evaluate = async (context: string) => {
    const response = await fetch(`${server.url}/ofrep/v1/evaluate/flags/accounts`, {
      method: 'POST',
      headers: { authorization: 'Bearer good', 'content-type': 'application/json' },
      body: `{"context":${context}}`,
    });
    return { status: response.status, body: await response.json() };
  };

  it.each([
    [`{"account":${ACCOUNT}}`, 'on'],
    ['{"account":9007199254740991}', 'on'],
    ['{"account":9007199254740991.0}', 'on'],
    // A double takes each of these for a neighbour that a rule names.
    ['{"account":9007199254740991.2}', 'off'],
    [`{"account":${ACCOUNT}.0000000000001}`, 'off'],
    ['{"amount":1}', 'on'],
    ['{"amount":1.00000000000000000001}', 'off'],
    ['{"amount":1e-400}', 'off'],
    // A negative condition is not met by an unknown value either.
    ['{"id":8}', 'on'],
    ['{"id":9007199254740993}', 'off'],
    ['{"id":1e400}', 'off'],
    ['{"list":[9007199254740993,7]}', 'on'],
    ['{"list":[7.00000000000000000001]}', 'off'],
    // It spoils nothing else.
    [`{"id":123456789012345678,"account":${ACCOUNT}}`, 'on'],
    ['{"a":{"b":[1e400]},"id":8}', 'on'],
  ])('%s is served %s', async (context, variant) => {
    expect(await evaluate(context)).toMatchObject({ status: 200, body: { variant } });
  });
});

it('a claim of a token with such a number is unknown', () => {
  const segment = (text: string) => Buffer.from(text).toString('base64url');
  const token = `${segment('{"alg":"RS256"}')}.${segment('{"iss":"x","team":9007199254740991.2,"n":7}')}.${segment('x')}`;
  expect(parseTokenForm(token).unverified).toEqual({ iss: 'x', team: null, n: 7 });
});
