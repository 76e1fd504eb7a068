import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SnapshotFlag } from '../../src/data/snapshot.ts';
import { sampleDefinition, sampleState } from '../flags/samples.ts';
import { type OfrepServer, startOfrepServer } from './ofrep-server.ts';

/*
 * Every answer has a form of OFREP 0.3.0, written down here from its text. The published schema cannot be used as it is: its
 * `oneOf` of a success has a branch that everything matches, so with a value none would be valid. Here it is an `anyOf`.
 *
 * What else clients trip over has tests of its own:
 *
 * | trap | test |
 * |---|---|
 * | a tag of the configuration alone | ofrep.test.ts: "are tagged by the whole context, not by the targetingKey alone" |
 * | no reason but those of the list | here: a flag whose rules do not match says DEFAULT |
 * | dates in Retry-After | ofrep.test.ts: "tells when to come back in whole seconds, whatever it was given" |
 * | errors without both codes | here, and ofrep.test.ts: "fails without telling why, and logs it" |
 * | EventSource sends no headers | ofrep-stream.test.ts: "is good for nothing else, and nothing else is a ticket" |
 * | nobody asks again after a reconnect | ofrep-stream.test.ts: "tells again after a lost connection only what …" |
 * | a 304 has no streams | ofrep-stream.test.ts: "has another tag for another token, so that …" |
 * | headers that pages may not read | ofrep-stream.test.ts: "may open streams and read what the answers tell" |
 * | paths before /ofrep | ofrep-stream.test.ts: "names a stream at the origin that was asked, …" |
 * | answers without a value | here: each has one |
 * | large bodies | ofrep.test.ts: "that announce too much are refused before they are read" |
 */

const metadata = { type: 'object', additionalProperties: { type: ['boolean', 'string', 'number'] } };

const success = {
  type: 'object',
  required: ['key', 'reason', 'variant'],
  properties: {
    key: { type: 'string' },
    reason: { type: 'string' },
    variant: { type: 'string' },
    metadata,
  },
  anyOf: [
    { properties: { value: { type: ['boolean', 'string', 'number', 'object'] } }, required: ['value'] },
    { not: { required: ['value'] } },
  ],
};
const failure = {
  type: 'object',
  required: ['key', 'errorCode'],
  properties: {
    key: { type: 'string' },
    errorCode: { enum: ['PARSE_ERROR', 'TARGETING_KEY_MISSING', 'INVALID_CONTEXT', 'GENERAL'] },
    errorDetails: { type: 'string' },
    metadata,
  },
};
const notFound = {
  ...failure,
  properties: { ...failure.properties, errorCode: { const: 'FLAG_NOT_FOUND' } },
};
const bulkFailure = { ...failure, required: ['errorCode'] };
const bulk = {
  type: 'object',
  required: ['flags'],
  properties: { flags: { type: 'array', items: { anyOf: [success, failure] } }, metadata },
};

const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true });
const forms = {
  success: ajv.compile(success),
  failure: ajv.compile(failure),
  notFound: ajv.compile(notFound),
  bulk: ajv.compile(bulk),
  bulkFailure: ajv.compile(bulkFailure),
};

const ALL = '/ofrep/v1/evaluate/flags';
let server: OfrepServer;

beforeAll(async () => {
  const some = sampleState({ audience: { kind: 'some', organizations: ['acme'], users: [] } });
  const when = [{ attribute: 'plan', operator: 'equals' as const, values: ['gold'] }];
  const ruled = sampleState({ rules: [{ name: 'gold', when, serve: { variant: 'alt' } }] });
  const shared = sampleState({ rollout: [{ variant: 'on', percent: 100 }] });
  const values = { on: { a: [1, null] }, off: {}, alt: { b: 'c' } };
  const flags: SnapshotFlag[] = [
    { definition: sampleDefinition({ key: 'text' }), state: sampleState(), version: 1 },
    { definition: sampleDefinition({ key: 'object', variants: values }), state: some, version: 2 },
    {
      definition: sampleDefinition({ key: 'number', variants: { on: 1, off: 0, alt: -1.5 } }),
      state: ruled,
      version: 3,
    },
    {
      definition: sampleDefinition({ key: 'switch', variants: { on: true, off: false, alt: true } }),
      state: shared,
      version: 4,
    },
    { definition: sampleDefinition({ key: 'off' }), state: sampleState({ enabled: false }), version: 5 },
  ];
  server = await startOfrepServer(flags);
});
afterAll(() => server.close());

/** Asks, and expects a status and a form. */
async function expectForm(
  form: keyof typeof forms,
  status: number,
  sent: { path?: string; body?: unknown; headers?: Record<string, string> },
) {
  const { path = '', body, headers = {} } = sent;
  const answer = await server.post(`${ALL}${path}`, body, headers);
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('application/json');
  const read = (await answer.json()) as Record<string, unknown>;
  const isValid = forms[form](read);
  expect([isValid, ajv.errorsText(forms[form].errors)]).toEqual([true, 'No errors']);
  return read;
}

it.each([{}, { organization: 'acme' }, { organization: 'other', plan: 'gold' }, { plan: 'silver' }])(
  'an answer for %j has the form of a success, one by one and all at once, and a value',
  async (context) => {
    const { flags } = (await expectForm('bulk', 200, { body: { context } })) as { flags: object[] };
    expect(flags).toHaveLength(5);
    for (const key of ['text', 'object', 'number', 'switch', 'off']) {
      const single = await expectForm('success', 200, { path: `/${key}`, body: { context } });
      expect(single).toHaveProperty('value');
      expect(flags).toContainEqual(single);
    }
  },
);

it('the reasons are those that SDKs expect', async () => {
  const reasonOf = async (key: string, context: object) =>
    (await expectForm('success', 200, { path: `/${key}`, body: { context } })).reason;
  expect(await reasonOf('text', {})).toBe('STATIC');
  expect(await reasonOf('off', {})).toBe('DISABLED');
  expect(await reasonOf('number', { plan: 'silver' })).toBe('DEFAULT');
  expect(await reasonOf('number', { plan: 'gold' })).toBe('TARGETING_MATCH');
  expect(await reasonOf('object', { organization: 'acme' })).toBe('TARGETING_MATCH');
  expect(await reasonOf('object', { organization: 'other' })).toBe('DEFAULT');
  expect(await reasonOf('switch', { organization: 'acme' })).toBe('SPLIT');
});

it('each refusal has the form of a failure, with the codes that clients look for', async () => {
  await expectForm('notFound', 404, { path: '/none' });
  const large = { context: { a: 'x'.repeat(70_000) } };
  const refusals: [number, Parameters<typeof expectForm>[2]][] = [
    [400, { body: '{' }],
    [400, { body: { context: [] } }],
    [401, { headers: { authorization: 'Bearer bad' } }],
    [413, { body: large }],
    [415, { body: '{}', headers: { 'content-type': 'text/plain' } }],
    [503, { headers: { authorization: 'Bearer unknown' } }],
  ];
  for (const [status, sent] of refusals) {
    await expectForm('failure', status, { ...sent, path: '/text' });
    await expectForm('bulkFailure', status, sent);
  }
});
