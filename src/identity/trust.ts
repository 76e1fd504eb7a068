import { z } from 'zod';
import { OPERATION_NAMES } from '../operations.ts';
import { isGlob, matchesGlob } from './glob.ts';
import { MAX_ISSUED_LIFE_S } from './keys.ts';

const name = z.string().min(1).max(200);

/** The audiences that Countersign tokens can have. */
export const audienceSchema = z.union([
  z.enum(['control', 'audit']),
  z.string().regex(/^data:[a-z0-9][a-z0-9-]{0,62}$/),
]);

/** One trust rule: which workload tokens are trusted, and what they are exchanged for at most. */
export const trustRuleSchema = z.strictObject({
  /** The exact `iss`. */
  issuer: z.string().min(1).max(512),
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
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/)
    // Principal ids begin with the rule's name: `workload:countersign:…` are the broker's own.
    .refine((name) => name !== 'countersign', 'this name is the broker’s own; choose another'),
  trustRuleSchema,
);

/** One trust rule. */
export type TrustRule = z.infer<typeof trustRuleSchema>;

/** Trust rules by name. */
export type TrustRules = Readonly<Record<string, TrustRule>>;

/** What is wrong with one rule. */
export interface TrustRuleFault {
  rule: string;
  detail: string;
}

/** Claims that name one thing for ever, so that a deleted and registered again name is not trusted. */
const IMMUTABLE_ID_CLAIMS = [
  'repository_id',
  'project_id',
  'organization_id',
  '/kubernetes.io/serviceaccount/uid',
  '/kubernetes.io/pod/uid',
];

/** `owner/repository/…`: the first two parts say whose workflow it is. */
const WORKFLOW_CLAIMS: ReadonlySet<string> = new Set(['job_workflow_ref', 'workflow_ref']);

/**
 * All faults that make a rule trust more than its author can mean; none for a sound set of rules.
 * A bundle with a fault MUST NOT be activated.
 */
export function lintTrustRules(rules: TrustRules): TrustRuleFault[] {
  return Object.entries(rules).flatMap(([rule, content]) =>
    ruleFaults(content).map((detail) => ({ rule, detail })),
  );
}

function ruleFaults(rule: TrustRule): string[] {
  const faults: string[] = [];
  if (isGlob(rule.issuer) || !URL.canParse(rule.issuer)) faults.push('issuer must be one exact URL');
  if (isGlob(rule.audience)) faults.push('audience must be exact');
  if (!pinsAnImmutableId(rule)) {
    faults.push(
      'claims must pin an identifier that is never given twice: repository_id, project_id, organization_id, a Kubernetes uid, a full SPIFFE ID, or repository_owner_id with repository',
    );
  }
  for (const [claim, wanted] of Object.entries(rule.claims)) {
    if (patternsOf(wanted).some((pattern) => globIsTooWide(claim, pattern))) {
      faults.push(`claims.${claim} must not have * where it names an identity`);
    }
  }
  const isPrivileged = rule.grant.audiences.some((audience) => !audience.startsWith('data:'));
  if (isPrivileged && rule.grant.operations.length === 0) {
    faults.push('grant.operations must name at least one operation for the audiences control and audit');
  }
  return faults;
}

function pinsAnImmutableId(rule: TrustRule): boolean {
  const isExact = (claim: string): boolean =>
    Object.hasOwn(rule.claims, claim) &&
    patternsOf(rule.claims[claim] ?? '*').every((pattern) => !isGlob(pattern));
  if (IMMUTABLE_ID_CLAIMS.some(isExact)) return true;
  // The owner can't change; a repository that is made again under its old name is still the owner's.
  if (isExact('repository_owner_id') && isExact('repository')) return true;
  return isExact('sub') && patternsOf(rule.claims.sub ?? '').every((sub) => sub.startsWith('spiffe://'));
}

function globIsTooWide(claim: string, pattern: string): boolean {
  if (!isGlob(pattern)) return false;
  if (WORKFLOW_CLAIMS.has(claim)) return pattern.split('/').slice(0, 2).some(isGlob);
  return /^(?:sub|iss|aud|jti|repository|repository_owner|project_path|namespace_path)$|(?:_id|\/uid)$/.test(
    claim,
  );
}

function patternsOf(wanted: string | readonly string[]): readonly string[] {
  return typeof wanted === 'string' ? [wanted] : wanted;
}

/** Which rules a token fulfils, and for the log, which ones of its issuer it missed and where. */
export interface TrustMatch {
  /** Names in sorted order. */
  matched: string[];
  /** Names of claims only, never their values. */
  missed: { rule: string; claim: string }[];
}

/** Compares verified claims with every rule. A missing claim, or one that is no scalar, never matches. */
export function matchTrustRule(rules: TrustRules, claims: Readonly<Record<string, unknown>>): TrustMatch {
  const match: TrustMatch = { matched: [], missed: [] };
  for (const [rule, content] of Object.entries(rules).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (content.issuer !== claims.iss) continue;
    const claim = firstMiss(content, claims);
    if (claim === null) match.matched.push(rule);
    else match.missed.push({ rule, claim });
  }
  return match;
}

function firstMiss(rule: TrustRule, claims: Readonly<Record<string, unknown>>): string | null {
  if (soleAudience(claims.aud) !== rule.audience) return 'aud';
  for (const [claim, wanted] of Object.entries(rule.claims)) {
    const value = scalarClaim(claims, claim);
    if (value === undefined || !patternsOf(wanted).some((pattern) => matchesGlob(pattern, value)))
      return claim;
  }
  if (rule.person && !scalarClaim(claims, rule.person.claim)) return rule.person.claim;
  return null;
}

function soleAudience(aud: unknown): unknown {
  return Array.isArray(aud) && aud.length === 1 ? aud[0] : aud;
}

/** The claim as a string (booleans and numbers as JSON writes them), or undefined when it is absent or no scalar. */
export function scalarClaim(claims: Readonly<Record<string, unknown>>, name: string): string | undefined {
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
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : undefined;
}
