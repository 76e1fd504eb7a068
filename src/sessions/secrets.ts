import { hash, hkdfSync, randomBytes } from 'node:crypto';

/** Bytes of a cookie's secret. */
const SECRET_BYTES = 32;

const SECRET = /^[A-Za-z0-9_-]{43}$/;

/** What a sign-in on its way is held together by. All of it follows from the cookie's secret; none of it is stored. */
export interface SignInSecrets {
  /** Comes back from the provider: the answer belongs to this browser. */
  state: string;
  /** Comes back in the ID token: the token was made for this sign-in. */
  nonce: string;
  /** The PKCE verifier: whoever steals the code cannot use it. @see RFC 7636 section 4.1 */
  verifier: string;
}

/** A new secret for a cookie: 256 random bits, base64url. */
export function createSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/** Whether a cookie's value can be one of our secrets. */
export function isSecret(value: string): boolean {
  return SECRET.test(value);
}

/** What the store knows a secret by: SHA-256, base64url. It needs no salt, because the secret is random. */
export function hashOf(secret: string): string {
  return hash('sha256', secret, 'base64url');
}

/** Derives what a sign-in needs, so that a stolen row of the store is worth nothing. @see RFC 5869 */
export function deriveSignIn(secret: string): SignInSecrets {
  const derive = (purpose: string): string =>
    Buffer.from(hkdfSync('sha256', secret, '', `countersign sign-in ${purpose}`, SECRET_BYTES)).toString(
      'base64url',
    );
  return { state: derive('state'), nonce: derive('nonce'), verifier: derive('verifier') };
}
