import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc, { type Arbitrary } from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { ARCHIVE, anyQuery } from '../../src/http/route.ts';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { type ListedRoute, listRoutes } from '../../src/routes.ts';
import { almost, arbitraryOf, type Schema } from '../support/arbitrary.ts';
import { type SurfaceBench, startSurfaceBench } from './bench.ts';
import { EXAMPLES, type Prepared } from './examples.ts';
import { send, validCredential } from './send.ts';

/*
 * Requests generated from the committed OpenAPI document, valid and almost valid. No answer is 500 or above, and no
 * request is accepted that the document refuses. That every answer has a declared shape is checked when the broker
 * closes.
 */

interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required?: boolean;
  schema: Schema;
}

interface Operation {
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content: Record<string, { schema: Schema }> };
}

const document = JSON.parse(readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8')) as {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
};
const ajv = new Ajv2020({ strict: false });
addFormats.default(ajv);
ajv.addSchema(document, 'openapi');

function resolve(ref: string): Schema {
  const schema = document.components.schemas[ref.split('/').at(-1) ?? ''];
  if (schema === undefined) throw new Error(`${ref} is not in the document`);
  return schema;
}

const validators = new WeakMap<Schema, (value: unknown) => boolean>();

function accepts(schema: Schema, value: unknown): boolean {
  let validate = validators.get(schema);
  if (validate === undefined) {
    // References of a part start at the document.
    const text = JSON.stringify(schema).replaceAll('"#/components', '"openapi#/components');
    validate = ajv.compile(JSON.parse(text) as object);
    validators.set(schema, validate);
  }
  return validate(value);
}

/** What a text of a query means by its schema. */
function readings(text: string): unknown[] {
  return [
    text,
    ...(/^-?(0|[1-9]\d*)$/.test(text) ? [Number(text)] : []),
    ...(text === 'true' || text === 'false' ? [text === 'true'] : []),
    text.split(','),
  ];
}

interface Fuzzed {
  query: Record<string, string>;
  /** Undefined: that of the example. */
  body: unknown;
}

/** How many requests each call is sent, and from where the generator starts; both can be set to search longer. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 100);
const SEED = Number(process.env.FUZZ_SEED ?? 20261129);

function queryOf(parameters: readonly Parameter[]): Arbitrary<Record<string, string>> {
  const members = Object.fromEntries(
    parameters.map(({ name, schema }) => {
      const valid = arbitraryOf(schema, resolve);
      return [name, fc.oneof({ weight: 3, arbitrary: valid }, almost(valid)).map(String)];
    }),
  );
  const requiredKeys = parameters.flatMap(({ name, required }) => (required === true ? [name] : []));
  return fc.oneof(
    { weight: 6, arbitrary: fc.record(members, { requiredKeys, noNullPrototype: true }) },
    fc.constantFrom({ unexpected: '1' }, { __proto__x: '1' }, { toString: '1' }, { limit: '0' }),
  ) as Arbitrary<Record<string, string>>;
}

function isValidQuery(parameters: readonly Parameter[], query: Record<string, string>): boolean {
  return parameters.every(({ name, required, schema }) => {
    const text = query[name];
    if (text === undefined) return required !== true;
    return readings(text).some((reading) => accepts(schema, reading));
  });
}

function bodyOf(schema: Schema | undefined, example: unknown): Arbitrary<unknown> {
  if (schema === undefined)
    return fc.oneof(fc.constant(undefined), fc.constantFrom({}, { unexpected: 1 }, []));
  const generated = arbitraryOf(schema, resolve);
  const given = fc.constant(example);
  return fc.oneof(given, generated, almost(given), almost(generated));
}

let bench: SurfaceBench | undefined;
let isUsed = false;
afterAll(() => bench?.close());

/** The body of a call that has none. */
const EMPTY: Schema = { type: 'object', properties: {}, additionalProperties: false };

