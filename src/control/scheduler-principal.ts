import type { Principal } from '../policy/input.ts';

/**
 * The broker's own principal: what applies and expires requests when nobody calls. A principal like any other, with
 * roles from the policy's data; its prefix is not available to trust rules.
 */
export const schedulerPrincipal: Principal = {
  id: 'workload:countersign:scheduler',
  kind: 'workload',
  person: null,
  issuer: 'countersign',
  groups: [],
  claims: {},
  auth: { level: 0, acr: null, amr: [], auth_time_ms: null },
  token: { audience: 'control', scope: [], sender_constrained: true, trust_rule: null },
};
