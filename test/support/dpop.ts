import { createHash, randomUUID } from 'node:crypto';
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import type { Clock } from '../../src/clock.ts';
import type { Reply } from './broker.ts';

/** What a proof is for. */
export interface ProofFor {
  method: string;
  url: string;
  /** The token that it comes with; none at the token endpoint. */
  token?: string | undefined;
}

/** A client's key, and the proofs that it signs; claims and header members can be changed, undefined takes one away. */
export interface ProofKey {
  alg: string;
  privateKey: CryptoKey;
  publicJwk: JWK;
  privateJwk: JWK;
  jkt: string;
  proof(about: ProofFor, claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
}

/** The value of the `ath` claim. RFC 9449 section 4.2 */
export function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

/** Makes a key of a client. */
export async function createProofKey(clock: Clock, alg = 'ES256'): Promise<ProofKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  return {
    alg,
    privateKey,
    publicJwk,
    privateJwk: await exportJWK(privateKey),
    jkt: await calculateJwkThumbprint(publicJwk, 'sha256'),
    proof: ({ method, url, token }, claims = {}, header = {}) =>
      new SignJWT({
        jti: randomUUID(),
        htm: method,
        htu: url,
        iat: Math.floor(clock() / 1000),
        ath: token === undefined ? undefined : hashOf(token),
        ...claims,
      })
        .setProtectedHeader({ alg, typ: 'dpop+jwt', jwk: publicJwk, ...header })
        .sign(privateKey),
  };
}

/** Exchanges a platform's token for one that is bound to a key. */
export async function exchangeBound(
  url: string,
  subjectToken: string,
  options: { proofs: readonly string[]; form?: Record<string, string> },
): Promise<Reply> {
  const headers = new Headers();
  for (const proof of options.proofs) headers.append('DPoP', proof);
  const response = await fetch(`${url}/oauth/token`, {
    method: 'POST',
    headers,
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: subjectToken,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      ...options.form,
    }),
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
}