/** Forms without fields are not read, nor what SCIM does not define; an archive has faults of its own. */
function isUnread({ body, bodyType, format }: ListedRoute): boolean {
  if (bodyType === ARCHIVE) return true;
  return body === undefined && (format === 'scim' || bodyType === 'application/x-www-form-urlencoded');
}

/** The members of an example's body; an archive has none to change. */
function membersOf(body: unknown): unknown {
  if (body instanceof URLSearchParams) return Object.fromEntries(body);
  return Buffer.isBuffer(body) ? undefined : body;
}

/** Calls that change what others meet, so that they get a broker of their own. */
const APART = new Set(['engageFreeze', 'addRevocation', 'rotateKey']);

async function benchFor(name: string): Promise<SurfaceBench> {
  if (bench === undefined || APART.has(name) || isUsed) {
    await bench?.close();
    bench = await startSurfaceBench();
  }
  isUsed = APART.has(name);
  return bench;
}

const counts = { sent: 0, accepted: 0, invalid: 0 };
afterAll(() => {
  expect(counts.sent).toBeGreaterThan(1000);
  expect(counts.accepted).toBeGreaterThan(counts.sent / 10);
  expect(counts.invalid).toBeGreaterThan(counts.sent / 10);
});

describe.each(listRoutes(requestKinds).map((route) => [route.name, route] as const))('%s', (name, route) => {
  it('answers no generated request with a fault, and accepts no invalid one', async () => {
    const own = await benchFor(name);
    const operation = document.paths[route.path]?.[route.method.toLowerCase()];
    const parameters = (operation?.parameters ?? []).filter((parameter) => parameter.in === 'query');
    const media = Object.entries(operation?.requestBody?.content ?? {})[0];
    const isForm = media?.[0] === 'application/x-www-form-urlencoded';
    const schema = media?.[1].schema;
    const example = await EXAMPLES[name].prepare(own);
    const exampleBody = membersOf(example.body);
    const credential = await validCredential(own, route);

    await fc.assert(
      fc.asyncProperty(
        fc.record({ query: queryOf(parameters), body: bodyOf(schema, exampleBody) }) as Arbitrary<Fuzzed>,
        async ({ query, body }) => {
          const isEmpty = body === undefined && operation?.requestBody?.required !== true;
          const isKnown =
            route.format !== 'problem' ||
            route.query === anyQuery ||
            Object.keys(query).every((member) => parameters.some(({ name: known }) => known === member));
          const hasBody = route.method !== 'GET' && !isUnread(route);
          const isValidBody = !hasBody || isEmpty || accepts(schema ?? EMPTY, sentOf(body, isForm));
          const isValid = isKnown && isValidQuery(parameters, query) && isValidBody;
          const prepared: Prepared = {
            ...example,
            query: { ...example.query, ...query },
            ...(route.method === 'GET' ? {} : { body: isForm ? formOf(body) : body }),
          };
          const sent = await send(own, route, prepared, credential);
          counts.sent += 1;
          if (sent.status < 400) counts.accepted += 1;
          if (!isValid) counts.invalid += 1;
          expect(sent.status, sent.text).toBeLessThan(500);
          // Refused for its shape, not for what it would do.
          if (!isValid) expect(sent.status, `${JSON.stringify(prepared)} ${sent.text}`).toBe(400);
        },
      ),
      { numRuns: RUNS, seed: SEED },
    );
  });
});

/** What arrives of a body: a form has only texts. */
function sentOf(body: unknown, isForm: boolean): unknown {
  return isForm ? Object.fromEntries(formOf(body)) : JSON.parse(JSON.stringify(body) ?? 'null');
}

function formOf(body: unknown): URLSearchParams {
  if (typeof body !== 'object' || body === null) return new URLSearchParams();
  return new URLSearchParams(
    Object.entries(body).map(([name, value]): [string, string] => [name, String(value)]),
  );
}
