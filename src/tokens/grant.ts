import type { TrustRule } from '../identity/trust.ts';

/** A fault of what was asked for, found only after the token was verified: it may be told. */
export class GrantRefused extends Error {
  readonly code: 'invalid_target' | 'invalid_scope';

  constructor(code: 'invalid_target' | 'invalid_scope', description: string) {
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
  const scope = asked ?? (audience.startsWith('data:') ? [] : [...granted]);
  if (!scope.every((operation) => granted.includes(operation))) {
    throw new GrantRefused('invalid_scope', 'the trust rule does not grant every operation in scope');
  }
  if (scope.length === 0 && !audience.startsWith('data:')) {
    throw new GrantRefused('invalid_scope', 'the trust rule grants no operation for this audience');
  }
  return scope;
}

/** Equal grants are equal lists, because readers of the same namespaces share what is served to them. */
export function grantedNamespaces({ grant }: TrustRule): string[] {
  return grant.namespaces.includes('*') ? ['*'] : [...new Set(grant.namespaces)].sort();
}
