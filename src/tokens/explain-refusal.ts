import { z } from 'zod';
import { TokenRefused } from '../identity/refusal.ts';
import { MAX_TOKEN_BYTES } from '../identity/token-form.ts';
import { GrantRefused } from './grant.ts';

/** Why an exchange of the token would be refused. */
export const exchangeRefusalSchema = z
  .object({ reason: z.string().meta({ description: 'The reason code, as in the log.' }), detail: z.string() })
  .meta({ id: 'ExchangeRefusal' });
export type ExchangeRefusal = z.infer<typeof exchangeRefusalSchema>;

/** Explains a refusal to a caller who may know the reason. @throws any error that is not a refusal */
export function explainRefusal(error: unknown): ExchangeRefusal {
  if (error instanceof GrantRefused) return { reason: error.code, detail: `${error.message}.` };
  if (!(error instanceof TokenRefused)) throw error;
  const { reason, note } = error;
  const detail = DETAILS[reason] ?? 'The token is not accepted.';
  return { reason, detail: note === undefined ? detail : `${detail} Cause: ${note}.` };
}

const MALFORMED = 'The token is not a well-formed JSON Web Token. Pass it exactly as the platform issued it.';

/** The meaning of each reason, and the remedy. */
const DETAILS: Readonly<Partial<Record<TokenRefused['reason'], string>>> = {
  oversize: `The token is longer than ${MAX_TOKEN_BYTES} bytes. Configure the platform to include fewer claims.`,
  not_three_segments: MALFORMED,
  not_canonical_base64url: MALFORMED,
  not_json: MALFORMED,
  duplicate_member: MALFORMED,
  header_member_not_accepted:
    'The header has a member that could supply or redirect a key. Platforms do not send these.',
  algorithm_not_accepted:
    'The algorithm is not accepted from this issuer. See algorithms in workload_issuers.',
  key_id_not_accepted: 'The key id in the header is malformed.',
  type_not_accepted: 'The token has the wrong type (typ). Use the token of the job itself.',
  issuer_not_accepted:
    'No trust rule names the issuer, or its keys may not be fetched. Compare it with issuer in the rules, and see workload_issuers.',
  key_not_found: 'The issuer has no usable key with this id. See jwks_uri and jwks_file in workload_issuers.',
  signature_invalid: 'The signature is invalid.',
  expired: 'The token has expired. Get a new one.',
  claim_not_accepted: 'A required claim is missing, or a time is out of range.',
  claim_shape: 'A claim has an unexpected form.',
  claim_left_out:
    'The identity provider left a claim out of the token because it is too large. Let it send fewer groups.',
  audience_not_accepted:
    'The audience is reserved for people who sign in. Request another audience for the workload, and name it in the rule.',
  logout_token: 'The token is a logout token.',
  sender_constrained: 'The token is bound to a key (cnf) and cannot be exchanged.',
  no_trust_rule: 'No trust rule matches. For each rule, misses lists the claims that do not match.',
  claims_too_large: 'The claims for the issued token are too large. Compare fewer claims in the rule.',
  replayed: 'The token was already exchanged. It works once. Get a new one.',
  revoked: 'The token, or the principal it stands for, is revoked.',
  policy_denied: 'The policy denies the exchange.',
};
