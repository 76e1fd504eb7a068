import { z } from 'zod';
import type { ProblemCode } from '../problems.ts';
import { parsePath } from './scim-path.ts';

/**
 * The SCIM messages that identity providers send to disable and enable persons. All attributes but `active` and the names
 * are accepted and ignored: this broker stores no profiles.
 *
 * @see RFC 7643 section 4.1, RFC 7644 section 3
 */

export const USER_SCHEMA = 'urn:ietf:params:scim:schemas:core:2.0:User';
export const LIST_SCHEMA = 'urn:ietf:params:scim:api:messages:2.0:ListResponse';
export const ERROR_SCHEMA = 'urn:ietf:params:scim:api:messages:2.0:Error';
export const PATCH_SCHEMA = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';

/** The error keywords of RFC 7644 section 3.12 that are used here. */
export type ScimType =
  | 'invalidFilter'
  | 'invalidPath'
  | 'invalidSyntax'
  | 'invalidValue'
  | 'mutability'
  | 'uniqueness';

/** A fault in a message of an identity provider. */
export class ScimFault extends Error {
  readonly status: number;
  readonly scimType: ScimType | undefined;

  constructor(status: number, detail: string, scimType?: ScimType) {
    super(detail);
    this.name = 'ScimFault';
    this.status = status;
    this.scimType = scimType;
  }
}

/** The SCIM attribute that names the person, and the prefix that the broker's own name of them adds. */
export interface PersonNaming {
  attribute: 'userName' | 'externalId';
  prefix: string;
}

/** The user that a filter selects by name. */
export interface UserFilter {
  attribute: NameAttribute | 'id';
  value: string;
}

const FILTER =
  /^\s*(?:urn:ietf:params:scim:schemas:core:2\.0:User:)?(userName|externalId|id)\s+eq\s+("(?:[^"\\]|\\.)*")\s*$/i;

const FILTERED = ['userName', 'externalId', 'id'] as const;

/** Parses a filter such as `userName eq "dana"`. Attribute names and operators are case-insensitive. @throws ScimFault */
export function parseFilter(text: string): UserFilter {
  const [, name = '', literal = ''] = FILTER.exec(text) ?? [];
  const attribute = FILTERED.find((known) => known.toLowerCase() === name.toLowerCase());
  const value = parseLiteral(literal);
  if (value === null || attribute === undefined) {
    throw new ScimFault(
      400,
      'The only supported filters are userName, externalId or id eq "…".',
      'invalidFilter',
    );
  }
  return { attribute, value };
}

function parseLiteral(literal: string): string | null {
  try {
    return z.string().min(1).parse(JSON.parse(literal));
  } catch {
    return null;
  }
}

const OPS = ['add', 'replace', 'remove'];

const patchSchema = z.object({ schemas: z.unknown().optional(), Operations: z.array(z.unknown()).min(1) });

/** The maximum number of operations of a PATCH. */
const MAX_OPERATIONS = 100;

const operationSchema = z.object({
  op: z
    .string()
    .toLowerCase()
    .refine((op) => OPS.includes(op)),
  path: z.string().optional(),
  value: z.unknown().optional(),
});

/** The attributes of names. They are stored as the provider gave them. */
export type NameAttribute = PersonNaming['attribute'];

/** The requested state of a user; undefined members are not to be changed. */
export interface WantedUser {
  active?: boolean;
  /** Null removes the name. */
  names: Partial<Record<NameAttribute, string | null>>;
  /**
   * The first fault of the message, or null. A message with a fault changes nothing, except that it still disables the
   * user: a deviation from RFC 7644 section 3.5.2, where one faulty operation voids all others.
   */
  fault: ScimFault | null;
}

/** The names in lower case of the attributes that are kept, with their spelling. Attribute names are case-insensitive. */
const KEPT = new Map([
  ['active', 'active'],
  ['username', 'userName'],
  ['externalid', 'externalId'],
] as const);

/** The maximum length of a name, which is that of a person. */
export const MAX_NAME = 512;

/**
 * Parses a PATCH: `active` by its path or as a member of the value, as a boolean or (as some providers send it) a string.
 * Each operation is read by itself, so that a faulty one does not hide a deactivation.
 *
 * @throws ScimFault if it is no PATCH
 */
export function parsePatch(body: unknown, naming: PersonNaming): WantedUser {
  const parsed = patchSchema.safeParse(body);
  if (!parsed.success) throw notAPatch();
  const wanted: WantedUser = { names: {}, fault: null };
  const { schemas, Operations } = parsed.data;
  noteFault(wanted, () => assertSchema(schemas, PATCH_SCHEMA));
  noteFault(wanted, () => {
    if (Operations.length > MAX_OPERATIONS) throw notAPatch();
  });
  for (const sent of Operations) {
    noteFault(wanted, () => {
      const operation = operationSchema.safeParse(sent);
      if (!operation.success) {
        throw new ScimFault(
          400,
          'Each operation needs an op of add, replace or remove, and a path that is a string, if any.',
          'invalidSyntax',
        );
      }
      readOperation(wanted, operation.data, naming);
    });
  }
  return wanted;
}

