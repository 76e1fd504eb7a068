import type { RouteName } from '../../routes.ts';

/** The calls that the console makes. A test compares them with the list of routes, whose code stays on the broker. */
export const CALLS = {
  whoami: 'GET /v1/whoami',
  listInbox: 'GET /v1/inbox',
  listRequests: 'GET /v1/requests',
  getRequest: 'GET /v1/requests/{id}',
  proposeRequest: 'POST /v1/requests',
  editRequest: 'PATCH /v1/requests/{id}',
  approveRequest: 'POST /v1/requests/{id}/approve',
  rejectRequest: 'POST /v1/requests/{id}/reject',
  withdrawRequest: 'POST /v1/requests/{id}/withdraw',
  applyRequest: 'POST /v1/requests/{id}/apply',
  scheduleRequest: 'POST /v1/requests/{id}/schedule',
  rebaseRequest: 'POST /v1/requests/{id}/rebase',
  listFlags: 'GET /v1/flags',
  getFlag: 'GET /v1/flags/{key}',
  listFlagVersions: 'GET /v1/flags/{key}/versions',
  listFreezes: 'GET /v1/freezes',
  explainPolicy: 'POST /v1/policy/explain',
  getPolicyData: 'GET /v1/policy/data',
  listDecisions: 'GET /v1/decisions',
  getDecision: 'GET /v1/decisions/{id}',
  replayDecision: 'POST /v1/decisions/{id}/replay',
  proveInclusion: 'GET /v1/log/proofs/inclusion/{record}',
  getLog: 'GET /v1/log',
  listActivations: 'GET /v1/policy/activations',
  listBundles: 'GET /v1/policy/bundles',
  getPolicyReport: 'GET /v1/policy/reports/{digest}',
  checkPolicy: 'POST /v1/policy/checks',
  getPolicyChecks: 'GET /v1/policy/checks/{id}',
} as const satisfies Partial<Record<RouteName, `${'GET' | 'POST' | 'PATCH' | 'DELETE'} /${string}`>>;

/** The name of a call that the console makes. */
export type CallName = keyof typeof CALLS;
