import { sha256Hex } from '../json.ts';
import { TokenRefused } from './refusal.ts';

/**
 * An identifier of a token at its issuer that does not reveal the token: its `jti`, or the hash of the signed part. The
 * hash excludes the signature, because an ECDSA signature has two valid forms.
 *
 * @returns `jti:…` or `sha256:…`
 * @throws TokenRefused `claim_shape` for a `jti` that is not a short string
 */
export function tokenIdOf(claims: Readonly<Record<string, unknown>>, signingInput: string): string {
  if (!Object.hasOwn(claims, 'jti')) return `sha256:${sha256Hex(signingInput)}`;
  const { jti } = claims;
  if (typeof jti !== 'string' || jti === '' || jti.length > 512) throw new TokenRefused('claim_shape', 'jti');
  return `jti:${jti}`;
}
