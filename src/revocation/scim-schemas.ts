import { z } from 'zod';
import { MAX_NAME, PATCH_SCHEMA, USER_SCHEMA } from './scim-message.ts';

/*
 * The bodies and answers of the SCIM routes, for their description. `scim-message.ts` reads the bodies. These schemas
 * accept what it accepts. They accept more in two places: filters within paths, and the name of the person, whose attribute
 * the configuration selects.
 */

/** A pattern for a text in any case. The patterns of JSON Schema have no flags. */
function inAnyCase(text: string): string {
  return text
    .replaceAll('.', '\\.')
    .replaceAll(/[a-z]/gi, (letter) => `[${letter.toUpperCase()}${letter.toLowerCase()}]`);
}

const URI = '[A-Za-z][A-Za-z0-9+.-]*:[^\\s"\\[\\]()]*:';
const NAME = '[A-Za-z][A-Za-z0-9_-]*';
const SUB_NAME = `\\.${NAME}`;
/** A path. What is between the brackets of a filter is not described. RFC 7644 section 3.5.2 */
const PATH = `(?:${URI})?${NAME}(?:${SUB_NAME})?(?:\\[.+\\](?:${SUB_NAME})?)?`;

const SCHEMA = inAnyCase(USER_SCHEMA);
/** Attribute names are case-insensitive and may be prefixed with their schema. RFC 7644 section 3.10 */
const core = (...names: readonly string[]) => `(?:${SCHEMA}:)?(?:${names.map(inAnyCase).join('|')})`;
const ACTIVE = core('active');
const NAMES = core('userName', 'externalId');
/** What no path may be: the schema alone, or a part of an attribute that has no parts. */
const NO_PART = `(?!${SCHEMA}$)(?!(?:${ACTIVE}|${NAMES})[.\\[])`;

const activeName = z.string().regex(new RegExp(`^${ACTIVE}$`));
const personName = z.string().regex(new RegExp(`^${NAMES}$`));
const otherName = z.string().regex(new RegExp(`^(?!(?:${ACTIVE}|${NAMES})$)${NO_PART}${PATH}$`));
/** A user keeps `active` and `userName`; whether `externalId` can be removed depends on the configuration. */
const removable = z.string().regex(new RegExp(`^(?!${core('active', 'userName')}$)${NO_PART}${PATH}$`));

const booleanSchema = z.union([
  z.boolean(),
  z.string().regex(new RegExp(`^(?:${inAnyCase('true')}|${inAnyCase('false')})$`)),
]);

/** Some providers send a string, or a list of one complex value. */
const activeSchema = z
  .union([booleanSchema, z.array(z.looseObject({ value: booleanSchema })).length(1)])
  .meta({ id: 'ScimActive', description: 'False disables the person, true enables them again.' });

const nameSchema = z
  .string()
  .max(MAX_NAME)
  .nullable()
  .meta({ description: 'Not empty if the configuration says that this attribute names the person.' });

const memberName = new RegExp(`^${NO_PART}${PATH}$`);

/** The attributes of a user. All others are accepted and ignored. */
const attributesSchema = z
  .intersection(z.looseRecord(activeName, activeSchema), z.looseRecord(personName, nameSchema))
  // An intersection does not pass on the refusal of a name.
  .refine((attributes) => Object.keys(attributes).every((name) => memberName.test(name)))
  .meta({
    id: 'ScimAttributes',
    description: 'By their names: `active`, `userName`, `externalId`, and others, which are ignored.',
    propertyNames: { pattern: memberName.source },
  });

const schemasOf = (schema: string) =>
  z
    .array(z.string())
    .refine((schemas) => schemas.includes(schema))
    .meta({ contains: { const: schema } });

/** The body of a POST or a PUT. */
export const userBodySchema = z
  .intersection(z.looseObject({ schemas: schemasOf(USER_SCHEMA).optional() }), attributesSchema)
  .meta({ id: 'ScimUserBody' });

