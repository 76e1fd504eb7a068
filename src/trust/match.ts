import { type Claims, claimAt } from '../identity/claim.ts';
import { matchesGlob } from './glob.ts';
import { FIRST_ATTEMPT, type Miss, missUnless } from './platforms/platform.ts';
import { platformOf } from './platforms/platforms.ts';
import {
  patternsOf,
  rulesByName,
  scalarClaim,
  type TrustRule,
  type TrustRules,
  writesRequests,
} from './rules.ts';

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
    ...humanMisses(rule, claims),
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

function humanMisses(rule: TrustRule, claims: Claims): Miss[] {
  const { person, rerun_by } = rule;
  return [
    ...unnamedHumans(rule, claims),
    ...(person === undefined ? [] : absentClaim(claims, person.claim, 'the person who started the job')),
    ...(rerun_by === undefined ? [] : absentClaim(claims, rerun_by.claim, 'the person who started it again')),
  ];
}

/** A rule of a bundle that was activated before the lint asked for these humans gives nobody a second name. */
function unnamedHumans(rule: TrustRule, claims: Claims): Miss[] {
  const { personClaim, attemptClaim } = platformOf(rule);
  if (!writesRequests(rule)) return [];
  const misses: Miss[] = [];
  if (personClaim !== undefined && rule.person === undefined) {
    misses.push({
      claim: personClaim,
      wanted: ['named by the rule, as person'],
      has: shown(claimAt(claims, personClaim)),
    });
  }
  if (attemptClaim !== undefined && rule.rerun_by === undefined) {
    misses.push(...missUnless(claims, attemptClaim, [FIRST_ATTEMPT]));
  }
  return misses;
}

function absentClaim(claims: Claims, claim: string, wanted: string): Miss[] {
  return scalarClaim(claims, claim) ? [] : [{ claim, wanted: [wanted], has: shown(claimAt(claims, claim)) }];
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
