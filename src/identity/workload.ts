import { z } from 'zod';
import { type Principal, principalSchema } from '../policy/input.ts';
import type { Caller } from './credential.ts';
import { TokenRefused } from './refusal.ts';
import { audienceSchema } from './trust.ts';
import type { VerifiedClaims } from './verify-token.ts';

/**
 * The claims of a token that Countersign issues to a workload. `sub` is the principal's id and `client_id` the trust
 * rule; `subject_issuer` is who vouched for the workload.
 *
 * @see RFC 9068 section 2.2
 */
export const issuedClaimsSchema = z.object({
  iss: z.string(),
  aud: audienceSchema,
  sub: z.string().startsWith('workload:'),
  client_id: z.string(),
  iat: z.int(),
  exp: z.int(),
  jti: z.string().min(1),
  /** Operation names, separated by single spaces; empty for none. */
  scope: z.string(),
  policy_hash: z.string(),
  trust_rule: z.string().min(1),
  subject_issuer: z.string(),
  claims: principalSchema.shape.claims,
  person: principalSchema.shape.person,
  /** The namespaces whose flags the token reads, `*` for all: with an audience `data:<environment>`, and only then. */
  namespaces: z.array(z.string()).optional(),
});

/** The claims of a token that Countersign issues to a workload. */
export type IssuedClaims = z.infer<typeof issuedClaimsSchema>;

/** Who a verified token stands for. */
export interface Verified extends Caller {
  /** The namespaces whose flags the token reads, `*` for all; none for a token that reads no flags. */
  namespaces: readonly string[];
}

/**
 * Who a verified token of Countersign's own stands for.
 *
 * @throws TokenRefused
 */
export function verifiedWorkload(claims: VerifiedClaims): Omit<Verified, 'credential'> {
  const parsed = issuedClaimsSchema.safeParse(claims);
  if (!parsed.success) throw new TokenRefused('claim_shape', 'issued token', parsed.error);
  const { sub, person, subject_issuer, claims: passed, aud, scope, trust_rule, namespaces } = parsed.data;
  const readsFlags = aud.startsWith('data:');
  if (!readsFlags && scope === '') throw new TokenRefused('claim_not_accepted', 'scope');
  if (readsFlags !== (namespaces !== undefined)) throw new TokenRefused('claim_not_accepted', 'namespaces');
  const principal = workloadPrincipal({
    id: sub,
    person,
    issuer: subject_issuer,
    claims: passed,
    audience: aud,
    scope: scope === '' ? [] : scope.split(' '),
    trust_rule,
    issued_ms: parsed.data.iat * 1000,
  });
  return { principal, namespaces: namespaces ?? [] };
}

/** What makes a workload's principal; the rest is the same for all of them. */
export interface WorkloadParts {
  id: string;
  person: string | null;
  issuer: string;
  claims: Principal['claims'];
  audience: string;
  scope: string[];
  trust_rule: string;
  issued_ms: number;
}

/** A workload as policy sees it: no groups, no sign-in. The same at the exchange and with the issued token. */
export function workloadPrincipal({ id, person, issuer, claims, ...token }: WorkloadParts): Principal {
  return {
    id,
    kind: 'workload',
    person,
    issuer,
    groups: [],
    claims,
    auth: { level: 0, acr: null, amr: [], auth_time_ms: null },
    token: { ...token, sender_constrained: false },
  };
}
