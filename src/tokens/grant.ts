import type { Proof } from '../identity/credential.ts';
import { dataEnvironmentOf, MAX_ISSUED_LIFE_S } from '../identity/issued-token.ts';
import type { TrustRule } from '../trust/rules.ts';
import { didYouMean, nearestOf } from '../unknown-name.ts';

/** A fault of the request, found after the token was verified. It may be disclosed. */
export class GrantRefused extends Error {
  readonly code: 'invalid_request' | 'invalid_target' | 'invalid_scope' | 'invalid_dpop_proof';

  constructor(code: GrantRefused['code'], description: string) {
    super(description);
    this.name = 'GrantRefused';
    this.code = code;
  }
}

/** The requested audience, if the rule grants it. @throws GrantRefused `invalid_target` */
export function chooseAudience(rule: TrustRule, audience: string): string {
  if (!rule.grant.audiences.includes(audience)) {
    // Whoever has a token that the rule takes may know what it grants.
    const { audiences } = rule.grant;
    const hint = didYouMean(nearestOf(audience, audiences)) || `it grants ${audiences.join(', ')}`;
    throw new GrantRefused('invalid_target', `the trust rule does not grant this audience; ${hint}`);
  }
  return audience;
}

/** The rule's operations, narrowed to the requested scope, never widened. @throws GrantRefused `invalid_scope` */
export function chooseScope(rule: TrustRule, audience: string, asked: string[] | undefined): string[] {
  const granted: readonly string[] = rule.grant.operations;
  // Reading flags requires no operation of the control plane, so an application's token has none unless requested.
  const readsFlags = dataEnvironmentOf(audience) !== null;
  const scope = asked ?? (readsFlags ? [] : [...granted]);
  if (!scope.every((operation) => granted.includes(operation))) {
    throw new GrantRefused(
      'invalid_scope',
      'the trust rule or the delegation does not grant every operation in scope',
    );
  }
  if (scope.length === 0 && !readsFlags) {
    throw new GrantRefused(
      'invalid_scope',
      'the trust rule or the delegation grants no operation for this audience',
    );
  }
  return scope;
}

/** Requires a bound key if the rule demands it. @throws GrantRefused `invalid_dpop_proof` */
export function demandProof({ grant }: TrustRule, proof: Proof | null): void {
  if (!grant.require_dpop || proof !== null) return;
  throw new GrantRefused(
    'invalid_dpop_proof',
    'the trust rule requires a token bound to a key: send a DPoP proof (RFC 9449)',
  );
}

/**
 * The lifetime of a token issued now, in seconds: the minimum of what the rule, policy and the presented tokens allow.
 * If it is below one, no token is issued.
 *
 * @param ends.exp the earliest expiry of the presented tokens, in seconds since the epoch
 */
export function grantedLifeS(
  { grant }: TrustRule,
  ends: { policyTtlS: number; exp: number; iat: number },
): number {
  const { policyTtlS, exp, iat } = ends;
  return Math.floor(Math.min(grant.token_ttl_s, policyTtlS, MAX_ISSUED_LIFE_S, exp - iat));
}

/** Normalizes the list, because readers with equal lists share the cached responses. */
export function grantedNamespaces({ grant }: TrustRule): string[] {
  return grant.namespaces.includes('*') ? ['*'] : [...new Set(grant.namespaces)].sort();
}
