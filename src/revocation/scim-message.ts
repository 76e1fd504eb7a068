import { z } from 'zod';
import type { ProblemCode } from '../errors.ts';

/**
 * The SCIM messages that identity providers send to disable and enable persons. All attributes but `active` are ignored:
 * this broker stores no profiles.
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
  attribute: 'username' | 'externalid' | 'id';
  value: string;
}

const FILTER =
  /^\s*(?:urn:ietf:params:scim:schemas:core:2\.0:User:)?(userName|externalId|id)\s+eq\s+("(?:[^"\\]|\\.)*")\s*$/i;

/** Parses a filter such as `userName eq "dana"`. Attribute names and operators are case-insensitive. @throws ScimFault */
export function parseFilter(text: string): UserFilter {
  const [, attribute = '', literal = ''] = FILTER.exec(text) ?? [];
  const value = parseLiteral(literal);
  if (value === null) {
    throw new ScimFault(
      400,
      'The only supported filters are userName, externalId or id eq "…".',
      'invalidFilter',
    );
  }
  return { attribute: attribute.toLowerCase() as UserFilter['attribute'], value };
}

function parseLiteral(literal: string): string | null {
  try {
    return z.string().min(1).parse(JSON.parse(literal));
  } catch {
    return null;
  }
}

const OPS = ['add', 'replace', 'remove'];

const patchSchema = z.object({
  schemas: z.array(z.string()).refine((schemas) => schemas.includes(PATCH_SCHEMA)),
  Operations: z
    .array(
      z.object({
        op: z.string().refine((op) => OPS.includes(op.toLowerCase())),
        path: z.string().optional(),
        value: z.unknown().optional(),
      }),
    )
    .min(1)
    .max(100),
});

/** The requested state of a user; undefined members are not to be changed. */
export interface WantedUser {
  active: boolean | undefined;
  /** The value of the attribute that names the person. */
  name: string | undefined;
}

/**
 * Parses a PATCH: `active` by its path or as a member of the value, as a boolean or (as some providers send it) a string.
 *
 * @throws ScimFault
 */
export function parsePatch(body: unknown, naming: PersonNaming): WantedUser {
  const parsed = patchSchema.safeParse(body);
  if (!parsed.success) {
    throw new ScimFault(400, 'Send a PatchOp whose Operations are add, replace or remove.', 'invalidSyntax');
  }
  let wanted: WantedUser = { active: undefined, name: undefined };
  for (const { op, path, value } of parsed.data.Operations) {
    const members = path === undefined ? value : { [path]: value };
    if (typeof members !== 'object' || members === null || Array.isArray(members)) {
      throw new ScimFault(400, 'Without a path, value must be an object of attributes.', 'invalidValue');
    }
    const said = readAttributes(members as Record<string, unknown>, naming);
    if (op.toLowerCase() === 'remove' && isNamed(members, ['active', naming.attribute])) {
      throw new ScimFault(
        400,
        'This attribute cannot be removed. To disable the user, replace active with false.',
        'mutability',
      );
    }
    wanted = { active: said.active ?? wanted.active, name: said.name ?? wanted.name };
  }
  return wanted;
}

/** Parses a whole user, of a POST or a PUT. @throws ScimFault */
export function parseUser(body: unknown, naming: PersonNaming): WantedUser {
  const parsed = z.looseObject({ schemas: z.array(z.string()).optional() }).safeParse(body);
  if (!parsed.success) throw new ScimFault(400, 'Send a user as a JSON object.', 'invalidSyntax');
  const { schemas } = parsed.data;
  if (schemas !== undefined && !schemas.includes(USER_SCHEMA)) {
    throw new ScimFault(400, `schemas must include ${USER_SCHEMA}.`, 'invalidSyntax');
  }
  return readAttributes(parsed.data, naming);
}

function readAttributes(members: Record<string, unknown>, naming: PersonNaming): WantedUser {
  const wanted: WantedUser = { active: undefined, name: undefined };
  for (const [member, value] of Object.entries(members)) {
    switch (attributeOf(member)) {
      case 'active':
        // A removal has no value, and is refused because of its attribute.
        if (value !== undefined) wanted.active = readBoolean(value);
        break;
      case naming.attribute.toLowerCase():
        if (value === undefined) break;
        if (typeof value !== 'string' || value === '') {
          throw new ScimFault(400, `${naming.attribute} must be a name.`, 'invalidValue');
        }
        wanted.name = value;
        break;
    }
  }
  return wanted;
}

function isNamed(members: object, attributes: readonly string[]): boolean {
  const names = attributes.map((name) => name.toLowerCase());
  return Object.keys(members).some((member) => names.includes(attributeOf(member)));
}

/** Attribute names are case-insensitive and may be prefixed with their schema. RFC 7644 section 3.10 */
function attributeOf(member: string): string {
  const name = member.toLowerCase();
  const schema = `${USER_SCHEMA.toLowerCase()}:`;
  return name.startsWith(schema) ? name.slice(schema.length) : name;
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
