import { BrokerError } from '../errors.ts';
import { type Credential, PROOF_ALGORITHMS } from './credential.ts';

/**
 * The exact reason why a token was refused. These codes go only to the log. The caller always gets the same response,
 * so that nobody can probe which check failed.
 */
export type RefusalReason =
  | 'scheme_not_accepted'
  | 'two_credentials'
  | 'oversize'
  | 'not_three_segments'
  | 'not_canonical_base64url'
  | 'not_json'
  | 'duplicate_member'
  | 'header_member_not_accepted'
  | 'algorithm_not_accepted'
  | 'key_id_not_accepted'
  | 'type_not_accepted'
  | 'issuer_not_accepted'
  | 'key_not_found'
  | 'signature_invalid'
  | 'expired'
  | 'claim_not_accepted'
  | 'claim_shape'
  | 'claim_left_out'
  | 'claim_missing'
  | 'audience_not_accepted'
  | 'authorized_party_not_accepted'
  | 'logout_token'
  | 'sender_constrained'
  | 'downgraded'
  | 'proof_not_accepted'
  | 'proof_unexpected'
  | 'person_not_accepted'
  | 'actor_not_accepted'
  | 'no_trust_rule'
  | 'claims_too_large'
  | 'replayed'
  | 'revoked'
  | 'policy_denied';

/** A refused token: `reason` and `note` are for the log only. The caller gets {@link tokenInvalid}. */
export class TokenRefused extends Error {
  readonly reason: RefusalReason;
  /** The subject of the reason, such as a claim's name. Never a value from the token. */
  readonly note: string | undefined;

  constructor(reason: RefusalReason, note?: string, cause?: unknown) {
    super(note === undefined ? reason : `${reason}: ${note}`, cause === undefined ? undefined : { cause });
    this.name = 'TokenRefused';
    this.reason = reason;
    this.note = note;
  }
}

/** The part of the process log that identity uses. Fields come first, then a constant message, as in pino. */
export interface IdentityLog {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

/** The authentication scheme of a token. */
export type Scheme = 'Bearer' | 'DPoP';

/** The scheme of a credential: DPoP if it has a proof. */
export function schemeOf({ proof }: Pick<Credential, 'proof'>): Scheme {
  return proof === null ? 'Bearer' : 'DPoP';
}

/**
 * The single public response to every refused token, whatever the reason. Only the challenge distinguishes a refused
 * proof from a refused token, because a client must know which of the two to renew. A token that is authentic but
 * incomplete is told what it lacks.
 *
 * @param scheme the scheme of the request; a fault that only a proof can fix always gets a DPoP challenge
 * @see RFC 6750 section 3, RFC 9449 section 7.1
 */
export function tokenInvalid(cause: TokenRefused, scheme: Scheme = 'Bearer'): BrokerError {
  if (cause.reason === 'claim_left_out') return claimsIncomplete(cause);
  const detail = cause.reason === 'claim_missing' ? missingClaim(cause) : NOT_ACCEPTED;
  const headers = { 'WWW-Authenticate': challengeFor(cause.reason, scheme) };
  return new BrokerError('token_invalid', detail, { headers }, cause);
}

/** Logs the exact reason of a refusal. @returns the single public response, or the error itself if it is no refusal */
export function refusalTold(error: unknown, scheme: Scheme, log: IdentityLog): unknown {
  if (!(error instanceof TokenRefused)) return error;
  log.warn({ reason: error.reason, note: error.note }, 'token refused');
  return tokenInvalid(error, scheme);
}

const NOT_ACCEPTED = 'The token was not accepted. Sign in again, or exchange a new workload token.';

/** The token is authentic, and only its provider can change what it lacks, so these two reasons are said. */
function missingClaim({ note }: TokenRefused): string {
  return (
    `Your identity provider sends no claim "${note}", by which this broker knows people. ` +
    'Ask its administrator to add it to ID tokens of this application, or the operator of this broker to change claims.person.'
  );
}

function claimsIncomplete(cause: TokenRefused): BrokerError {
  return new BrokerError(
    'claims_incomplete',
    `Your identity provider left the claim "${cause.note}" out of the token because it is too large, so your access is unknown. ` +
      'Ask its administrator to send fewer: in Entra ID only the groups assigned to the application, or app roles.',
    {},
    cause,
  );
}

function challengeFor(reason: RefusalReason, scheme: Scheme): string {
  const isAboutProof = reason === 'proof_not_accepted';
  if (scheme === 'Bearer' && !isAboutProof && reason !== 'downgraded') return 'Bearer error="invalid_token"';
  const error = isAboutProof ? 'invalid_dpop_proof' : 'invalid_token';
  return `DPoP error="${error}", algs="${PROOF_ALGORITHMS.join(' ')}"`;
}
