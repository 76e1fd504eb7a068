import { hash } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { TokenRefused } from './refusal.ts';

/** The hash function of each signature algorithm. Ed25519 uses SHA-512 itself. */
function hashOf(alg: string | undefined): string {
  return alg === 'EdDSA' ? 'sha512' : `sha${/\d{3}$/.exec(alg ?? '')?.[0] ?? '256'}`;
}

/**
 * Checks the hashes by which an ID token names what the provider returned with it. With a wrong one, the token belongs to
 * another response. A provider may omit them in the code flow.
 *
 * @param companions the access token and the code that came with the ID token; null if unknown
 * @throws TokenRefused `claim_not_accepted`
 * @see OpenID Connect Core 3.1.3.8 and 3.3.2.11
 */
export function assertBoundHashes(
  idToken: string,
  companions: Readonly<Record<'at_hash' | 'c_hash', string | null>>,
): void {
  const claims = decodeJwt(idToken);
  const { alg } = decodeProtectedHeader(idToken);
  for (const [claim, companion] of Object.entries(companions)) {
    if (claims[claim] === undefined || companion === null) continue;
    const whole = hash(hashOf(alg), companion, 'buffer');
    const expected = whole.subarray(0, whole.length / 2).toString('base64url');
    if (claims[claim] !== expected) throw new TokenRefused('claim_not_accepted', claim);
  }
}
