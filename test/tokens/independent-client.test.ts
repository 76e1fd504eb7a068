import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import * as client from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROOF_ALGORITHMS } from '../../src/identity/credential.ts';
import { OPERATION_NAMES } from '../../src/operations.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { agentToken, startAgentBroker } from './agents.ts';

/*
 * The OAuth endpoints as a client sees them that somebody else wrote.
 */

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';

let t: TestBroker;

beforeAll(async () => {
  // The client's clock is the machine's.
  t = await startTestBroker({ nowMs: Date.now() });
});
afterAll(() => t.close());

function discover(authentication: client.ClientAuth = client.None()): Promise<client.Configuration> {
  t.clock.set(Date.now());
  return client.discovery(new URL(t.url), 'a-pipeline', undefined, authentication, {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
  });
}

/** Authenticates with a token, as RFC 7662 section 2.1 allows. */
const bearer =
  (token: string): client.ClientAuth =>
  (_as, _client, _body, headers) =>
    headers.set('authorization', `Bearer ${token}`);

async function grant(config: client.Configuration, DPoP?: client.DPoPHandle) {
  const subject = { subject_token: await t.ci.token(), subject_token_type: JWT };
  return client.genericGrantRequest(config, EXCHANGE, subject, DPoP === undefined ? {} : { DPoP });
}

describe('openid-client', () => {
  it('discovers the server, exchanges, introspects and revokes', async () => {
    const config = await discover();
    const { access_token } = await grant(config);
    const auditor = await discover(bearer(await t.people.idToken('avery')));
    expect(await client.tokenIntrospection(auditor, access_token)).toMatchObject({
      active: true,
      client_id: 'payments-deploy',
      token_type: 'Bearer',
    });
    await client.tokenRevocation(config, access_token);
    expect(await client.tokenIntrospection(auditor, access_token)).toEqual({ active: false });
    const url = new URL('/v1/requests', t.url);
    const refused = client.fetchProtectedResource(config, access_token, url, 'GET');
    await expect(refused).rejects.toMatchObject({
      code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE',
      status: 401,
      cause: [
        {
          scheme: 'bearer',
          parameters: {
            error: 'invalid_token',
            resource_metadata: `${t.url}/.well-known/oauth-protected-resource`,
          },
        },
      ],
    });
  });

  it.each(['ES256', 'EdDSA', 'PS256'])('binds its token to a key of %s, and calls with it', async (alg) => {
    const config = await discover();
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair(alg));
    const { access_token, token_type } = await grant(config, DPoP);
    expect(token_type).toBe('dpop');
    const url = new URL('/v1/requests?limit=1', t.url);
    for (let i = 0; i < 2; i += 1) {
      const options = { DPoP };
      const answer = await client.fetchProtectedResource(
        config,
        access_token,
        url,
        'GET',
        undefined,
        undefined,
        options,
      );
      expect(answer.status).toBe(200);
    }
    await expect(client.fetchProtectedResource(config, access_token, url, 'GET')).rejects.toMatchObject({
      status: 401,
      cause: [{ scheme: 'dpop', parameters: { error: 'invalid_token', algs: PROOF_ALGORITHMS.join(' ') } }],
    });
  });

  it('understands why it is refused', async () => {
    const config = await discover();
    await expect(client.genericGrantRequest(config, EXCHANGE, { subject_token: 'x' })).rejects.toMatchObject({
      status: 400,
      error: 'invalid_request',
    });
    const stranger = await discover(bearer('a.b.c'));
    await expect(client.tokenIntrospection(stranger, 'x')).rejects.toMatchObject({
      status: 401,
      code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE',
    });
    const dana = await discover(bearer(await t.people.idToken('dana')));
    await expect(client.tokenIntrospection(dana, 'x')).rejects.toMatchObject({
      status: 403,
      error: 'insufficient_scope',
    });
  });
});

describe('the metadata', () => {
  it('of the authorization server is complete', async () => {
    const { status, body, headers } = await t.call(null, 'GET', '/.well-known/oauth-authorization-server');
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('public, max-age=60');
    expect(body).toEqual({
      issuer: t.url,
      token_endpoint: `${t.url}/oauth/token`,
      token_endpoint_auth_methods_supported: ['none'],
      grant_types_supported: [EXCHANGE],
      response_types_supported: [],
      scopes_supported: OPERATION_NAMES,
      dpop_signing_alg_values_supported: ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'PS256', 'RS256'],
      introspection_endpoint: `${t.url}/oauth/introspect`,
      introspection_endpoint_auth_methods_supported: ['Bearer', 'DPoP'],
      revocation_endpoint: `${t.url}/oauth/revoke`,
      revocation_endpoint_auth_methods_supported: ['none'],
      jwks_uri: `${t.url}/.well-known/jwks.json`,
      protected_resources: [t.url],
    });
  });

  it('of the resource names the server, and is found from every refusal', async () => {
    const nobody = await t.call(null, 'GET', '/v1/requests');
    const address = `${t.url}/.well-known/oauth-protected-resource`;
    expect(nobody.headers.get('www-authenticate')).toBe(`Bearer resource_metadata="${address}"`);
    const forged = await t.call('a.b.c', 'GET', '/v1/requests');
    expect(forged.headers.get('www-authenticate')).toBe(
      `Bearer error="invalid_token", resource_metadata="${address}"`,
    );
    const { body } = await t.call(null, 'GET', new URL(address).pathname);
    expect(body).toEqual({
      resource: t.url,
      resource_name: 'Countersign',
      authorization_servers: [t.url],
      scopes_supported: OPERATION_NAMES,
      bearer_methods_supported: ['header'],
      dpop_signing_alg_values_supported: ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'PS256', 'RS256'],
      dpop_bound_access_tokens_required: false,
    });
  });

  it('names endpoints that are there, under the public URL whatever host is asked', async () => {
    const behind = await startTestBroker({ config: { public_url: 'https://Flags.Example:443/' } });
    const { body } = await behind.call(null, 'GET', '/.well-known/oauth-authorization-server', undefined, {
      'x-forwarded-host': 'evil.example',
    });
    expect(body.issuer).toBe('https://flags.example');
    for (const name of ['token_endpoint', 'introspection_endpoint', 'revocation_endpoint']) {
      expect(body[name]).toMatch(/^https:\/\/flags\.example\/oauth\//);
      const answer = await fetch(`${behind.url}${new URL(body[name]).pathname}`, { method: 'POST' });
      expect([400, 401]).toContain(answer.status);
    }
    await behind.close();
  });
});

describe('an issued token', () => {
  it('is an access token of RFC 9068, of a workload and of an agent', async () => {
    const agents = await startAgentBroker();
    for (const token of [await agents.workloadToken(), await agentToken(agents)]) {
      expect(decodeProtectedHeader(token)).toEqual({ alg: 'EdDSA', typ: 'at+jwt', kid: expect.any(String) });
      const { payload } = await jwtVerify(
        token,
        createRemoteJWKSet(new URL(`${agents.url}/.well-known/jwks.json`)),
        {
          issuer: agents.url,
          audience: 'control',
          typ: 'at+jwt',
          algorithms: ['EdDSA'],
          requiredClaims: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti', 'scope'],
          maxTokenAge: '15m',
          currentDate: new Date(agents.clock()),
        },
      );
      // Nobody signed in for it: there is no moment and no strength to tell. RFC 9068 section 2.2.1
      expect(payload).not.toHaveProperty('auth_time');
      expect(payload).not.toHaveProperty('acr');
    }
    await agents.close();
  });
});
