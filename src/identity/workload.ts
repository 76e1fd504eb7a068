import { z } from 'zod';
import { type Principal, principalSchema } from '../principal.ts';
import { actorsOf } from './act.ts';
import type { Credential, VerifiedToken } from './credential.ts';
import { audienceSchema, dataEnvironmentOf } from './issued-token.ts';
import { TokenRefused } from './refusal.ts';
import type { VerifiedClaims } from './verify-token.ts';

const originSchema = z.strictObject({
  principal: principalSchema.shape.id,
  kind: z.enum(['person', 'workload']),
  issuer: z.string(),
  token_id: z.string(),
  kid: z.string().nullable(),
  session: z.string().nullable(),
  issued_ms: z.int().min(0),
  ci_run: z.string().optional(),
});

/** {@link Credential.origins} as encoded in a token. */
export const originsSchema = z.array(originSchema);

/** The claims about an agent's sponsor in a token, besides `person`. */
const sponsorSchema = z.strictObject({
  groups: principalSchema.shape.groups,
  /** The credentials that the token was issued for: the person's and the agent's own. */
  origins: originsSchema.min(1),
});

/**
 * The claims of a token that Countersign issues to a workload, to an agent that acts for a person, or to a person. `sub` is the
 * principal's id, `client_id` the trust rule, and `subject_issuer` the issuer of the workload's or the person's token.
 *
 * @see RFC 9068 section 2.2
 */
const issuedClaimsSchema = z.object({
  iss: z.string(),
  aud: audienceSchema,
  sub: z.string(),
  client_id: z.string(),
  iat: z.int(),
  exp: z.int(),
  jti: z.string().min(1),
  /** Operation names, separated by single spaces; may be empty. */
  scope: z.string(),
  policy_hash: z.string(),
  /** Absent exactly for a person, whose token reads flags only. */
  trust_rule: z.string().min(1).optional(),
  subject_issuer: z.string(),
  claims: principalSchema.shape.claims,
  person: principalSchema.shape.person,
  started_by: principalSchema.shape.started_by,
  /** The namespaces whose flags the token reads, `*` for all. Present exactly with an audience `data:<environment>`. */
  namespaces: z.array(z.string()).optional(),
  /** The thumbprint of the key that the token is bound to; absent for a bearer token. RFC 9449 section 6.1 */
  cnf: z.strictObject({ jkt: z.string().regex(/^[A-Za-z0-9_-]{43}$/) }).optional(),
  /** The platform's token that a workload exchanged for this one. Revoking it revokes this token too. */
  origin: originSchema.optional(),
  /** The only request that the token reads, and the token of the job that it was issued for. */
  follows: z.strictObject({ request: z.uuid(), from: originSchema }).optional(),
  /** The acting agent and the previous actors. Present exactly with `sponsor`. @see RFC 8693 section 4.1 */
  act: z.unknown().optional(),
  sponsor: sponsorSchema.optional(),
});

/** The claims of a token that Countersign issues to a workload or an agent. */
export type IssuedClaims = z.infer<typeof issuedClaimsSchema>;

/** The principal of a verified Countersign token, and the origins of the token. */
export interface VerifiedIssuedToken
  extends Omit<VerifiedToken, 'credential'>,
    Pick<Credential, 'origins' | 'only_request'> {}

/**
 * The principal of a verified Countersign token.
 *
 * @throws TokenRefused
 */
export function verifiedIssued(claims: VerifiedClaims): VerifiedIssuedToken {
  const parsed = issuedClaimsSchema.safeParse(claims);
  if (!parsed.success) throw new TokenRefused('claim_shape', 'issued token', parsed.error);
  const { sub, person, subject_issuer, claims: passed, aud, scope, trust_rule, namespaces } = parsed.data;
  const readsFlags = dataEnvironmentOf(aud) !== null;
  if (!readsFlags && scope === '') throw new TokenRefused('claim_not_accepted', 'scope');
  if (readsFlags !== (namespaces !== undefined)) throw new TokenRefused('claim_not_accepted', 'namespaces');
  if (trust_rule === undefined && !readsFlags) throw new TokenRefused('claim_not_accepted', 'trust_rule');
  const principal = issuedPrincipal({
    id: sub,
    person,
    started_by: parsed.data.started_by ?? [],
    issuer: subject_issuer,
    claims: passed,
    audience: aud,
    scope: scope === '' ? [] : scope.split(' '),
    trust_rule: trust_rule ?? null,
    issued_ms: parsed.data.iat * 1000,
    sender_constrained: parsed.data.cnf !== undefined,
    delegation: delegationOf(parsed.data),
  });
  if (!sub.startsWith(`${principal.kind}:`)) throw new TokenRefused('claim_not_accepted', 'sub');
  const { origin, sponsor, follows } = parsed.data;
  const own = [...(follows ? [follows.from] : []), ...(origin ? [origin] : [])];
  const origins = sponsor?.origins ?? (own.length === 0 ? undefined : own);
  return {
    ...(follows && { only_request: follows.request }),
    principal,
    namespaces: namespaces ?? [],
    jkt: parsed.data.cnf?.jkt ?? null,
    ...(origins && { origins }),
  };
}

function delegationOf({ act, sponsor }: IssuedClaims): Delegation | null {
  const actors = actorsOf(act);
  if (actors.length > 0 !== (sponsor !== undefined)) throw new TokenRefused('claim_not_accepted', 'act');
  return sponsor === undefined ? null : { act: actors, groups: sponsor.groups };
}

/** The additional parts of an agent. `person` of the principal is its sponsor. */
export interface Delegation {
  /** Ids of workloads, newest first. */
  act: string[];
  /** The person's groups. */
  groups: string[];
}

function kindOf(delegation: Delegation | null, trustRule: string | null): Principal['kind'] {
  if (delegation !== null) return 'agent';
  return trustRule === null ? 'person' : 'workload';
}

/** The variable parts of the principal of an issued token. */
export interface IssuedParts {
  id: string;
  person: string | null;
  /** {@link Principal.started_by}; may be empty. */
  started_by: readonly string[];
  issuer: string;
  claims: Principal['claims'];
  audience: string;
  scope: string[];
  /** Null for a person. */
  trust_rule: string | null;
  issued_ms: number;
  sender_constrained: boolean;
  /** Null for a workload that acts for itself, and for a person. */
  delegation: Delegation | null;
}

/**
 * A workload or an agent as policy sees it, without a sign-in. Identical at the exchange and with the issued token. With
 * the token of a person, it is only what the data plane and revocation need.
 */
export function issuedPrincipal({
  id,
  person,
  issuer,
  claims,
  started_by,
  delegation,
  ...token
}: IssuedParts): Principal {
  return {
    id,
    kind: kindOf(delegation, token.trust_rule),
    person,
    issuer,
    groups: delegation?.groups ?? [],
    claims,
    auth: { level: 0, acr: null, amr: [], auth_time_ms: null },
    token,
    ...(started_by.length > 0 && { started_by: [...started_by] }),
    ...(delegation && { act: delegation.act }),
  };
}
