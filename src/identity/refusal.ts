import { BrokerError } from '../errors.ts';

/**
 * Why a token was refused, exactly. These strings go to the log and nowhere else: the caller always gets the same
 * answer, so that nobody can probe which check failed.
 */
export type RefusalReason =
  | 'not_bearer'
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
  | 'person_not_accepted'
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

/** The one public answer to every token that is refused, whatever the reason. */
export function tokenInvalid(cause: TokenRefused): BrokerError {
  const detail = 'The token was not accepted. Sign in again, or exchange a fresh workload token.';
  const headers = { 'WWW-Authenticate': 'Bearer error="invalid_token"' };
  return new BrokerError('token_invalid', detail, { headers }, cause);
}
