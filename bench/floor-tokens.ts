import { randomUUID } from 'node:crypto';
import { createRemoteJWKSet, generateKeyPair, jwtVerify, SignJWT } from 'jose';

/** Verifies tokens of one issuer, and remembers those it has verified until they expire. */
export function createFloorTokens(issuer: string): { verify(authorization: string): Promise<void> } {
  const keys = createRemoteJWKSet(new URL('/jwks', issuer));
  const verified = new Map<string, number>();
  return {
    verify: async (authorization) => {
      const token = authorization.slice('Bearer '.length);
      const untilS = verified.get(token);
      if (untilS !== undefined && untilS * 1000 > Date.now()) return;
      const { payload } = await jwtVerify(token, keys, { issuer, audience: 'countersign-cli' });
      verified.set(token, payload.exp ?? 0);
    },
  };
}

/** Verifies a platform's token, and signs one in exchange. */
export async function createFloorExchange(issuer: string): Promise<{
  verify(token: string): Promise<{ jti: string; exp: number }>;
  sign(): Promise<string>;
}> {
  const keys = createRemoteJWKSet(new URL('/.well-known/jwks', issuer));
  const { privateKey } = await generateKeyPair('EdDSA');
  return {
    verify: async (token) => {
      const { payload } = await jwtVerify(token, keys, { issuer, audience: 'countersign' });
      return { jti: payload.jti ?? '', exp: payload.exp ?? 0 };
    },
    sign: () =>
      new SignJWT({ scope: 'request.propose request.read flag.read' })
        .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt' })
        .setSubject('workload')
        .setIssuedAt()
        .setExpirationTime('10m')
        .setJti(randomUUID())
        .sign(privateKey),
  };
}
