import { hash, hkdfSync, randomBytes } from 'node:crypto';

/** The length of a cookie's secret in bytes. */
const SECRET_BYTES = 32;

const SECRET = /^[A-Za-z0-9_-]{43}$/;

/** The values that bind the steps of a sign-in together. They are derived from the cookie's secret and not stored. */
export interface SignInSecrets {
  /** Returned by the provider: proves that the response belongs to this browser. */
  state: string;
  /** Returned in the ID token: proves that the token was issued for this sign-in. */
  nonce: string;
  /** The PKCE verifier: a stolen code is useless without it. @see RFC 7636 section 4.1 */
  verifier: string;
}

/** A new secret for a cookie: 256 random bits, base64url. */
export function createSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/** Whether a cookie's value has the form of our secrets. */
export function isSecret(value: string): boolean {
  return SECRET.test(value);
}

/** The stored hash of a secret: SHA-256, base64url. It requires no salt, because the secret is random. */
export function hashOf(secret: string): string {
  return hash('sha256', secret, 'base64url');
}

/** Derives the values of a sign-in. A stolen database row is useless without the cookie. @see RFC 5869 */
export function deriveSignIn(secret: string): SignInSecrets {
  const derive = (purpose: string): string =>
    Buffer.from(hkdfSync('sha256', secret, '', `countersign sign-in ${purpose}`, SECRET_BYTES)).toString(
      'base64url',
    );
  return { state: derive('state'), nonce: derive('nonce'), verifier: derive('verifier') };
}
