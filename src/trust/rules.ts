import { z } from 'zod';
import { audienceSchema, MAX_ISSUED_LIFE_S } from '../identity/issued-token.ts';
import { OPERATION_NAMES } from '../operations.ts';
import { isGlob } from './glob.ts';

/*
 * Trust rules: which tokens of pipelines and services are trusted, as the active policy's data says: their schema, matching,
 * lint, and what each platform's tokens can prove. Pure functions, which read no store and no network; verifying a token
 * is for `tokens/`.
 */

const name = z.string().min(1).max(200);

/** The platforms whose tokens have pitfalls of their own; `oidc` is any other issuer. */
export const PLATFORM_NAMES = ['github', 'gitlab', 'kubernetes', 'spiffe', 'buildkite', 'oidc'] as const;

/** The name of a platform. */
export type PlatformName = (typeof PLATFORM_NAMES)[number];

/** One trust rule: which workload tokens are trusted, and what they are exchanged for at most. */
export const trustRuleSchema = z.strictObject({
  /** The exact `iss`; for SPIFFE the trust domain, such as `spiffe://example.org`, whatever `iss` its tokens have. */
  issuer: z.string().min(1).max(512),
  /** Whose tokens they are, where neither the issuer nor the claims tell. Each platform has demands of its own. */
  platform: z.enum(PLATFORM_NAMES).optional(),
  /** The exact and only `aud`. */
  audience: z.string().min(1).max(512),
  /**
   * What each claim must be: one of the strings, where `*` matches within one part. Names are looked up as they are,
   * dots included; a name that begins with `/` is a JSON Pointer (RFC 6901) into nested claims.
   */
  claims: z.record(name, z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(100)])),
  /** Which claim names the human who triggered the job; without that claim the token is refused. */
  person: z.strictObject({ claim: name, prefix: z.string().max(100) }).optional(),
  /** What the token is exchanged for: a token of the `workload` itself, or of an `agent` that acts for a person. */
  kind: z.enum(['workload', 'agent']).default('workload'),
  grant: z.strictObject({
    audiences: z.array(audienceSchema).min(1),
    operations: z.array(z.enum(OPERATION_NAMES)),
    environments: z.array(name),
    namespaces: z.array(name),
    token_ttl_s: z.int().min(1).max(MAX_ISSUED_LIFE_S),
    /** Whether only tokens that are bound to a key (DPoP, RFC 9449) are issued. */
    require_dpop: z.boolean().default(false),
  }),
});

/** The trust rules of a policy bundle by name: `data.config.trust_rules`. */
export const trustRulesSchema = z.record(
  z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'use lower-case letters, digits and hyphens, at most 63')
    // Principal ids begin with the rule's name: `workload:countersign:…` are the broker's own.
    .refine((name) => name !== 'countersign', 'this name is the broker’s own; choose another'),
  trustRuleSchema,
);

/** One trust rule. */
export type TrustRule = z.infer<typeof trustRuleSchema>;

/** Trust rules by name. */
export type TrustRules = Readonly<Record<string, TrustRule>>;

/** Rules with their names, in the order of the names. */
export function rulesByName(rules: TrustRules): [string, TrustRule][] {
  return Object.entries(rules).toSorted(([one], [other]) => (one < other ? -1 : 1));
}

/** Claims of a token. */
export type Claims = Readonly<Record<string, unknown>>;

/** What a rule wants a claim to be: none when it says nothing about the claim. */
export function wantedOf(rule: Pick<TrustRule, 'claims'>, claim: string): readonly string[] {
  return Object.hasOwn(rule.claims, claim) ? patternsOf(rule.claims[claim] ?? []) : [];
}

/** True when the rule says what a claim must be, without any `*`. */
export function isPinned(rule: Pick<TrustRule, 'claims'>, claim: string): boolean {
  const wanted = wantedOf(rule, claim);
  return wanted.length > 0 && !wanted.some(isGlob);
}

/** One pattern or several, as a list. */
export function patternsOf(wanted: string | readonly string[]): readonly string[] {
  return typeof wanted === 'string' ? [wanted] : wanted;
}

/** What a token has under a name or a JSON Pointer; undefined when it has nothing there. */
export function claimAt(claims: Claims, name: string): unknown {
  const path = name.startsWith('/')
    ? name
        .slice(1)
        .split('/')
        .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    : [name];
  let value: unknown = claims;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/**
 * The claim as a string (booleans and whole numbers as JSON writes them), or undefined when it is absent or no scalar. A
 * number that was rounded when it was read is none: two ids that differ in their last digits would be one.
 */
export function scalarClaim(claims: Claims, name: string): string | undefined {
  const value = claimAt(claims, name);
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  return typeof value === 'string' || typeof value === 'boolean' ? String(value) : undefined;
}