function notAPatch(): ScimFault {
  return new ScimFault(400, `Send a PatchOp with 1 to ${MAX_OPERATIONS} Operations.`, 'invalidSyntax');
}

function assertSchema(schemas: unknown, schema: string): void {
  const parsed = z.array(z.string()).safeParse(schemas);
  if (parsed.data?.includes(schema)) return;
  throw new ScimFault(400, `schemas must include ${schema}.`, 'invalidSyntax');
}

function readOperation(
  wanted: WantedUser,
  { op, path, value }: z.infer<typeof operationSchema>,
  naming: PersonNaming,
): void {
  const members = path === undefined ? value : { [path]: value };
  if (typeof members !== 'object' || members === null || Array.isArray(members)) {
    throw new ScimFault(400, 'Without a path, value must be an object of attributes.', 'invalidValue');
  }
  for (const [member, asked] of Object.entries(members)) {
    noteFault(wanted, () => {
      const attribute = attributeOf(member, 'invalidPath');
      if (attribute === undefined) return;
      if (op === 'remove') removeAttribute(wanted, attribute, naming);
      else setAttribute(wanted, attribute, asked, naming);
    });
  }
}

/** Parses a whole user, of a POST or a PUT. @throws ScimFault if it is no user */
export function parseUser(body: unknown, naming: PersonNaming): WantedUser {
  const parsed = z.looseObject({ schemas: z.unknown().optional() }).safeParse(body);
  if (!parsed.success) throw new ScimFault(400, 'Send a user as a JSON object.', 'invalidSyntax');
  const { schemas } = parsed.data;
  const wanted: WantedUser = { names: {}, fault: null };
  noteFault(wanted, () => {
    if (schemas !== undefined) assertSchema(schemas, USER_SCHEMA);
  });
  // As it was sent: a parsed object has no __proto__.
  for (const [member, value] of Object.entries(body as object)) {
    noteFault(wanted, () => {
      const attribute = attributeOf(member, 'invalidSyntax');
      if (attribute !== undefined) setAttribute(wanted, attribute, value, naming);
    });
  }
  return wanted;
}

function noteFault(wanted: WantedUser, read: () => void): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof ScimFault)) throw error;
    wanted.fault ??= error;
  }
}

/**
 * The kept attribute that a path or a member names, or undefined for one that is accepted and not kept.
 *
 * @throws ScimFault for a name outside of the grammar: a misspelt `active` must not succeed without any effect
 */
function attributeOf(member: string, scimType: ScimType): 'active' | NameAttribute | undefined {
  const path = parsePath(member);
  const schema = USER_SCHEMA.toLowerCase();
  if (path === null || path.attribute === schema) {
    throw new ScimFault(
      400,
      'A path must name an attribute, such as active, name.familyName or emails[type eq "work"].value.',
      scimType,
    );
  }
  const { attribute, isPart } = path;
  const name = attribute.startsWith(`${schema}:`) ? attribute.slice(schema.length + 1) : attribute;
  const kept = KEPT.get(name as 'active');
  if (kept !== undefined && isPart) {
    throw new ScimFault(400, `${kept} has neither parts nor several values.`, scimType);
  }
  return kept;
}

function setAttribute(
  wanted: WantedUser,
  attribute: 'active' | NameAttribute,
  value: unknown,
  naming: PersonNaming,
): void {
  if (attribute === 'active') {
    wanted.active = readBoolean(soleValue(value));
    return;
  }
  // Some providers send an attribute without a value as null or an empty string.
  const isEmpty = value === undefined || value === null || value === '';
  if (isEmpty && attribute !== naming.attribute) return;
  if (isEmpty || typeof value !== 'string' || value.length > MAX_NAME) {
    throw new ScimFault(
      400,
      `${attribute} must be a name of at most ${MAX_NAME} characters.`,
      'invalidValue',
    );
  }
  wanted.names[attribute] = value;
}

function removeAttribute(
  wanted: WantedUser,
  attribute: 'active' | NameAttribute,
  naming: PersonNaming,
): void {
  if (attribute === 'externalId' && naming.attribute !== 'externalId') {
    wanted.names.externalId = null;
    return;
  }
  throw new ScimFault(
    400,
    `${attribute} cannot be removed. To disable the user, replace active with false.`,
    'mutability',
  );
}

/** Some providers send one value as a list of one complex value: `[{"$ref": null, "value": "False"}]`. */
function soleValue(sent: unknown): unknown {
  if (!Array.isArray(sent) || sent.length !== 1) return sent;
  const [only] = sent as unknown[];
  return typeof only === 'object' && only !== null && 'value' in only ? only.value : sent;
}

function readBoolean(value: unknown): boolean {
  const word = typeof value === 'string' ? value.toLowerCase() : value;
  if (word === true || word === 'true') return true;
  if (word === false || word === 'false') return false;
  throw new ScimFault(400, 'active must be true or false.', 'invalidValue');
}

/** The SCIM keyword for a broker refusal, if there is one. */
export function scimTypeOf(code: ProblemCode): ScimType | undefined {
  if (code === 'malformed_json') return 'invalidSyntax';
  return code === 'invalid_request' ? 'invalidValue' : undefined;
}
