import { hash, randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';

const ALGORITHM = 'ES256';

/** A private key for proofs, as stored beside the token that is bound to it. */
export const proofKeySchema = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
  d: z.string(),
});

/** A private key for proofs. */
export type ProofKey = z.infer<typeof proofKeySchema>;

/** Generates a new key. Its private part stays with this user. */
export async function createProofKey(): Promise<ProofKey> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
  return proofKeySchema.parse(await exportJWK(privateKey));
}

/** The request that a proof covers. */
export interface ProofResult {
  method: string;
  /** The server's own address of the request, without query and fragment. */
  htu: string;
  /** The token that accompanies the request; null at the token endpoint. */
  accessToken: string | null;
}

/** Proves possession of the key to a server, request by request. */
export interface Prover {
  key: ProofKey;
  /**
   * Sends a request with a proof for it, and once more when the server requires its own nonce in the proof. `send` gets
   * the `DPoP` header and MUST send the same request each time.
   *
   * @see RFC 9449 sections 4.2, 8 and 9
   */
  fetch(proven: ProofResult, send: (proof: string) => Promise<Response>): Promise<Response>;
}

/** Creates a prover for one server. */
export function createProver({ key, clock }: { key: ProofKey; clock: Clock }): Prover {
  let nonce: string | null = null;

  async function attempt(proven: ProofResult, send: (proof: string) => Promise<Response>): Promise<Response> {
    const response = await send(await signProof(key, { ...proven, nonce, nowMs: clock() }));
    nonce = response.headers.get('DPoP-Nonce') ?? nonce;
    return response;
  }

  return {
    key,
    fetch: async (proven, send) => {
      const response = await attempt(proven, send);
      return (await wantsNonce(response)) ? attempt(proven, send) : response;
    },
  };
}

async function signProof(
  { d, ...publicKey }: ProofKey,
  { method, htu, accessToken, nonce, nowMs }: ProofResult & { nonce: string | null; nowMs: number },
): Promise<string> {
  const claims = {
    htm: method,
    htu,
    ...(accessToken === null ? {} : { ath: hash('sha256', accessToken, 'base64url') }),
    ...(nonce === null ? {} : { nonce }),
  };
  return new SignJWT(claims)
    .setProtectedHeader({ typ: 'dpop+jwt', alg: ALGORITHM, jwk: publicKey })
    .setIssuedAt(Math.floor(nowMs / 1000))
    .setJti(randomUUID())
    .sign(await importJWK({ ...publicKey, d }, ALGORITHM));
}

/** A resource server says so in its challenge, the token endpoint in its response body. */
async function wantsNonce(response: Response): Promise<boolean> {
  if (response.status === 401) {
    return /\berror="use_dpop_nonce"/.test(response.headers.get('WWW-Authenticate') ?? '');
  }
  if (response.status !== 400) return false;
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => null);
  return typeof body === 'object' && body !== null && 'error' in body && body.error === 'use_dpop_nonce';
}
