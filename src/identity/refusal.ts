import { BrokerError } from '../errors.ts';
import { type Credential, PROOF_ALGORITHMS } from './credential.ts';

/**
 * Why a token was refused, exactly. These strings go to the log and nowhere else: the caller always gets the same
 * answer, so that nobody can probe which check failed.
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

/** A token that is refused: `reason` and `note` are for the log only. It becomes {@link tokenInvalid} before it leaves. */
export class TokenRefused extends Error {
  readonly reason: RefusalReason;
  /** What the reason is about, such as a claim's name. Never a value from the token. */
  readonly note: string | undefined;

  constructor(reason: RefusalReason, note?: string, cause?: unknown) {
    super(note === undefined ? reason : `${reason}: ${note}`, cause === undefined ? undefined : { cause });
    this.name = 'TokenRefused';
    this.reason = reason;
    this.note = note;
  }
}

/** The part of the process log that identity writes to. Fields first, then a constant message, as pino has it. */
export interface IdentityLog {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

/** How a token was sent, or has to be. */
export type Scheme = 'Bearer' | 'DPoP';

/** How a credential was sent: one that came with a proof, as DPoP. */
export function schemeOf({ proof }: Pick<Credential, 'proof'>): Scheme {
  return proof === null ? 'Bearer' : 'DPoP';
}

/**
 * The one public answer to every token that is refused, whatever the reason. Only the challenge tells a proof that was
 * refused from a token that was: a client has to know which of the two to make anew.
 *
 * @param scheme how the token was sent; a fault that only a proof can mend is answered as DPoP anyway
 * @see RFC 6750 section 3, RFC 9449 section 7.1
 */
export function tokenInvalid(cause: TokenRefused, scheme: Scheme = 'Bearer'): BrokerError {
  const detail = 'The token was not accepted. Sign in again, or exchange a fresh workload token.';
  const headers = { 'WWW-Authenticate': challengeFor(cause.reason, scheme) };
  return new BrokerError('token_invalid', detail, { headers }, cause);
}

function challengeFor(reason: RefusalReason, scheme: Scheme): string {
  const isAboutProof = reason === 'proof_not_accepted';
  if (scheme === 'Bearer' && !isAboutProof && reason !== 'downgraded') return 'Bearer error="invalid_token"';
  const error = isAboutProof ? 'invalid_dpop_proof' : 'invalid_token';
  return `DPoP error="${error}", algs="${PROOF_ALGORITHMS.join(' ')}"`;
}
