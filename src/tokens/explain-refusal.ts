import { TokenRefused } from '../identity/refusal.ts';
import { MAX_TOKEN_BYTES } from '../identity/token-form.ts';
import { GrantRefused } from './grant.ts';

/** Why an exchange of the token would be refused. */
export interface ExchangeRefusal {
  /** What the log would say. */
  reason: string;
  detail: string;
}

/** A refusal in the words for whoever may know the reason. @throws whatever is no refusal */
export function explainRefusal(error: unknown): ExchangeRefusal {
  if (error instanceof GrantRefused) return { reason: error.code, detail: `${error.message}.` };
  if (!(error instanceof TokenRefused)) throw error;
  const { reason, note } = error;
  const detail = DETAILS[reason] ?? 'The token is not accepted.';
  return { reason, detail: note === undefined ? detail : `${detail} It is about: ${note}.` };
}

const MALFORMED = 'It is no well-formed JSON Web Token: pass it exactly as the platform gave it.';

/** What each reason means, and what helps. */
const DETAILS: Readonly<Partial<Record<TokenRefused['reason'], string>>> = {
  oversize: `It is longer than ${MAX_TOKEN_BYTES} bytes: let the platform put fewer claims into it.`,
  not_three_segments: MALFORMED,
  not_canonical_base64url: MALFORMED,
  not_json: MALFORMED,
  duplicate_member: MALFORMED,
  header_member_not_accepted: 'Its header has a member that could bring or move a key; platforms send none.',
  algorithm_not_accepted:
    'Its algorithm is not accepted from this issuer: see algorithms in workload_issuers.',
  key_id_not_accepted: 'The key id in its header is not one that is looked up.',
  type_not_accepted: 'It is another kind of token (typ): take the token of the job itself.',
  issuer_not_accepted:
    'No trust rule names its issuer, or its keys may not be fetched: compare it with issuer of the rules, and see workload_issuers.',
  key_not_found: 'Its issuer has no usable key of this name: see jwks_uri and jwks_file in workload_issuers.',
  signature_invalid: 'Its signature is not by the key of its issuer.',
  expired: 'It has expired: get a fresh one.',
  claim_not_accepted: 'A claim that every token needs is missing, or a time does not fit.',
  claim_shape: 'A claim is not of the expected form.',
  audience_not_accepted:
    'It is for people who sign in: let the workload ask its issuer for another audience, and name that in the rule.',
  logout_token: 'It is a logout token.',
  sender_constrained: 'It is bound to a key of the job (cnf), and cannot be exchanged.',
  no_trust_rule: 'No trust rule matches; misses says for each rule which claims are not as it wants them.',
  claims_too_large: 'The claims that go into the issued token do not fit: let the rule look at fewer.',
  replayed: 'It was exchanged before, and works once: get a fresh one.',
  revoked: 'It, or what would be issued for it, is revoked.',
  policy_denied: 'Policy denies the exchange.',
};
