import { canonicalPerson } from '../person-name.ts';
import { type Principal, principalSchema } from '../principal.ts';
import { claimAt, outermostOf } from './claim.ts';
import { TokenRefused } from './refusal.ts';
import type { TokenType } from './token-form.ts';
import { isStringList, type VerifiedClaims } from './verify-token.ts';

/** The settings of a person issuer that map tokens to principals; the configuration has more. */
export interface PersonIssuer {
  key: string;
  issuer: string;
  audience: readonly string[];
  authorized_parties?: readonly string[] | undefined;
  token_types: readonly ('id_token' | 'access_token')[];
  claims: { person?: string | undefined; groups: string; pass: readonly string[] };
  levels: { acr: Readonly<Record<string, number>>; amr: Readonly<Record<string, number>> };
}

/**
 * Claims that an ID token must not have: with one of them it is an access token or another kind of token. The profiles
 * are mutually exclusive (RFC 8725 section 3.12).
 */
const NOT_IN_ID_TOKENS = ['scope', 'scp', 'client_id'] as const;
const NOT_IN_ACCESS_TOKENS = ['nonce', 'at_hash', 'c_hash'] as const;

/**
 * The principal of a verified person token. Checks audience, authorized party and the claims of its profile.
 *
 * @throws TokenRefused
 * @see OpenID Connect Core 3.1.3.7 (ID tokens), RFC 9068 section 4 (access tokens)
 */
export function personPrincipal(issuer: PersonIssuer, type: TokenType, claims: VerifiedClaims): Principal {
  const profile = type === 'jwt' ? 'id_token' : 'access_token';
  if (!issuer.token_types.includes(profile)) throw new TokenRefused('type_not_accepted', profile);
  checkAudience(issuer, claims);
  if (profile === 'id_token') checkIdToken(issuer, claims);
  else checkAccessToken(issuer, claims);
  assertComplete(issuer, claims);
  const acr = optional(claims, 'acr', isString) ?? null;
  const amr = optional(claims, 'amr', isStringList) ?? [];
  const authTime = optional(claims, 'auth_time', isSeconds);
  const parsed = principalSchema.safeParse({
    id: personId(issuer.key, claims.sub),
    kind: 'person',
    person: personOf(issuer, claims),
    issuer: issuer.issuer,
    groups: groupsOf(issuer, claims),
    claims: passedClaims(issuer, claims),
    auth: {
      level: levelOf(issuer, acr, amr),
      acr,
      amr,
      auth_time_ms: authTime === undefined ? null : authTime * 1000,
    },
    token: {
      audience: 'control',
      scope: [],
      sender_constrained: false,
      trust_rule: null,
      issued_ms: Math.floor(claims.iat * 1000),
    },
  } satisfies Principal);
  if (!parsed.success) throw new TokenRefused('claim_shape', 'principal', parsed.error);
  return parsed.data;
}

/** The principal id of a person's account. @param issuerKey the key of the issuer in the configuration */
export function personId(issuerKey: string, sub: string): string {
  return `person:${issuerKey}:${sub}`;
}

/**
 * Refuses a delegated token. A token that names an agent is only for the exchange. Otherwise the agent could do with it
 * what only a person may.
 *
 * @throws TokenRefused `claim_not_accepted`
 * @see RFC 8693 sections 4.1 and 4.4
 */
export function assertOwnToken(claims: VerifiedClaims): void {
  forbid(claims, ['act', 'may_act']);
}

/** Every audience must be ours, because each further recipient could leak or misuse the token. */
function checkAudience(issuer: PersonIssuer, claims: VerifiedClaims): void {
  const audiences = typeof claims.aud === 'string' ? [claims.aud] : claims.aud;
  if (audiences.length === 0 || !audiences.every((audience) => issuer.audience.includes(audience))) {
    const isForUsToo = audiences.some((audience) => issuer.audience.includes(audience));
    throw new TokenRefused('audience_not_accepted', isForUsToo ? 'several' : undefined);
  }
  if (audiences.length > 1 && claims.azp === undefined)
    throw new TokenRefused('authorized_party_not_accepted');
}

function checkIdToken(issuer: PersonIssuer, claims: VerifiedClaims): void {
  forbid(claims, NOT_IN_ID_TOKENS);
  const parties = issuer.authorized_parties ?? issuer.audience;
  const azp = optional(claims, 'azp', isString);
  if (azp !== undefined && !parties.includes(azp)) throw new TokenRefused('authorized_party_not_accepted');
}

