import type { Principal } from '../policy/input.ts';

/**
 * The broker's own principals. They are principals like any other, with roles from the policy's data; their prefix
 * `workload:countersign:` is not available to trust rules.
 */

/** What applies and expires requests when nobody calls. */
export const schedulerPrincipal = ownPrincipal('scheduler');

/** Whoever can start the broker on an empty database: the first bundle is theirs. */
export const operatorPrincipal = ownPrincipal('operator');

/** All of them. */
export const ownPrincipals: readonly Principal[] = [schedulerPrincipal, operatorPrincipal];

function ownPrincipal(name: string): Principal {
  return {
    id: `workload:countersign:${name}`,
    kind: 'workload',
    person: null,
    issuer: 'countersign',
    groups: [],
    claims: {},
    auth: { level: 0, acr: null, amr: [], auth_time_ms: null },
    token: { audience: 'control', scope: [], sender_constrained: true, trust_rule: null },
  };
}
