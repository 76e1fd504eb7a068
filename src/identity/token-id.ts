import { sha256Hex } from '../json.ts';
import { TokenRefused } from './refusal.ts';

/**
 * What names one token among those of its issuer, without being the token: its `jti`, or the hash of what is signed
 * (an ECDSA signature has two valid forms, so the hash is not over the token).
 *
 * @returns `jti:…` or `sha256:…`
 * @throws TokenRefused `claim_shape` for a `jti` that is no short string
 */
export function tokenIdOf(claims: Readonly<Record<string, unknown>>, signingInput: string): string {
  if (!Object.hasOwn(claims, 'jti')) return `sha256:${sha256Hex(signingInput)}`;
  const { jti } = claims;
  if (typeof jti !== 'string' || jti === '' || jti.length > 512) throw new TokenRefused('claim_shape', 'jti');
  return `jti:${jti}`;
}
