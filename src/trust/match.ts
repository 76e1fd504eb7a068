import { matchesGlob } from './glob.ts';
import type { Miss } from './platforms/platform.ts';
import { platformOf } from './platforms/platforms.ts';
import {
  type Claims,
  claimAt,
  patternsOf,
  rulesByName,
  scalarClaim,
  type TrustRule,
  type TrustRules,
} from './rules.ts';

/** The most that is shown of a claim, in characters. */
const MAX_SHOWN = 200;

/** Which rules a token fulfils, and for the log, which ones of its issuer it missed and where. */
export interface TrustMatch {
  /** Names in sorted order. */
  matched: string[];
  /** Names of claims only, never their values. */
  missed: { rule: string; claim: string }[];
}

/** Compares verified claims with every rule. A missing claim, or one that is no scalar, never matches. */
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

/** Everything that keeps a token from fulfilling a rule; nothing when it does. */
export function missesOf(rule: TrustRule, claims: Claims): Miss[] {
  if (rule.issuer !== claims.iss) return [{ claim: 'iss', wanted: [rule.issuer], has: shown(claims.iss) }];
  return [
    ...audienceMisses(rule, claims),
    ...claimMisses(rule, claims),
    ...platformOf(rule).misses(rule, claims),
    ...personMisses(rule, claims),
  ];
}

function audienceMisses({ audience }: TrustRule, { aud }: Claims): Miss[] {
  // Whoever else is named in a list could come here with the token.
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
    { claim: person.claim, wanted: ['who triggered the job'], has: shown(claimAt(claims, person.claim)) },
  ];
}

function shown(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