const opSchema = (...ops: readonly string[]) =>
  z.string().regex(new RegExp(`^(?:${ops.map(inAnyCase).join('|')})$`));

/** Names no path. */
const noPath = z.never().optional();

const operationSchema = z.union([
  z
    .looseObject({ op: opSchema('add', 'replace'), path: activeName, value: activeSchema })
    .meta({ description: 'Sets `active`.' }),
  z
    .looseObject({ op: opSchema('add', 'replace'), path: personName, value: nameSchema.optional() })
    .meta({ description: 'Renames the user. Who the user is does not change.' }),
  z
    .looseObject({
      op: opSchema('add', 'replace'),
      path: otherName,
      value: z.unknown().optional(),
    })
    .meta({ description: 'Changes another attribute, which is ignored.' }),
  z
    .looseObject({ op: opSchema('remove'), path: removable, value: z.unknown().optional() })
    .meta({ description: 'Removes an attribute. All but `externalId` are ignored.' }),
  z
    .looseObject({ op: opSchema('add', 'replace'), path: noPath, value: attributesSchema })
    .meta({ description: 'Changes several attributes.' }),
  z
    .looseObject({
      op: opSchema('remove'),
      path: noPath,
      value: z.record(removable, z.unknown()),
    })
    .meta({ description: 'Removes several attributes.' }),
]);

/** The body of a PATCH. */
export const patchBodySchema = z
  .looseObject({
    schemas: schemasOf(PATCH_SCHEMA),
    Operations: z.array(operationSchema).min(1).max(100),
  })
  .meta({
    id: 'ScimPatch',
    description:
      'One operation that is refused voids the others, except that a message that sets `active` to false still disables the user.',
  });

/** The query of the list of users; other parameters are ignored. */
export const userQuerySchema = z.looseObject({
  filter: z
    .string()
    .max(1000)
    .optional()
    .meta({ description: '`userName`, `externalId` or `id`, with `eq` and a string.' }),
  startIndex: z.int().default(1).meta({ description: 'The first user, from 1. Lower values mean 1.' }),
  count: z
    .int()
    .default(100)
    .meta({ description: 'The maximum number of users. Above 200 it means 200, below 0 it means 0.' }),
});

/** RFC 7643 section 3.1 */
const metaSchema = z.object({ resourceType: z.string(), location: z.string() });

/** A user in an answer. */
export const userSchema = z
  .object({
    schemas: z.array(z.string()),
    id: z.string().meta({ description: 'The canonical name of the person when the user was created.' }),
    externalId: z.string(),
    userName: z.string(),
    active: z.boolean(),
    meta: metaSchema,
  })
  .meta({ id: 'ScimUser' });
export type ScimUser = z.infer<typeof userSchema>;

/** One page of users. RFC 7644 section 3.4.2 */
export const userListSchema = z
  .object({
    schemas: z.array(z.string()),
    totalResults: z.int(),
    startIndex: z.int(),
    itemsPerPage: z.int(),
    Resources: z.array(userSchema),
  })
  .meta({ id: 'ScimUserList' });

const supportSchema = z.object({ supported: z.boolean() });

/** What is supported. RFC 7643 section 5 */
export const providerConfigSchema = z
  .object({
    schemas: z.array(z.string()),
    patch: supportSchema,
    bulk: supportSchema.extend({ maxOperations: z.int(), maxPayloadSize: z.int() }),
    filter: supportSchema.extend({ maxResults: z.int() }),
    changePassword: supportSchema,
    sort: supportSchema,
    etag: supportSchema,
    authenticationSchemes: z.array(
      z.object({
        type: z.string(),
        name: z.string(),
        description: z.string(),
        specUri: z.string(),
        primary: z.boolean(),
      }),
    ),
    meta: metaSchema,
  })
  .meta({ id: 'ScimServiceProviderConfig' });
export type ProviderConfig = z.infer<typeof providerConfigSchema>;