function checkAccessToken(issuer: PersonIssuer, claims: VerifiedClaims): void {
  forbid(claims, NOT_IN_ACCESS_TOKENS);
  const clientId = optional(claims, 'client_id', isString);
  if (clientId === undefined) throw new TokenRefused('claim_shape', 'client_id');
  if (optional(claims, 'jti', isString) === undefined) throw new TokenRefused('claim_shape', 'jti');
  const azp = optional(claims, 'azp', isString) ?? clientId;
  const parties = issuer.authorized_parties;
  if (parties && !(parties.includes(clientId) && parties.includes(azp))) {
    throw new TokenRefused('authorized_party_not_accepted');
  }
}

function forbid(claims: VerifiedClaims, names: readonly string[]): void {
  const present = names.find((name) => Object.hasOwn(claims, name));
  if (present !== undefined) throw new TokenRefused('claim_not_accepted', present);
}

function personOf(issuer: PersonIssuer, claims: VerifiedClaims): string {
  const claim = issuer.claims.person;
  if (claim === undefined) return verifiedPerson(`${issuer.key}:${claims.sub}`);
  const value = optional(claims, claim, isString);
  // A fallback to the account would make two persons of one human.
  if (value === undefined) throw new TokenRefused('claim_missing', claim);
  return verifiedPerson(value);
}

/** The canonical form of a person whom a verified token names. @throws TokenRefused `person_not_accepted` */
export function verifiedPerson(name: string): string {
  const canonical = canonicalPerson(name);
  if ('fault' in canonical) throw new TokenRefused('person_not_accepted', canonical.fault);
  return canonical.person;
}

/**
 * Refuses a token from which the provider left out a claim that is read here, because it was too large (overage). What the
 * person is, or may do, is then unknown, and never nothing. Entra does so with more than 200 groups.
 *
 * @throws TokenRefused `claim_left_out`
 * @see OpenID Connect Core 5.6.2 (distributed claims)
 */
function assertComplete({ claims: names }: PersonIssuer, claims: VerifiedClaims): void {
  const elsewhere = optional(claims, '_claim_names', isObject) ?? {};
  const read = [names.groups, ...names.pass, ...(names.person === undefined ? [] : [names.person])];
  const missing = read.map(outermostOf).find((name) => Object.hasOwn(elsewhere, name));
  if (missing !== undefined) throw new TokenRefused('claim_left_out', missing);
  // The short form, in tokens that have no room for an address.
  const hasGroups = claims.hasgroups === true || claims.hasgroups === 'true';
  if (hasGroups && outermostOf(names.groups) === 'groups') throw new TokenRefused('claim_left_out', 'groups');
}

/** The groups of a token: none if the claim is absent or null, one if it is a string. */
function groupsOf({ claims: { groups: name } }: PersonIssuer, claims: VerifiedClaims): string[] {
  const value = claimAt(claims, name) ?? [];
  const groups = principalSchema.shape.groups.safeParse(typeof value === 'string' ? [value] : value);
  if (!groups.success) throw new TokenRefused('claim_shape', name, groups.error);
  return groups.data;
}

function levelOf(issuer: PersonIssuer, acr: string | null, amr: readonly string[]): number {
  const level = (map: Readonly<Record<string, number>>, name: string): number =>
    Object.hasOwn(map, name) ? (map[name] ?? 0) : 0;
  const byAcr = acr === null ? 0 : level(issuer.levels.acr, acr);
  return Math.max(byAcr, ...amr.map((method) => level(issuer.levels.amr, method)));
}

function passedClaims(issuer: PersonIssuer, claims: VerifiedClaims): Principal['claims'] {
  const passed: Principal['claims'] = {};
  for (const name of issuer.claims.pass) {
    const value = claimAt(claims, name) ?? undefined;
    if (value === undefined) continue;
    if (!isPassable(value)) throw new TokenRefused('claim_shape', name);
    passed[name] = value;
  }
  return passed;
}

/** True for values that are allowed in `principal.claims`. */
function isPassable(value: unknown): value is Principal['claims'][string] {
  return ['string', 'number', 'boolean'].includes(typeof value) || isStringList(value);
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSeconds(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** The claim, or undefined when absent. A claim of the wrong type is refused, never treated as absent. */
function optional<T>(
  claims: VerifiedClaims,
  name: string,
  is: (value: unknown) => value is T,
): T | undefined {
  const value = claimAt(claims, name);
  if (value === undefined) return undefined;
  if (!is(value)) throw new TokenRefused('claim_shape', name);
  return value;
}
