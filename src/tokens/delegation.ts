import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { Credential, CredentialOrigin } from '../identity/credential.ts';
import { ISSUED_ALGORITHM } from '../identity/issued-token.ts';
import { TokenRefused } from '../identity/refusal.ts';
import { mediaTypeOf, type TokenForm } from '../identity/token-form.ts';
import { verifyToken } from '../identity/verify-token.ts';
import { originsSchema } from '../identity/workload.ts';
import type { SigningKeys } from '../keys/signing-keys.ts';
import { type Principal, principalSchema } from '../principal.ts';

/**
 * The `typ` of a delegation token, with which the broker confirms that a person lets an agent act for them. It is not
 * an access token: only the exchange accepts this type, together with the agent's own token.
 */
export const DELEGATION_TYPE = 'delegation+jwt';

/**
 * The maximum size of a person's groups and claims in a token, in bytes of JSON, to keep it within the accepted size.
 */
const MAX_PERSON_BYTES = 10_240;

/** The actor that a token authorizes. @see RFC 8693 section 4.4 */
export const mayActSchema = z.object({
  /** The namespace of `sub`: the broker's own `iss` for the name of a trust rule, otherwise the agent's platform. */
  iss: z.string().optional(),
  sub: z.string().min(1).max(512),
});

/** The claims of a delegation token: the principal of the delegating person, and the scope of the delegation. */
const delegationClaimsSchema = z.object({
  iss: z.string(),
  aud: z.string(),
  /** The person's principal id. */
  sub: z.string().startsWith('person:'),
  iat: z.int(),
  exp: z.int(),
  jti: z.string().min(1),
  /** The maximum operations of the agent, separated by single spaces. */
  scope: z.string().min(1),
  may_act: mayActSchema.extend({ iss: z.string() }),
  person: z.string(),
  subject_issuer: z.string(),
  groups: principalSchema.shape.groups,
  claims: principalSchema.shape.claims,
  origins: originsSchema.min(1),
});

/** The claims of a delegation token. */
export type DelegationClaims = z.infer<typeof delegationClaimsSchema>;

/** True for a token with the type of a delegation token. Nothing is verified yet. */
export function isDelegation({ header }: TokenForm): boolean {
  return header.typ !== undefined && mediaTypeOf(header.typ) === DELEGATION_TYPE;
}

/**
 * Verifies a delegation token: the broker's own signature, and the broker as the only audience.
 *
 * @throws TokenRefused
 */
export async function verifyDelegation(
  deps: { issuer: string; signingKeys: SigningKeys; clock: Clock },
  token: string,
  form: TokenForm,
): Promise<DelegationClaims> {
  const claims = await verifyToken(token, form, {
    issuer: deps.issuer,
    algorithms: [ISSUED_ALGORITHM],
    keys: (header) => deps.signingKeys.verifyKey(header.kid),
    clock: deps.clock,
  });
  const parsed = delegationClaimsSchema.safeParse(claims);
  if (!parsed.success) throw new TokenRefused('claim_shape', 'delegation token', parsed.error);
  if (parsed.data.aud !== deps.issuer) throw new TokenRefused('audience_not_accepted');
  return parsed.data;
}

/** A credential as the origin of an issued token. */
export function originOf(
  credential: Credential,
  { id, kind }: Pick<CredentialOrigin, 'kind'> & { id: string },
): CredentialOrigin {
  const { issuer, token_id, kid, session, issued_ms } = credential;
  return { principal: id, kind, issuer, token_id, kid, session, issued_ms };
}

/**
 * Whether a person's groups and claims fit into a token. Policy evaluates an agent with all groups and claims of its
 * sponsor, so none can be omitted.
 */
export function fitsToken(carried: {
  groups: readonly string[];
  claims: Principal['claims'];
  origins: readonly CredentialOrigin[];
  act?: readonly string[];
}): boolean {
  return Buffer.byteLength(JSON.stringify(carried)) <= MAX_PERSON_BYTES;
}
