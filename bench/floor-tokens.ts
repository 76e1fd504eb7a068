import { createRemoteJWKSet, jwtVerify } from 'jose';

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
