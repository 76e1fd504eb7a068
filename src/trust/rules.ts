import { z } from 'zod';
import { type Claims, claimAt } from '../identity/claim.ts';
import { audienceSchema, MAX_ISSUED_LIFE_S } from '../identity/issued-token.ts';
import { OPERATION_NAMES, OPERATIONS, type Operation } from '../operations.ts';
import { isGlob } from './glob.ts';

/*
 * Trust rules: which tokens of pipelines and services the active policy trusts. This folder has their schema, matching,
 * lint and platform specifics. It has only pure functions, which read no store and no network. `tokens/` verifies tokens.
 */

const name = z.string().min(1).max(200);
const humanClaim = z.strictObject({ claim: name, prefix: z.string().max(100) });

/** The platforms with specific checks; `oidc` is any other issuer. */
export const PLATFORM_NAMES = ['github', 'gitlab', 'kubernetes', 'spiffe', 'buildkite', 'oidc'] as const;

/** The name of a platform. */
export type PlatformName = (typeof PLATFORM_NAMES)[number];

/** A trust rule: which workload tokens are trusted, and the maximum grant of the exchange. */
export const trustRuleSchema = z.strictObject({
  /** The exact `iss`. For SPIFFE the trust domain, such as `spiffe://example.org`, whatever `iss` its tokens have. */
  issuer: z.string().min(1).max(512),
  /** The platform, if neither the issuer nor the claims determine it. Each platform has its own requirements. */
  platform: z.enum(PLATFORM_NAMES).optional(),
  /** The exact and only `aud`. */
  audience: z.string().min(1).max(512),
  /**
   * The accepted values of each claim: any of the strings, where `*` matches within one part. Names are taken
   * literally, including dots. A name that begins with `/` is a JSON Pointer (RFC 6901) into nested claims.
   */
  claims: z.record(name, z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(100)])),
  /** The claim that identifies the human who started the job. A token without it is refused. */
  person: humanClaim.optional(),
  /**
   * The claim that identifies the human who started the job again, if the platform keeps `person` for each attempt and
   * names both. A token without it is refused.
   */
  rerun_by: humanClaim.optional(),
  /** The kind of the issued token: for the `workload` itself, or for an `agent` that acts for a person. */
  kind: z.enum(['workload', 'agent']).default('workload'),
  grant: z.strictObject({
    audiences: z.array(audienceSchema).min(1),
    operations: z.array(z.enum(OPERATION_NAMES)),
    environments: z.array(name),
    namespaces: z.array(name),
    token_ttl_s: z.int().min(1).max(MAX_ISSUED_LIFE_S),
    /** Whether issued tokens must be bound to a key (DPoP, RFC 9449). */
    require_dpop: z.boolean().default(false),
    /** How often one platform token can be exchanged, if the rule grants nothing but reads. Default: 50. */
    max_exchanges: z.int().min(1).max(10_000).optional(),
  }),
});

/** The trust rules of a policy bundle by name: `data.config.trust_rules`. */
export const trustRulesSchema = z.record(
  z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'use lower-case letters, digits and hyphens, at most 63')
    // Principal ids contain the rule's name, and `workload:countersign:…` is reserved for the broker.
    .refine((name) => name !== 'countersign', 'this name is reserved for the broker; choose another'),
  trustRuleSchema,
);

/** One trust rule. */
export type TrustRule = z.infer<typeof trustRuleSchema>;

/** Trust rules by name. */
export type TrustRules = Readonly<Record<string, TrustRule>>;

/** Rules with their names, sorted by name. */
export function rulesByName(rules: TrustRules): [string, TrustRule][] {
  return Object.entries(rules).toSorted(([one], [other]) => (one < other ? -1 : 1));
}

/** Operations with which a job writes what another person approves. */
const WRITING: ReadonlySet<string> = new Set(['request.propose', 'request.edit']);

/** Whether jobs under the rule write what another person approves, so that the humans behind them must be known. */
export function writesRequests({ grant }: Pick<TrustRule, 'grant'>): boolean {
  return grant.operations.some((operation) => WRITING.has(operation));
}

/** How often one platform token can be exchanged under a rule that grants reads only, unless the rule says. */
const MAX_EXCHANGES = 50;

/**
 * How often one platform token can be exchanged under the rule. A token that yields anything but reads works once, and so
 * does that of an agent. An application whose container restarts has no other token.
 *
 * @param singleUse the operations that the policy declares to be single-use
 */
export function exchangesUnder({ kind, grant }: TrustRule, singleUse: ReadonlySet<string>): number {
  const isRead = (name: Operation): boolean => OPERATIONS[name].changes === 'nothing' && !singleUse.has(name);
  if (kind !== 'workload' || !grant.operations.every(isRead)) return 1;
  return grant.max_exchanges ?? MAX_EXCHANGES;
}

/** The accepted values of a claim in a rule; empty if the rule does not mention it. */
export function wantedOf(rule: Pick<TrustRule, 'claims'>, claim: string): readonly string[] {
  return Object.hasOwn(rule.claims, claim) ? patternsOf(rule.claims[claim] ?? []) : [];
}

/** True when the rule pins a claim to exact values, without `*`. */
export function isPinned(rule: Pick<TrustRule, 'claims'>, claim: string): boolean {
  const wanted = wantedOf(rule, claim);
  return wanted.length > 0 && !wanted.some(isGlob);
}

/** One pattern or several, as a list. */
export function patternsOf(wanted: string | readonly string[]): readonly string[] {
  return typeof wanted === 'string' ? [wanted] : wanted;
}

/**
 * The claim as a string (booleans and integers in JSON notation), or undefined if absent or not a scalar. Unsafe
 * integers are undefined too: rounding would merge two ids that differ in their last digits.
 */
export function scalarClaim(claims: Claims, name: string): string | undefined {
  const value = claimAt(claims, name);
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  return typeof value === 'string' || typeof value === 'boolean' ? String(value) : undefined;
}
