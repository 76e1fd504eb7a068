import { randomUUID } from 'node:crypto';
import { authorize } from '../decide/authorize.ts';
import type { ControlDeps, WriteContext } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { write } from '../decide/write.ts';
import type { Authenticator, ExaminedToken } from '../identity/authenticate.ts';
import type { Proof } from '../identity/credential.ts';
import { MAX_FOLLOW_LIFE_S } from '../identity/issued-token.ts';
import { TokenRefused } from '../identity/refusal.ts';
import type { IssuedClaims } from '../identity/workload.ts';
import type { SigningKeys } from '../keys/signing-keys.ts';
import { findRequest } from '../store/requests.ts';
import { originOf } from './delegation.ts';
import type { TokenAnswer } from './exchange.ts';
import { ACCESS_TOKEN_TYPE } from './exchange-form.ts';
import { GrantRefused } from './grant.ts';

/** What {@link followRequest} needs. */
export interface FollowDeps {
  control: ControlDeps;
  examine: Authenticator['examine'];
  signingKeys: SigningKeys;
  /** The broker's public URL. */
  issuer: string;
}

/** The operation that a token allows that follows a request. */
const SCOPE = 'request.read';

/**
 * Exchanges the token of a job for one that reads exactly one request, which the job has proposed, and does nothing else.
 * With it, a job can wait for a decision for longer than its token lives, although its platform gives it no other. Policy
 * decides each read, as with the job's own token; revoking what the job's token was issued for, or that token itself, ends
 * it too.
 *
 * @param asked.resource the address of the request, below `<public URL>/v1/requests/`
 * @param asked.proof the proof of the key to bind the token to; of the same key if the job's token is bound
 * @throws TokenRefused
 * @throws GrantRefused `invalid_target` for anything but a request that the job proposed
 * @see RFC 8693 section 2.1, `resource`
 */
export async function followRequest(
  deps: FollowDeps,
  asked: { token: string; resource: string; proof: Proof | null },
): Promise<TokenAnswer> {
  const job = await verifyJob(deps, asked);
  const id = requestIn(deps, asked.resource);
  const sign = await deps.signingKeys.signer();
  const principal = { ...job.principal, token: { ...job.principal.token, scope: [SCOPE] } };
  const credential = { ...job.credential, proof: asked.proof };
  const call = { principal, credential, http_request_id: null };
  const claims = await write(deps.control, call, async (writing) => {
    const row = await findRequest(writing.tx, id);
    // Whoever has no part in a request learns nothing about it.
    if (row?.proposer_id !== principal.id) throw noTarget();
    const planned = claimsOf(deps, writing, { job, id, proof: asked.proof });
    const until = new Date(planned.exp * 1000).toISOString();
    const note = { code: 'follows', detail: `Reads request ${id} until ${until}, as jti:${planned.jti}.` };
    const authorized = await authorize(writing, { operation: 'token.exchange', note });
    if (authorized instanceof Refused) throw new TokenRefused('policy_denied');
    return planned;
  });
  return {
    access_token: await sign(claims),
    issued_token_type: ACCESS_TOKEN_TYPE,
    token_type: asked.proof === null ? 'Bearer' : 'DPoP',
    expires_in: claims.exp - claims.iat,
    scope: SCOPE,
  };
}

/** A token of a job for the control plane. Whatever can be copied must not become something that lives longer. */
async function verifyJob(
  { control, examine }: FollowDeps,
  { token, proof }: { token: string; proof: Proof | null },
): Promise<ExaminedToken> {
  const job = await examine(token);
  const { principal, credential, jkt } = job;
  if (credential.kid === null || principal.kind !== 'workload') throw new TokenRefused('type_not_accepted');
  if (principal.token.audience !== 'control' || credential.only_request !== undefined) {
    throw new TokenRefused('audience_not_accepted', 'follow');
  }
  if (jkt !== null && proof?.jkt !== jkt) throw new TokenRefused('proof_not_accepted', 'key_mismatch');
  const hit = await control.revocations.latest().hit(control.store.read, job);
  if (hit !== null) throw new TokenRefused('revoked', hit.kind);
  return job;
}

/** @throws GrantRefused `invalid_target` */
function requestIn({ issuer }: FollowDeps, resource: string): string {
  const prefix = `${issuer}/v1/requests/`;
  const id = resource.startsWith(prefix) ? resource.slice(prefix.length) : '';
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) throw noTarget();
  return id;
}

function noTarget(): GrantRefused {
  return new GrantRefused(
    'invalid_target',
    'resource must be the address of a request that this job proposed',
  );
}

function claimsOf(
  { issuer }: FollowDeps,
  { policy, now_ms }: WriteContext,
  { job, id, proof }: { job: ExaminedToken; id: string; proof: Proof | null },
): IssuedClaims {
  const { principal, credential } = job;
  const iat = Math.floor(now_ms / 1000);
  const ruleName = principal.token.trust_rule ?? '';
  const [origin] = credential.origins ?? [];
  return {
    iss: issuer,
    aud: 'control',
    sub: principal.id,
    client_id: ruleName,
    iat,
    exp: iat + Math.min(policy.broker.follow_up_s ?? MAX_FOLLOW_LIFE_S, MAX_FOLLOW_LIFE_S),
    jti: randomUUID(),
    scope: SCOPE,
    policy_hash: policy.hash,
    trust_rule: ruleName,
    subject_issuer: principal.issuer,
    claims: principal.claims,
    person: principal.person,
    ...(principal.started_by && { started_by: principal.started_by }),
    ...(proof === null ? {} : { cnf: { jkt: proof.jkt } }),
    ...(origin && { origin }),
    follows: { request: id, from: originOf(credential, { id: principal.id, kind: 'workload' }) },
  };
}
