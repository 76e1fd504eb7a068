import { v7 as uuidv7 } from 'uuid';
import { createChecks } from '../../src/activation/checks/checks.ts';
import { authorize } from '../../src/decide/authorize.ts';
import type { ControlDeps } from '../../src/decide/control.ts';
import { write } from '../../src/decide/write.ts';
import { BrokerError } from '../../src/errors.ts';
import { storedPolicies } from '../../src/policy/stored-policies.ts';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { revoke as revokeIn } from '../../src/revocation/revoke.ts';
import { storedRevocations } from '../../src/revocation/stored-revocations.ts';
import type { Reply, TestBroker } from '../support/broker.ts';
import { INPUTS } from '../support/inputs.ts';
import { personOf } from '../support/local-control.ts';

export const INCIDENT = { incident: 'INC-7', reason: 'a laptop was stolen' };

/** Revokes as riley, who responds to incidents. */
export function revoke(
  t: TestBroker,
  kind: string,
  value: string,
  fields: Record<string, unknown> = {},
  who = 'riley',
): Promise<Reply> {
  return t.call(who, 'POST', '/v1/revocations', { kind, value, ...INCIDENT, ...fields });
}

/** Proposes to lift a revocation. */
export function lift(t: TestBroker, revocation: string, who = 'riley'): Promise<Reply> {
  return t.call(who, 'POST', '/v1/requests', { kind: 'revocation.lift', revocation, reason: 'it is over' });
}

/** Lifts a revocation with two persons. */
export async function liftWithTwo(t: TestBroker, revocation: string): Promise<Reply> {
  const { body } = await lift(t, revocation);
  return t.call('sam', 'POST', `/v1/requests/${body.id}/approve`, { digest: body.digest });
}

/** The payload of a token. */
export function claimsOf(token: string): Record<string, string> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}

/** Whether the control plane still answers whoever shows this token. */
export async function status(t: TestBroker, token: string): Promise<number> {
  return (await t.call(token, 'GET', '/v1/whoami')).status;
}

/** The protected header of a token. */
export function headerOf(token: string): Record<string, string> {
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString());
}

/** Asks the broker whether a token is active, as an auditor. */
export async function introspect(t: TestBroker, token: string): Promise<Pick<Reply, 'status' | 'body'>> {
  const response = await fetch(`${t.url}/oauth/introspect`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await t.people.idToken('avery')}` },
    body: new URLSearchParams({ token }),
  });
  return { status: response.status, body: await response.json() };
}

/** Reads all flags as an application. */
export function readFlags(t: TestBroker, token: string): Promise<Reply> {
  return t.call(token, 'POST', '/ofrep/v1/evaluate/flags', { context: { targetingKey: 'user-1' } });
}

/** Another broker's control plane over the same store, with lists of its own in memory. */
export async function otherControl(t: TestBroker): Promise<ControlDeps> {
  const policies = storedPolicies({ inputs: INPUTS });
  await policies.refresh(t.broker.store.read);
  const nothing = () => undefined;
  const revocations = storedRevocations(policies);
  const { clock } = t;
  const { read } = t.broker.store;
  return {
    store: t.broker.store,
    policies,
    revocations,
    checks: createChecks({
      ...{ read, policies, revocations, clock, inputs: INPUTS, state: {} },
      flushUsage: async () => undefined,
    }),
    clock,
    newId: (nowMs) => uuidv7({ msecs: nowMs }),
    kinds: requestKinds,
    acrValuesFor: () => [],
    events: {
      flagsChanged: nothing,
      freezesChanged: nothing,
      revocationsChanged: nothing,
      keysChanged: nothing,
      decided: nothing,
      stranger: nothing,
      used: nothing,
    },
  };
}

/** Ends all sessions of an account, as its provider does by a back-channel logout that names no session. */
export async function logOut(
  t: TestBroker,
  account: string,
  { expires_ms = null }: { expires_ms?: number | null } = {},
): Promise<void> {
  const principal = { ...personOf('nobody', []), id: account };
  const call = { principal, credential: null, http_request_id: null };
  await write(await otherControl(t), call, async (writing) => {
    const authorized = await authorize(writing, { operation: 'session.end' });
    if (authorized instanceof BrokerError) return authorized;
    return revokeIn(writing, {
      kind: 'subject',
      value: account,
      issued_before_ms: writing.now_ms,
      incident: '',
      reason: 'The identity provider ended the session.',
      cause: 'logout',
      expires_ms,
    });
  });
}
