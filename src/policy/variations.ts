import type { Principal } from '../principal.ts';
import type { BindingName } from './access.ts';
import type { Obligation } from './decision.ts';
import type { GuardedResult } from './guardrails.ts';
import type { PolicyInput, Vote } from './input.ts';
import type { DecisionVersions, Policy } from './policies.ts';

/*
 * Variations of an input document. A policy is explained by asking it again with one thing changed, so that explanations
 * hold for any Rego.
 */

/** A question that was asked: its document as the policy reads it, and the versions that it was asked with. */
export interface AskedQuestion {
  policy: Policy;
  versions: DecisionVersions;
  /** Of any version: only members that all versions share are varied. */
  document: PolicyInput;
}

/** Asks with another document. Yields first, so that reads of flags are not delayed. */
export async function ask(
  { policy, versions }: AskedQuestion,
  document: PolicyInput,
): Promise<GuardedResult> {
  await new Promise((resolve) => setImmediate(resolve));
  return policy.replay(JSON.stringify(document), versions);
}

/** The document as of another time. Who asks then has a credential of that time. */
export function atTime({ policy, document }: AskedQuestion, ms: number): PolicyInput {
  return { ...document, principal: renewed(document.principal, ms), clock: policy.clockAt(ms) };
}

/** The document as if it had been proposed then, too: nothing of it expires in between. */
export function proposedAt(asked: AskedQuestion, ms: number): PolicyInput {
  const document = atTime(asked, ms);
  const { request } = document;
  return request === null ? document : { ...document, request: { ...request, created_ms: ms } };
}

/** The document with another ticket. */
export function withTicket(document: PolicyInput, ticket: string): PolicyInput {
  const { request } = document;
  return request === null ? document : { ...document, request: { ...request, ticket } };
}

/** The document with a caller who has just signed in, strongly enough. */
export function withSignIn(document: PolicyInput, level: number): PolicyInput {
  return { ...document, principal: signedIn(document.principal, level, document.clock.now_ms) };
}

/** The document with further approvals of its content. */
export function withApprovals(document: PolicyInput, approvers: readonly Principal[]): PolicyInput {
  const { request, clock } = document;
  if (request === null) return document;
  const votes = approvers.map(
    (approver): Vote => ({
      principal: seenNow(document, approver),
      digest: request.digest,
      at_ms: clock.now_ms,
    }),
  );
  return { ...document, approvals: [...document.approvals, ...votes] };
}

/** An apply tells when groups were last seen, and version 1 of the document never does. */
function seenNow({ operation, schema_version, clock }: PolicyInput, principal: Principal): Principal {
  const { groups_seen_ms: _, ...rest } = principal;
  return operation === 'request.apply' && Number(schema_version) > 1
    ? { ...rest, groups_seen_ms: clock.now_ms }
    : rest;
}

/** The document with another caller, who is also its author if the caller was. */
export function askedBy(document: PolicyInput, principal: Principal): PolicyInput {
  const { request } = document;
  if (request === null || request.proposer.id !== document.principal.id) return { ...document, principal };
  const authors = [principal.person, ...(principal.started_by ?? [])].filter((name) => name !== null);
  return { ...document, principal, request: { ...request, proposer: principal, authors } };
}

/** A person who has just signed in with at least that level. */
export function signedIn(principal: Principal, level: number, ms: number): Principal {
  const { auth } = principal;
  return renewed(
    { ...principal, auth: { ...auth, level: Math.max(level, auth.level), auth_time_ms: ms } },
    ms,
  );
}

function renewed(principal: Principal, ms: number): Principal {
  const { token } = principal;
  return token.issued_ms === undefined ? principal : { ...principal, token: { ...token, issued_ms: ms } };
}

/** Whether a principal can be thought of without a binding: those by a group or a claim. */
export function isRemovable({ by }: BindingName): boolean {
  return by === 'group' || by === 'claim';
}

/** A principal without the groups and claims of these bindings. */
export function without(principal: Principal, bindings: readonly BindingName[]): Principal {
  const groups = new Set(bindings.flatMap(({ by, key }) => (by === 'group' ? [key] : [])));
  const values = new Set(bindings.flatMap(({ by, key }) => (by === 'claim' ? [key] : [])));
  const claims: Principal['claims'] = {};
  for (const [claim, value] of Object.entries(principal.claims)) {
    if (Array.isArray(value)) claims[claim] = value.filter((one) => !values.has(`${claim}=${one}`));
    else if (!values.has(`${claim}=${value}`)) claims[claim] = value;
  }
  return {
    ...principal,
    groups: principal.groups.filter((group) => !groups.has(group)),
    claims,
  };
}

/** An approval that is missing. */
export type MissingApproval = Extract<Obligation, { kind: 'approval' }>;

/** The missing approvals among obligations. */
export function approvalsIn(obligations: readonly Obligation[]): MissingApproval[] {
  return obligations.filter((obligation) => obligation.kind === 'approval');
}

/** How many approvals are missing by this role, for this organization. */
export function countMissing(
  obligations: readonly Obligation[],
  { role, organization }: MissingApproval,
): number {
  return approvalsIn(obligations)
    .filter((other) => other.role === role && other.organization === organization)
    .reduce((sum, { count }) => sum + count, 0);
}
