import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { createProofKey, exchangeBound } from '../support/dpop.ts';
import { countRows } from '../support/flags.ts';
import { agentToken, delegationToken, lastRecord, startAgentBroker } from './agents.ts';
import { postForm } from './forms.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startAgentBroker();
});
afterAll(() => t.close());

/** Asks as a person of the cast, or with a token. */
async function introspect(
  who: string | null,
  token: string,
  more: Record<string, string> = {},
): Promise<Reply> {
  const asking = who === null || who.includes('.') ? who : await t.people.idToken(who);
  return postForm(t, '/oauth/introspect', { token, ...more }, asking);
}

describe('introspection', () => {
  it('says of a job’s token what it is worth', async () => {
    const token = await t.workloadToken();
    const claims = decodeJwt(token);
    const { status, body, headers } = await introspect('avery', token);
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toEqual({
      active: true,
      token_type: 'Bearer',
      client_id: 'payments-deploy',
      trust_rule: 'payments-deploy',
      iss: t.url,
      sub: claims.sub,
      aud: 'control',
      exp: claims.exp,
      iat: claims.iat,
      jti: claims.jti,
      scope: claims.scope,
    });
  });

  it('says of a bound token which key it needs', async () => {
    const key = await createProofKey(t.clock);
    const proofs = [await key.proof({ method: 'POST', url: `${t.url}/oauth/token` })];
    const { access_token } = (await exchangeBound(t.url, await t.ci.token(), { proofs })).body;
    const { body } = await introspect('avery', access_token);
    expect(body).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt: key.jkt } });
  });

  it('says of a person’s token how they signed in, and no group or name', async () => {
    const token = await t.people.idToken('dana', { mfa: true, authAgeS: 60 });
    const claims = decodeJwt(token);
    const { body } = await introspect('avery', token);
    expect(body).toEqual({
      active: true,
      token_type: 'Bearer',
      client_id: 'countersign-cli',
      iss: t.people.issuer,
      sub: 'dana',
      aud: 'countersign-cli',
      exp: claims.exp,
      iat: claims.iat,
      jti: claims.jti,
      acr: 'urn:countersign:mfa',
      auth_time: claims.auth_time,
    });
  });

  it('says of an agent’s token who acts, and of a delegation who may', async () => {
    const { body: agent } = await introspect('avery', await agentToken(t));
    expect(agent).toMatchObject({
      active: true,
      trust_rule: 'release-agent',
      act: { sub: expect.stringMatching(/^workload:release-agent:/) },
    });
    const { body: delegation } = await introspect('avery', await delegationToken(t));
    expect(delegation).toMatchObject({
      active: true,
      token_type: 'N_A',
      sub: 'person:demo:dana',
      may_act: { iss: t.url, sub: 'release-agent' },
    });
  });

  it('says nothing but that for whatever is not accepted', async () => {
    const good = await t.workloadToken();
    const parts = good.split('.');
    const stranger = await t.ci.token();
    const others = [
      'x',
      'a.b.c',
      `${good}x`,
      `${parts[0]}.${parts[1]}.${'A'.repeat(86)}`,
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.${parts[1]}.x`,
      stranger,
      await t.people.idToken('dana', { claims: { azp: 'another-client' } }),
      'x'.repeat(9000),
    ];
    for (const token of others) {
      const { status, body } = await introspect('avery', token);
      expect({ status, body }).toEqual({ status: 200, body: { active: false } });
    }
  });

  it('knows expiry and revocation of the moment', async () => {
    const token = await t.workloadToken();
    await postForm(t, '/oauth/revoke', { token });
    expect((await introspect('avery', token)).body).toEqual({ active: false });
    const other = await t.workloadToken();
    t.clock.advance(11 * 60_000);
    expect((await introspect('avery', other)).body).toEqual({ active: false });
  });

  it('ignores what a caller believes the token to be', async () => {
    const token = await t.workloadToken();
    for (const token_type_hint of ['refresh_token', 'nonsense']) {
      expect((await introspect('avery', token, { token_type_hint })).body.active).toBe(true);
    }
  });
});

describe('who may ask', () => {
  it('is for policy to say, before anything is said, and the denial is recorded', async () => {
    const token = await t.workloadToken();
    for (const shown of [token, 'x']) {
      const { status, body } = await introspect('dana', shown);
      expect([status, body.error]).toEqual([403, 'insufficient_scope']);
      expect(body).not.toHaveProperty('active');
    }
    expect(await lastRecord(t, 'token.introspect')).toMatchObject({
      principal: { id: 'person:demo:dana' },
      outcome: { effect: 'deny' },
    });
  });

  it('is nobody whom policy does not let, about an issuer whose keys cannot be had either', async () => {
    const broker = await startTestBroker({
      config: (defaults) => ({
        issuers: [
          ...(defaults.issuers as unknown[]),
          {
            key: 'gone',
            issuer: 'http://127.0.0.1:9',
            allow_insecure_loopback: true,
            audience: 'x',
            disjoint: true,
          },
        ],
      }),
    });
    try {
      const segment = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      const token = `${segment({ alg: 'ES256', kid: 'k' })}.${segment({ iss: 'http://127.0.0.1:9' })}.AAAA`;
      const ask = async (who: string) =>
        postForm(broker, '/oauth/introspect', { token }, await broker.people.idToken(who));
      expect([(await ask('avery')).status, (await ask('dana')).status]).toEqual([503, 403]);
    } finally {
      await broker.close();
    }
  });

  it('who lies about being one that was shown hears nothing of any other', async () => {
    const own = await t.workloadToken();
    const [header, , signature] = own.split('.');
    const claims = { ...decodeJwt(own), scope: 'policy.activate' };
    const forged = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${signature}`;
    expect((await introspect(own, forged)).body).toEqual({ active: false });
  });

  it('is always who holds the token, about that one', async () => {
    const token = await t.workloadToken();
    const before = await countRows(t);
    expect((await introspect(token, token)).body).toMatchObject({
      active: true,
      client_id: 'payments-deploy',
    });
    const own = await t.people.idToken('dana');
    expect((await introspect(own, own)).body).toMatchObject({ active: true, sub: 'dana' });
    expect(await countRows(t)).toEqual(before);
    expect((await introspect(token, await t.workloadToken())).status).toBe(403);
  });

  it('is nobody without a token of their own', async () => {
    const token = await t.workloadToken();
    const nobody = await introspect(null, token);
    expect([nobody.status, nobody.body.error]).toEqual([401, 'invalid_token']);
    expect(nobody.headers.get('www-authenticate')).toMatch(/^Bearer/);
    const forged = await introspect('a.b.c', token);
    expect([forged.status, forged.body.error]).toEqual([401, 'invalid_token']);
    expect(forged.body.error_description).toMatch(/^the access token was not accepted \(reference /);
    expect(forged.headers.get('www-authenticate')).toContain('error="invalid_token"');
  });

  it('is nobody with a bound token that is shown without its proof', async () => {
    const key = await createProofKey(t.clock);
    const url = `${t.url}/oauth/introspect`;
    const proofs = [await key.proof({ method: 'POST', url: `${t.url}/oauth/token` })];
    const { access_token: token } = (await exchangeBound(t.url, await t.ci.token(), { proofs })).body;
    expect((await introspect(token, token)).status).toBe(401);
    const headers = {
      authorization: `DPoP ${token}`,
      dpop: await key.proof({ method: 'POST', url, token }),
    };
    const own = await postForm(t, '/oauth/introspect', { token }, null, headers);
    expect(own.body).toMatchObject({ active: true, token_type: 'DPoP' });
  });
});

describe('a form', () => {
  it.each([
    ['without a token', 'token_type_hint=access_token', /token is missing/],
    ['with an empty token', 'token=', /token is missing/],
    ['with two tokens', 'token=a&token=b', /more than once/],
    ['with two of anything', 'token=a&x=1&x=2', /more than once/],
  ])('%s is refused in OAuth’s shape', async (_, form, description) => {
    const asking = await t.people.idToken('avery');
    for (const path of ['/oauth/introspect', '/oauth/revoke']) {
      const { status, body } = await postForm(t, path, form, asking);
      expect([status, body.error]).toEqual([400, 'invalid_request']);
      expect(body.error_description).toMatch(description);
    }
  });

  it('that is JSON, or too long, is refused', async () => {
    for (const path of ['/oauth/introspect', '/oauth/revoke']) {
      const json = await t.call('avery', 'POST', path, { token: 'x' });
      expect([json.status, json.body.error]).toEqual([400, 'invalid_request']);
      const long = await postForm(t, path, { token: 'x'.repeat(50_000) }, await t.people.idToken('avery'));
      expect([long.status, long.body.error]).toEqual([400, 'invalid_request']);
    }
  });
});
