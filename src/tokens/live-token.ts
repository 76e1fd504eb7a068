import type { ControlDeps } from '../decide/control.ts';
import { type Authenticator, credentialOf, type ExaminedToken } from '../identity/authenticate.ts';
import { type IdentityLog, TokenRefused } from '../identity/refusal.ts';
import { parseTokenForm, type TokenForm } from '../identity/token-form.ts';
import type { SigningKeys } from '../keys/signing-keys.ts';
import { isDelegation, verifyDelegation } from './delegation.ts';

/** The dependencies of introspection and revocation. */
export interface TokenStatusDeps {
  control: ControlDeps;
  examine: Authenticator['examine'];
  /** The broker's public URL: the `iss` of its delegation tokens. */
  issuer: string;
  signingKeys: SigningKeys;
  log: IdentityLog;
}

/**
 * Verifies that a token is accepted now. Returns null for any other token: unknown, malformed, expired, revoked or
 * foreign. Only the log has the reason.
 *
 * @throws BrokerError `issuer_unavailable` when the token cannot be verified
 */
export async function liveToken(deps: TokenStatusDeps, token: string): Promise<ExaminedToken | null> {
  const { control, log } = deps;
  try {
    const form = parseTokenForm(token);
    const examined = isDelegation(form)
      ? await examineDelegation(deps, token, form)
      : await deps.examine(token);
    const hit = await control.revocations.latest().hit(control.store.read, examined);
    if (hit === null) return examined;
    log.info({ reason: 'revoked', note: hit.kind, revocation: hit.id }, 'token is not active');
  } catch (error) {
    if (!(error instanceof TokenRefused)) throw error;
    log.info({ reason: error.reason, note: error.note }, 'token is not active');
  }
  return null;
}

/**
 * A delegation token represents the delegating person, but does not authenticate them. Only the exchange accepts it.
 * Its holder may introspect and surrender it.
 */
async function examineDelegation(
  { issuer, signingKeys, control }: TokenStatusDeps,
  token: string,
  form: TokenForm,
): Promise<ExaminedToken> {
  const claims = await verifyDelegation({ issuer, signingKeys, clock: control.clock }, token, form);
  const { sub, person, subject_issuer, groups, scope, origins } = claims;
  const credential = { ...credentialOf(form, claims, true), origins };
  return {
    principal: {
      id: sub,
      kind: 'person',
      person,
      issuer: subject_issuer,
      groups,
      claims: claims.claims,
      auth: { level: 0, acr: null, amr: [], auth_time_ms: null },
      token: {
        audience: 'control',
        scope: scope.split(' '),
        sender_constrained: false,
        trust_rule: null,
        issued_ms: credential.issued_ms,
      },
    },
    credential,
    namespaces: [],
    jkt: null,
    claims,
  };
}
