import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { Call, ControlDeps, WriteContext } from '../decide/control.ts';
import { notDone } from '../decide/refusals.ts';
import { Refused } from '../decide/refused.ts';
import { write } from '../decide/write.ts';
import { BrokerError } from '../errors.ts';
import { MAX_DELEGATION_LIFE_S } from '../identity/issued-token.ts';
import type { SigningKeys } from '../keys/signing-keys.ts';
import { OPERATION_NAMES } from '../operations.ts';
import type { Reason } from '../reason.ts';
import { trustRulesOf } from '../trust/policy-rules.ts';
import type { TrustRules } from '../trust/rules.ts';
import { DELEGATION_TYPE, type DelegationClaims, fitsToken, originOf } from './delegation.ts';

/** The default lifetime of a delegation, in seconds. */
const DEFAULT_LIFE_S = 900;

/** The terms of a delegation. */
export const delegationOrderSchema = z
  .strictObject({
    agent: z.string().min(1).max(63).meta({ description: 'The trust rule of the agent.' }),
    operations: z
      .array(z.enum(OPERATION_NAMES))
      .min(1)
      .max(OPERATION_NAMES.length)
      .optional()
      .meta({ description: 'Default: everything that the trust rule grants now.' }),
    expires_in_s: z.int().min(1).max(MAX_DELEGATION_LIFE_S).optional().meta({
      description: "Default: 15 minutes. The delegation ends with the person's own credential at the latest.",
    }),
  })
  .meta({ id: 'DelegationOrder' });
export type DelegationOrder = z.infer<typeof delegationOrderSchema>;

/** The token that the agent exchanges together with its own. It is returned once. */
export const delegationAnswerSchema = z
  .object({
    delegation_token: z.string().meta({ description: 'Shown once.' }),
    expires_in: z.int().meta({ description: 'Seconds.' }),
    scope: z.string().meta({ description: 'Operation names separated by single spaces.' }),
    may_act: z
      .object({ iss: z.string(), sub: z.string() })
      .meta({ description: 'The agent: this broker, and the trust rule. RFC 8693 section 4.4' }),
  })
  .meta({ id: 'Delegation' });
export type DelegationAnswer = z.infer<typeof delegationAnswerSchema>;

/** What {@link delegate} needs. */
export interface DelegateDeps {
  control: ControlDeps;
  signingKeys: SigningKeys;
  /** The broker's public URL. */
  issuer: string;
}

/**
 * Lets an agent act for the calling person, without access to the person's own token. The decision is recorded before
 * anything is signed. Only a person can delegate: an agent never passes a delegation on.
 *
 * @throws BrokerError `policy_denied`, `invalid_request` for an unknown agent, or operations that its rule does not
 *   grant
 * @see RFC 8693 section 1.1
 */
export async function delegate(
  deps: DelegateDeps,
  call: Call,
  order: DelegationOrder,
): Promise<DelegationAnswer> {
  const sign = await deps.signingKeys.signer();
  const claims = await write(deps.control, call, async (writing) => {
    const planned = plan(writing, deps.issuer, order);
    const authorized = await authorize(writing, {
      operation: 'agent.delegate',
      note: planned instanceof BrokerError ? notDone(planned) : noteOf(planned),
    });
    if (authorized instanceof Refused) return authorized;
    // Disclosed only to callers who may delegate.
    if (planned instanceof BrokerError) return Refused.because(planned, authorized.decision_id);
    return planned;
  });
  return {
    delegation_token: await sign(claims, DELEGATION_TYPE),
    expires_in: claims.exp - claims.iat,
    scope: claims.scope,
    may_act: claims.may_act,
  };
}

/** The claims of the delegation token, or the reason for refusing it. */
function plan(writing: WriteContext, issuer: string, order: DelegationOrder): DelegationClaims | BrokerError {
  const { principal, credential } = writing.call;
  const { id, person, groups, claims } = principal;
  if (principal.kind !== 'person' || person === null || credential === null) {
    return invalid('Only a person with their own credential can delegate.');
  }
  const scope = scopeOf(trustRulesOf(writing.policy), order);
  if (scope instanceof BrokerError) return scope;
  const origins = [originOf(credential, { id, kind: 'person' })];
  if (!fitsToken({ groups, claims, origins })) {
    return invalid(
      'Your groups and claims do not fit into a delegation token. Configure your identity provider to send fewer to this client.',
    );
  }
  const iat = Math.floor(writing.now_ms / 1000);
  const lifeS = Math.min(order.expires_in_s ?? DEFAULT_LIFE_S, MAX_DELEGATION_LIFE_S);
  const exp = Math.min(iat + lifeS, Math.floor(credential.expires_ms / 1000));
  if (exp <= iat) return invalid('Your sign-in is about to expire. Sign in again, then delegate.');
  return {
    iss: issuer,
    aud: issuer,
    sub: id,
    iat,
    exp,
    jti: randomUUID(),
    scope: scope.join(' '),
    may_act: { iss: issuer, sub: order.agent },
    person,
    subject_issuer: principal.issuer,
    groups,
    claims,
    origins,
  };
}

/** The operations by name. A later extension of the rule must not widen the delegation. */
function scopeOf(rules: TrustRules, { agent, operations }: DelegationOrder): string[] | BrokerError {
  const rule = Object.hasOwn(rules, agent) ? rules[agent] : undefined;
  if (rule?.kind !== 'agent') {
    return invalid(`The policy has no trust rule "${agent}" of kind agent.`);
  }
  const granted = rule.grant.operations;
  const scope = operations === undefined ? granted : [...new Set(operations)];
  if (scope.length > 0 && scope.every((operation) => granted.includes(operation))) return scope;
  return invalid(`The trust rule "${agent}" grants ${granted.join(', ')}. Delegate a subset of these.`);
}

/**
 * The note of the record: the agent, the operations, the expiry, and the token's id as found in the agent's records.
 */
function noteOf({ may_act, scope, exp, jti }: DelegationClaims): Reason {
  const until = new Date(exp * 1000).toISOString();
  return { code: 'delegated', detail: `To ${may_act.sub} until ${until}, as jti:${jti}, for: ${scope}.` };
}

function invalid(detail: string): BrokerError {
  return new BrokerError('invalid_request', detail);
}
