import { type Claims, claimAt } from '../identity/claim.ts';
import { matchesGlob } from './glob.ts';
import type { Miss } from './platforms/platform.ts';
import { platformOf } from './platforms/platforms.ts';
import { patternsOf, rulesByName, scalarClaim, type TrustRule, type TrustRules } from './rules.ts';

/** The maximum displayed length of a claim, in characters. */
const MAX_SHOWN = 200;

/** The rules that a token matches. For the log, also the mismatching claims of its issuer's other rules. */
export interface TrustMatch {
  /** Names in sorted order. */
  matched: string[];
  /** Names of claims only, never their values. */
  missed: { rule: string; claim: string }[];
}

/** Compares verified claims with every rule. A missing or non-scalar claim never matches. */
export function matchTrustRule(rules: TrustRules, claims: Claims): TrustMatch {
  const match: TrustMatch = { matched: [], missed: [] };
  for (const [rule, content] of rulesByName(rules)) {
    if (content.issuer !== claims.iss) continue;
    const [miss] = missesOf(content, claims);
    if (miss === undefined) match.matched.push(rule);
    else match.missed.push({ rule, claim: miss.claim });
  }
  return match;
}

/** Every mismatch between a token and a rule; empty when the rule matches. */
export function missesOf(rule: TrustRule, claims: Claims): Miss[] {
  if (rule.issuer !== claims.iss) return [{ claim: 'iss', wanted: [rule.issuer], has: shown(claims.iss) }];
  return [
    ...audienceMisses(rule, claims),
    ...claimMisses(rule, claims),
    ...platformOf(rule).misses(rule, claims),
    ...personMisses(rule, claims),
    ...tokenIdMisses(rule, claims),
  ];
}

function audienceMisses({ audience }: TrustRule, { aud }: Claims): Miss[] {
  // Another audience in a list could present the token here.
  const sole: unknown = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud;
  return sole === audience ? [] : [{ claim: 'aud', wanted: [audience], has: shown(aud) }];
}

function claimMisses(rule: TrustRule, claims: Claims): Miss[] {
  return Object.entries(rule.claims).flatMap(([claim, wanted]) => {
    const patterns = patternsOf(wanted);
    const value = scalarClaim(claims, claim);
    if (value !== undefined && patterns.some((pattern) => matchesGlob(pattern, value))) return [];
    return [{ claim, wanted: patterns, has: shown(claimAt(claims, claim)) }];
  });
}

function personMisses({ person }: TrustRule, claims: Claims): Miss[] {
  if (person === undefined || scalarClaim(claims, person.claim)) return [];
  return [
    {
      claim: person.claim,
      wanted: ['the person who triggered the job'],
      has: shown(claimAt(claims, person.claim)),
    },
  ];
}

/** A `jti` of another shape is refused where the single use is claimed. */
function tokenIdMisses(rule: TrustRule, claims: Claims): Miss[] {
  if (platformOf(rule).hasTokenId !== true || Object.hasOwn(claims, 'jti')) return [];
  return [{ claim: 'jti', wanted: ['the id that this platform gives each token'], has: null }];
}

function shown(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
