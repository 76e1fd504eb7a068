import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parsePatch, parseUser, ScimFault } from '../../src/revocation/scim-message.ts';
import { patchBodySchema, userBodySchema } from '../../src/revocation/scim-schemas.ts';

/*
 * The schemas of SCIM bodies describe what the parser accepts. Both are judged by the same messages: spellings of the
 * few attributes that matter, among values that providers do not send. Only filters within a path are not described.
 */

const USER = 'urn:ietf:params:scim:schemas:core:2.0:User';
const PATCH_OP = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';

const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

/** Paths that RFC 7644 section 3.5.2 (figure 7) does not allow, or that name a part of what has no parts. */
const OUTSIDE = [
  '',
  ' ',
  '.',
  '.active',
  'active.',
  'active ',
  ' active',
  'active[]',
  'active[value eq true]',
  'active.value',
  `${USER}`,
  `${USER}:`,
  `${USER}:active.value`,
  'userName.x',
  'externalId[value eq "x"]',
  'act\u0130ve',
  '/active',
  '$.active',
  'name..familyName',
  '1name',
  '__proto__',
  'name.1',
  'emails]',
  'emails[]',
  'emails[',
  'emails[type]',
  'emails[type eq]',
  'emails[type eq work]',
  'emails[type is "work"]',
  'emails[type eq "work"',
  'emails[type eq "work]',
  'emails[type eq "work"].',
  'emails[type eq "work"]value',
  'emails[type eq "work"].value.x',
  'emails[type eq "work" and]',
  'emails[not type eq "work"]',
  'emails[(type eq "work"]',
  'emails[type eq 01]',
  `emails[${'('.repeat(5000)}type pr${')'.repeat(5000)}]`,
];

/** Paths that it allows, among them those that Entra and Okta send. */
const WITHIN = [
  'displayName',
  'title',
  'name.familyName',
  'emails',
  'emails[type eq "work"]',
  'emails[type eq "work"].value',
  'addresses[type eq "work"].streetAddress',
  'phoneNumbers[type eq "mobile"].value',
  'roles[primary eq "True"].value',
  'roles[primary eq true]',
  'x[a.b ge 1.5e3 and not (c pr or d ne null)].e',
  'x[(a pr) and (b sw "\\"\\u00e9")]',
  `${ENTERPRISE}:manager`,
  `${ENTERPRISE}:manager.displayName`,
  `${ENTERPRISE}:active`,
  `${USER}:name.givenName`,
  `${USER}active`,
  'urn:ietf:params:scim:schemas:extension:custom_1:2.0:User:cost-center_2',
];

/** A text in any case. */
const spelt = (text: string) =>
  fc
    .infiniteStream(fc.boolean())
    .map((upper) =>
      [...text].map((letter) => (upper.next().value === true ? letter.toUpperCase() : letter)).join(''),
    );

const attribute = fc.oneof(
  spelt('active'),
  spelt(`${USER}:active`),
  spelt('userName'),
  fc.constantFrom(
    'displayName',
    'name.familyName',
    `${ENTERPRISE}:manager`,
    `${ENTERPRISE}:active`,
    ENTERPRISE,
  ),
  // Filters are not described, and a schema of zod never sees `__proto__`.
  fc.constantFrom(...OUTSIDE.filter((path) => !/^emails\[.+\]|^__proto__$/.test(path))),
);
const value = fc.oneof(
  fc.boolean(),
  spelt('true'),
  spelt('false'),
  fc.constantFrom<unknown>(null, 0, 1, '', 'no', 'true ', [], [true], {}, { active: true }),
  fc.constantFrom<unknown>([{ value: 'False' }], [{ value: 'no' }], [{ value: true }, { value: true }]),
);
const attributes = fc.dictionary(attribute, value, { maxKeys: 3 });
const schemas = (schema: string) =>
  fc.constantFrom<unknown>([schema], ['urn:x', schema], ['urn:x'], [schema, 1], [], schema, null, undefined);

const operation = fc.record(
  {
    op: fc.oneof(spelt('add'), spelt('replace'), spelt('remove'), fc.constantFrom<unknown>('move', '', 1)),
    path: fc.oneof(attribute, fc.constantFrom<unknown>(null, 1)),
    value: fc.oneof(value, attributes),
    extra: fc.constant(1),
  },
  { requiredKeys: [] },
);
const valid = fc.oneof(
  fc.record({ op: spelt('replace'), path: spelt('active'), value: fc.boolean() }),
  fc.record({ op: spelt('remove'), path: fc.constant('title') }),
);
const patch = fc
  .record(
    {
      schemas: fc.oneof(fc.constant([PATCH_OP]), schemas(PATCH_OP)),
      Operations: fc.oneof(
        fc.array(fc.oneof(valid, operation), { maxLength: 3 }),
        fc.constantFrom<unknown>({}, null, Array(101).fill({ op: 'add', path: 'x' })),
      ),
    },
    { requiredKeys: [] },
  )
  .map(asSent);
const user = fc
  .tuple(fc.record({ schemas: schemas(USER) }, { requiredKeys: [] }), attributes)
  .map(([head, body]) => asSent({ ...body, ...head }));

/** A body after its way over the wire. */
function asSent(body: unknown): unknown {
  return JSON.parse(JSON.stringify(body));
}

const ajv = new Ajv2020({ strict: false });

describe.each([
  ['a PATCH', patchBodySchema, patch, parsePatch],
  ['a whole user', userBodySchema, user, parseUser],
] as const)('%s', (_, schema, bodies, parse) => {
  const validate = ajv.compile(z.toJSONSchema(schema, { io: 'input' }));

  function isAccepted(body: unknown): boolean {
    try {
      return parse(body, { attribute: 'externalId', prefix: '' }).fault === null;
    } catch (error) {
      expect(error).toBeInstanceOf(ScimFault);
      return false;
    }
  }

  it('is accepted exactly if its schema accepts it, in the document too', () => {
    const seen = { true: 0, false: 0 };
    fc.assert(
      fc.property(fc.oneof({ weight: 20, arbitrary: bodies }, { weight: 1, arbitrary: value }), (body) => {
        const accepted = isAccepted(body);
        seen[`${accepted}`] += 1;
        expect({ schema: schema.safeParse(body).success, document: validate(body) }).toEqual({
          schema: accepted,
          document: accepted,
        });
      }),
      { numRuns: 3000 },
    );
    expect(Math.min(seen.true, seen.false)).toBeGreaterThan(100);
  });
});

describe('a path of RFC 7644 section 3.5.2', () => {
  const paths = (path: string, value: unknown) => [
    { op: 'replace', path, value },
    { op: 'add', value: { [path]: value } },
    { op: 'remove', path },
  ];
  const faultOf = (operation: unknown) =>
    parsePatch({ schemas: [PATCH_OP], Operations: [operation] }, { attribute: 'externalId', prefix: '' })
      .fault?.scimType;

  it.each(WITHIN)('is %s, which is accepted and not kept', (path) => {
    for (const operation of paths(path, 'x')) expect(faultOf(operation)).toBeUndefined();
    const body = { schemas: [PATCH_OP], Operations: paths(path, 'x') };
    expect(patchBodySchema.safeParse(body).success).toBe(true);
  });

  it.each(OUTSIDE.map((path) => [path.slice(0, 40), path]))('is not %s: invalidPath (3.12)', (_, path) => {
    for (const operation of paths(path, false)) expect(faultOf(operation)).toBe('invalidPath');
    expect(parseUser({ [path]: false }, { attribute: 'externalId', prefix: '' }).fault?.scimType).toBe(
      'invalidSyntax',
    );
  });
});
