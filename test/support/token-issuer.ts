import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { listenOnLoopback } from '../../fixtures/identity/listen.ts';
import { castMember } from '../../fixtures/identity/people.ts';
import type { Clock } from '../../src/clock.ts';

/** An issuer of ID tokens for the cast, with the test's own clock; the real provider has the machine's. */
export interface TokenIssuer {
  issuer: string;
  /** A signed ID token of a person of the cast; `iss`, `sub` and `aud` are claims like any other. */
  idToken(
    person: string,
    options?: { mfa?: boolean; authAgeS?: number; claims?: Record<string, unknown> },
  ): Promise<string>;
  close(): Promise<void>;
}

/** Starts discovery and JWKS on loopback. */
export async function startTokenIssuer(clock: Clock): Promise<TokenIssuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const kid = randomUUID();
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }] };
  const { origin, close } = await listenOnLoopback(0, (issuer) => (request, response) => {
    const document = request.url === '/jwks' ? jwks : { issuer, jwks_uri: `${issuer}/jwks` };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document));
  });
  return {
    issuer: origin,
    close,
    idToken: async (person, { mfa = false, authAgeS = 0, claims = {} } = {}) => {
      const member = castMember(person);
      if (member === undefined) throw new Error(`${person} is not in the cast`);
      const now = Math.floor(clock() / 1000);
      return new SignJWT({
        groups: member.groups,
        employee_id: member.employee_id,
        acr: mfa ? 'urn:countersign:mfa' : 'urn:countersign:password',
        amr: mfa ? ['pwd', 'otp'] : ['pwd'],
        auth_time: now - authAgeS,
        iss: origin,
        ...claims,
      })
        .setProtectedHeader({ alg: 'ES256', kid })
        .setSubject(String(claims.sub ?? member.sub))
        .setAudience(String(claims.aud ?? 'countersign-cli'))
        .setIssuedAt(now)
        .setExpirationTime(Number(claims.exp ?? now + 3600))
        .setJti(randomUUID())
        .sign(privateKey);
    },
  };
}
