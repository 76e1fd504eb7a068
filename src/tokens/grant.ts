import type { Proof } from '../identity/credential.ts';
import { dataEnvironmentOf, MAX_ISSUED_LIFE_S } from '../identity/issued-token.ts';
import type { TrustRule } from '../trust/rules.ts';

/** A fault of what was asked for, found only after the token was verified: it may be told. */
export class GrantRefused extends Error {
  readonly code: 'invalid_request' | 'invalid_target' | 'invalid_scope' | 'invalid_dpop_proof';

  constructor(code: GrantRefused['code'], description: string) {
    super(description);
    this.name = 'GrantRefused';
    this.code = code;
  }
}

/** The audience that is asked for, if the rule grants it. @throws GrantRefused `invalid_target` */
export function chooseAudience(rule: TrustRule, audience: string): string {
  if (!rule.grant.audiences.includes(audience)) {
    throw new GrantRefused('invalid_target', 'the trust rule does not grant this audience');
  }
  return audience;
}

/** The rule's operations, narrowed to what is asked for; never widened. @throws GrantRefused `invalid_scope` */
export function chooseScope(rule: TrustRule, audience: string, asked: string[] | undefined): string[] {
  const granted: readonly string[] = rule.grant.operations;
  // Reading flags takes no operation of the control plane, so an application's token has none unless it asks.
  const readsFlags = dataEnvironmentOf(audience) !== null;
  const scope = asked ?? (readsFlags ? [] : [...granted]);
  if (!scope.every((operation) => granted.includes(operation))) {
    throw new GrantRefused(
      'invalid_scope',
      'the trust rule, or the person who delegates, does not grant every operation in scope',
    );
  }
  if (scope.length === 0 && !readsFlags) {
    throw new GrantRefused(
      'invalid_scope',
      'the trust rule, or the person who delegates, grants no operation for this audience',
    );
  }
  return scope;
}

/** Sees that a key is bound where the rule demands it. @throws GrantRefused `invalid_dpop_proof` */
export function demandProof({ grant }: TrustRule, proof: Proof | null): void {
  if (!grant.require_dpop || proof !== null) return;
  throw new GrantRefused(
    'invalid_dpop_proof',
    'the trust rule grants only tokens that are bound to a key: send a DPoP proof (RFC 9449)',
  );
}

/**
 * How long a token may live that is issued now, in seconds: as long as the rule, policy and the tokens that were shown
 * say, whichever is least. Below one there is no token.
 *
 * @param ends.exp when the first of the tokens that were shown expires, in seconds since the epoch
 */
export function grantedLifeS(
  { grant }: TrustRule,
  ends: { policyTtlS: number; exp: number; iat: number },
): number {
  const { policyTtlS, exp, iat } = ends;
  return Math.floor(Math.min(grant.token_ttl_s, policyTtlS, MAX_ISSUED_LIFE_S, exp - iat));
}

/** Equal grants are equal lists, because readers of the same namespaces share what is served to them. */
export function grantedNamespaces({ grant }: TrustRule): string[] {
  return grant.namespaces.includes('*') ? ['*'] : [...new Set(grant.namespaces)].sort();
}
