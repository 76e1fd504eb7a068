import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import request from 'supertest';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CiIssuer, startCiIssuer } from '../../fixtures/identity/ci-issuer.ts';
import { BrokerError } from '../../src/errors.ts';
import { workloadIssuerSchema } from '../../src/issuers/issuers.ts';
import type { Operation } from '../../src/operations.ts';
import type { Principal } from '../../src/principal.ts';
import { createExchange, type ExchangeAuthorization } from '../../src/tokens/exchange.ts';
import { TOKEN_EXCHANGE_GRANT } from '../../src/tokens/exchange-form.ts';
import type { SingleUse } from '../../src/tokens/subject.ts';
import { type TrustRules, trustRulesSchema } from '../../src/trust/rules.ts';
import {
  BROKER,
  createBench,
  createEs256Key,
  forge,
  keySetAnswer,
  presented,
  presentedForFlags,
  START_S,
  startServer,
} from '../identity/support.ts';
import { serveTokenEndpoint } from './token-endpoint.ts';

const JWT = 'urn:ietf:params:oauth:token-type:jwt';
const TIMES = { iat: START_S, nbf: START_S, exp: START_S + 300 };

let ci: CiIssuer;
let broker: Awaited<ReturnType<typeof startTokenEndpoint>>;

beforeAll(async () => {
  ci = await startCiIssuer();
});
afterAll(() => ci.close());
beforeEach(async () => {
  broker = await startTokenEndpoint(demoRules());
});

function demoRules(): TrustRules {
  const trusted = { issuer: ci.issuer, audience: 'countersign' };
  return trustRulesSchema.parse({
    'payments-deploy': {
      ...trusted,
      claims: {
        repository_id: '456789',
        repository_owner_id: '123456',
        ref: 'refs/heads/main',
        event_name: ['push', 'workflow_dispatch'],
        run_attempt: '1',
      },
      person: { claim: 'actor_id', prefix: 'github:' },
      grant: {
        audiences: ['control', 'data:staging'],
        operations: ['request.propose', 'request.read', 'flag.read'],
        environments: ['production'],
        namespaces: ['payments'],
        token_ttl_s: 600,
      },
    },
    'checkout-service': {
      ...trusted,
      claims: { repository_id: '456790' },
      grant: {
        audiences: ['data:production'],
        operations: [],
        environments: ['production'],
        namespaces: ['*'],
        token_ttl_s: 600,
      },
    },
  });
}

/** The real router over the real exchange; what policy and store say is given, and each single use counts once. */
async function startTokenEndpoint(trustRules: TrustRules, settings: { issuers?: object[] } = {}) {
  const bench = await createBench([]);
  const used = new Set<string>();
  const asked: { principal: Principal; use: { token: SingleUse } | null }[] = [];
  const state: { policyTtlS: number; answer: ExchangeAuthorization['answer'] | 'unrecorded' } = {
    policyTtlS: 900,
    answer: 'issued',
  };
  const exchange = createExchange({
    issuer: BROKER,
    presentTrust: async () => ({ policy_hash: 'sha256:aa', rules: trustRules }),
    workloadIssuers: [{ issuer: ci.issuer, allow_insecure_loopback: true }, ...(settings.issuers ?? [])].map(
      (issuer) => workloadIssuerSchema.parse(issuer),
    ),
    personIssuers: [],
    keySets: bench.keySets,
    signingKeys: bench.signingKeys,
    clock: bench.clock,
    log: bench.log,
    readableNamespaces: async () => [],
    followRequest: async () => Promise.reject(new Error('nothing to follow')),
    authorizeExchange: async (question) => {
      asked.push(question);
      if (state.answer === 'unrecorded') throw new BrokerError('not_recorded', 'The disk is full.');
      const use = JSON.stringify([question.use?.token.issuer, question.use?.token.jti]);
      const answer = used.has(use) ? 'replayed' : state.answer;
      used.add(use);
      return { answer, token_ttl_s: state.policyTtlS, policy_hash: 'sha256:aa' };
    },
  });
  const app = serveTokenEndpoint(BROKER, { exchange, signingKeys: bench.signingKeys }, bench.log);
  const post = (form: Record<string, string> | string) =>
    request(app)
      .post('/oauth/token')
      .type('form')
      .send(typeof form === 'string' ? form : new URLSearchParams(form).toString());
  const swap = (subjectToken: string, more: Record<string, string> = {}) =>
    post({ grant_type: TOKEN_EXCHANGE_GRANT, subject_token: subjectToken, subject_token_type: JWT, ...more });
  return { ...bench, app, exchange, asked, state, post, swap };
}

const token = (claims: Record<string, unknown> = {}) => ci.token({ ...TIMES, ...claims });

describe('the exchange of a CI token', () => {
  it('issues an RFC 9068 token that says under which rule, policy and job', async () => {
    const answer = await broker.swap(await token());
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      access_token: expect.any(String),
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      expires_in: 300,
      scope: 'request.propose request.read flag.read',
    });
    expect(decodeProtectedHeader(answer.body.access_token)).toMatchObject({ alg: 'EdDSA', typ: 'at+jwt' });
    const claims = decodeJwt(answer.body.access_token);
    expect(claims).toMatchObject({
      iss: BROKER,
      aud: 'control',
      client_id: 'payments-deploy',
      iat: START_S,
      exp: START_S + 300,
      scope: 'request.propose request.read flag.read',
      policy_hash: 'sha256:aa',
      trust_rule: 'payments-deploy',
      person: 'github:5001',
      claims: {
        repository: 'acme/payments',
        repository_id: '456789',
        ref: 'refs/heads/main',
        run_id: '987654321',
      },
    });
    expect(claims.sub).toMatch(/^workload:payments-deploy:repo:acme@123456\/payments@456789:/);
  });

  it('authenticates as the very principal that policy decided about', async () => {
    const answer = await broker.swap(await token());
    const { principal } = await broker.authenticator.authenticate(
      presented(`Bearer ${answer.body.access_token}`),
    );
    expect(principal).toEqual(broker.asked[0]?.principal);
    expect(principal).toMatchObject({ kind: 'workload', issuer: ci.issuer, person: 'github:5001' });
  });

  it('gives a service a token for the flags of one environment, without operations', async () => {
    const answer = await broker.swap(await ci.checkoutToken(TIMES), { audience: 'data:production' });
    expect(answer.body).toMatchObject({ scope: '' });
    const credentials = presentedForFlags({ apiKey: answer.body.access_token });
    expect(await broker.authenticator.readers.authenticate(credentials)).toMatchObject({
      environment: 'production',
      namespaces: ['*'],
    });
    expect(decodeJwt(answer.body.access_token).namespaces).toEqual(['*']);
  });

  it('gives a token for flags the namespaces of its rule and no others, and a token for other planes none', async () => {
    const rules = demoRules();
    const rule = rules['payments-deploy'];
    if (rule === undefined) throw new Error('the rule is missing');
    const namespacesIn = async (granted: string[], audience: string) => {
      rule.grant.namespaces = granted;
      const endpoint = await startTokenEndpoint(rules);
      return decodeJwt((await endpoint.swap(await token(), { audience })).body.access_token).namespaces;
    };
    expect(await namespacesIn(['payments', 'billing', 'payments'], 'data:staging')).toEqual([
      'billing',
      'payments',
    ]);
    expect(await namespacesIn(['payments', '*'], 'data:staging')).toEqual(['*']);
    expect(await namespacesIn([], 'data:staging')).toEqual([]);
    expect(await namespacesIn(['payments'], 'control')).toBeUndefined();
  });

  it('narrows the operations to the scope that is asked for', async () => {
    const answer = await broker.swap(await token(), { scope: 'flag.read request.read flag.read' });
    expect(answer.body.scope).toBe('flag.read request.read');
  });

  it.each([
    ['policy', 60, 300, 60],
    ['the subject token', 900, 120, 120],
    ['the trust rule', 900, 3600, 600],
  ])('lives as long as %s allows, where that is shortest', async (_name, policyTtlS, subjectLifeS, want) => {
    broker.state.policyTtlS = policyTtlS;
    const answer = await broker.swap(await token({ exp: START_S + subjectLifeS }));
    expect(answer.body.expires_in).toBe(want);
  });

  it('issues nothing beyond the rule, the policy and the subject token, whatever is asked for', async () => {
    const operations: Operation[] = [
      'request.propose',
      'request.read',
      'flag.read',
      'freeze.engage',
      'policy.activate',
    ];
    const rule = demoRules()['payments-deploy'];
    const property = fc.asyncProperty(
      fc.record({
        audience: fc.option(fc.constantFrom('control', 'audit', 'data:staging', 'data:production', '*'), {
          nil: undefined,
        }),
        scope: fc.option(fc.uniqueArray(fc.constantFrom(...operations), { minLength: 1 }), {
          nil: undefined,
        }),
        granted: fc.uniqueArray(fc.constantFrom(...operations)),
        audiences: fc.uniqueArray(fc.constantFrom('control', 'audit', 'data:staging'), { minLength: 1 }),
        ruleTtlS: fc.integer({ min: 1, max: 900 }),
        policyTtlS: fc.integer({ min: 0, max: 2000 }),
        lifeS: fc.integer({ min: 1, max: 4000 }),
      }),
      async ({ audience, scope, granted, audiences, ruleTtlS, policyTtlS, lifeS }) => {
        if (rule === undefined) throw new Error('the rule is missing');
        rule.grant = { ...rule.grant, audiences, operations: granted, token_ttl_s: ruleTtlS };
        narrow.state.policyTtlS = policyTtlS;
        const form = new URLSearchParams({
          grant_type: TOKEN_EXCHANGE_GRANT,
          subject_token_type: JWT,
          subject_token: await token({ exp: START_S + lifeS }),
          ...(audience === undefined ? {} : { audience }),
          ...(scope === undefined ? {} : { scope: scope.join(' ') }),
        });
        const answer = await narrow.exchange
          .exchange(form.toString(), presented(undefined))
          .catch(() => undefined);
        if (answer === undefined) return;
        issued += 1;
        const claims = decodeJwt(answer.access_token);
        expect(audiences).toContain(claims.aud);
        expect(claims.aud).toBe(audience ?? 'control');
        const got = String(claims.scope).split(' ').filter(Boolean);
        for (const operation of got) expect(scope ?? granted).toContain(operation);
        for (const operation of got) expect(granted).toContain(operation);
        expect(Number(claims.exp) - START_S).toBeLessThanOrEqual(Math.min(ruleTtlS, policyTtlS, lifeS, 900));
      },
    );
    let issued = 0;
    const narrow = await startTokenEndpoint({ 'payments-deploy': rule ?? ({} as never) });
    await fc.assert(property, { numRuns: 500 });
    expect(issued).toBeGreaterThan(20);
  });
});

describe('a subject token', () => {
  /** What a refused token is told: always the same, but for the reference. */
  function expectRefusal(answer: { status: number; body: Record<string, unknown> }): unknown {
    expect(answer.status).toBe(400);
    expect(answer.body.error).toBe('invalid_request');
    expect(answer.body.error_description).toBe(
      `the subject token was not accepted (reference ${String(answer.body.reference)})`,
    );
    const line = broker.lines.findLast(({ fields }) => fields.reference === answer.body.reference);
    return line?.fields.reason;
  }

  it.each([
    ['of another repository with the same name', { repository_id: '999' }, 'no_trust_rule'],
    ['of a pull request', { event_name: 'pull_request' }, 'no_trust_rule'],
    ['of another branch', { ref: 'refs/heads/x' }, 'no_trust_rule'],
    ['for another audience', { aud: 'https://github.com/acme' }, 'no_trust_rule'],
    ['for two audiences', { aud: ['countersign', 'evil'] }, 'no_trust_rule'],
    ['of nobody in particular', { actor_id: undefined }, 'no_trust_rule'],
    ['that has expired', { exp: START_S - 31 }, 'expired'],
    ['that is only within the leeway', { exp: START_S - 1 }, 'expired'],
    ['without exp', { exp: undefined }, 'claim_not_accepted'],
    ['without iat', { iat: undefined }, 'claim_not_accepted'],
    ['without aud', { aud: undefined }, 'claim_not_accepted'],
    ['without sub', { sub: undefined }, 'claim_not_accepted'],
    ['from the future', { iat: START_S + 60 }, 'claim_not_accepted'],
    ['with an empty jti', { jti: '' }, 'claim_shape'],
    ['with a jti that is a number', { jti: 7 }, 'claim_shape'],
    [
      'of an issuer that no rule names',
      { iss: 'https://token.actions.githubusercontent.com' },
      'issuer_not_accepted',
    ],
    ["that claims to be the broker's own", { iss: BROKER }, 'issuer_not_accepted'],
    ['that is a logout token', { events: {} }, 'logout_token'],
    ['with claims that would not fit', { sha: 'x'.repeat(4500) }, 'claims_too_large'],
  ])('%s is refused, and only the log says why', async (_name, claims, reason) => {
    expect(expectRefusal(await broker.swap(await token(claims)))).toBe(reason);
    expect(broker.asked).toEqual([]);
  });

  it("of the broker's own is refused even where a rule names the broker as an issuer", async () => {
    const rules = demoRules();
    for (const rule of Object.values(rules)) rule.issuer = BROKER;
    broker = await startTokenEndpoint(rules);
    expect(expectRefusal(await broker.swap(await token({ iss: BROKER })))).toBe('issuer_not_accepted');
  });

  it.each([4_001, 8_193, 9_000])('of %d bytes of nonsense is refused', async (length) => {
    expectRefusal(await broker.swap('x'.repeat(length)));
  });

  it('of a megabyte is refused with the form', async () => {
    const answer = await broker.swap('x'.repeat(1_000_000));
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({
      error: 'invalid_request',
      error_description: expect.stringContaining('too large'),
    });
  });

  it('with another type is refused', async () => {
    const answer = await broker.swap(await broker.signingKeys.sign({ iss: ci.issuer, ...TIMES }));
    expect(expectRefusal(answer)).toBe('type_not_accepted');
  });

  it('works exactly once, however many use it at the same time', async () => {
    const subject = await token();
    const answers = await Promise.all(Array.from({ length: 50 }, () => broker.swap(subject)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    for (const answer of answers.filter(({ status }) => status !== 200))
      expect(expectRefusal(answer)).toBe('replayed');
  });

  it('claims its single use by issuer and jti until it can no longer be accepted', async () => {
    await broker.swap(await token({ jti: 'job-1' }));
    const expires_ms = (START_S + 300 + 35) * 1000;
    expect(broker.asked[0]?.use?.token).toEqual({ issuer: ci.issuer, jti: 'jti:job-1', expires_ms });
  });

  it('of an issuer without jti works once in all the forms of its signature', async () => {
    const key = createEs256Key('k1');
    const server = await startServer(keySetAnswer(key));
    const rules = demoRules();
    // No platform that promises an id.
    for (const rule of Object.values(rules)) Object.assign(rule, { issuer: server.origin, platform: 'oidc' });
    const settings = { issuer: server.origin, jwks_uri: server.origin, allow_insecure_loopback: true };
    broker = await startTokenEndpoint(rules, { issuers: [settings] });
    const claims = { ...decodeJwt(await token()), iss: server.origin, jti: undefined };
    const subject = forge(key, { alg: 'ES256', kid: 'k1' }, claims);
    const twin = withOtherSignature(subject);
    expect(twin).not.toBe(subject);
    expect((await broker.swap(subject)).status).toBe(200);
    expect(expectRefusal(await broker.swap(twin))).toBe('replayed');
    const input = subject.slice(0, subject.lastIndexOf('.'));
    expect(broker.asked[0]?.use?.token.jti).toBe(
      `sha256:${createHash('sha256').update(input).digest('hex')}`,
    );
    await server.close();
  });

  it('is refused when policy denies, with the same words', async () => {
    broker.state.answer = 'denied';
    expect(expectRefusal(await broker.swap(await token()))).toBe('policy_denied');
  });

  it('gets no token when the decision cannot be recorded', async () => {
    broker.state.answer = 'unrecorded';
    const answer = await broker.swap(await token());
    expect(answer.status).toBe(503);
    expect(answer.body).toMatchObject({ error: 'temporarily_unavailable' });
    expect(answer.body).not.toHaveProperty('access_token');
  });

  it('of the former key is refused after a rotation, and one of the new key accepted', async () => {
    const former = await token();
    expect((await broker.swap(await token())).status).toBe(200);
    await ci.rotate();
    broker.advance(31_000);
    expect((await broker.swap(await token())).status).toBe(200);
    expect(expectRefusal(await broker.swap(former))).toBe('key_not_found');
  });
});

/** The second valid form of an ECDSA signature: (r, n - s). */
function withOtherSignature(subject: string): string {
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const at = subject.lastIndexOf('.') + 1;
  const bytes = Buffer.from(subject.slice(at), 'base64url');
  const s = BigInt(`0x${bytes.subarray(32).toString('hex')}`);
  const other = Buffer.from((order - s).toString(16).padStart(64, '0'), 'hex');
  return subject.slice(0, at) + Buffer.concat([bytes.subarray(0, 32), other]).toString('base64url');
}

describe('the form of an exchange', () => {
  it.each([
    ['an audience that is not granted', { audience: 'audit' }, 'invalid_target'],
    ['an environment that is not granted', { audience: 'data:production' }, 'invalid_target'],
    ['a resource', { resource: 'https://countersign.example/' }, 'invalid_target'],
    ['an operation that is not granted', { scope: 'flag.read policy.activate' }, 'invalid_scope'],
    ['a scope with two spaces', { scope: 'flag.read  request.read' }, 'invalid_scope'],
    ['an actor token', { actor_token: 'x', actor_token_type: JWT }, 'invalid_request'],
    [
      'another requested type',
      { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' },
      'invalid_request',
    ],
    [
      'another subject type',
      { subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' },
      'invalid_request',
    ],
    ['no subject type', { subject_token_type: '' }, 'invalid_request'],
    ['no subject token', { subject_token: '' }, 'invalid_request'],
    [
      'another grant',
      { grant_type: 'client_credentials', client_id: 'x', client_secret: 'y' },
      'unsupported_grant_type',
    ],
    ['no grant', { grant_type: '' }, 'invalid_request'],
  ])('with %s is refused', async (_name, changes, error) => {
    const answer = await broker.swap(await token(), changes);
    expect(answer.status).toBe(400);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.body.error).toBe(error);
    expect(answer.body.error_description).toMatch(/^[\x20\x21\x23-\x5B\x5D-\x7E]+$/);
    expect(broker.asked).toEqual([]);
  });

  it.each(['subject_token', 'audience', 'scope', 'grant_type', 'something_else'])(
    'with %s given twice is refused',
    async (name) => {
      const form = new URLSearchParams({
        grant_type: TOKEN_EXCHANGE_GRANT,
        subject_token: await token(),
        subject_token_type: JWT,
      });
      for (const value of ['a', 'a']) form.append(name, value);
      const answer = await broker.post(form.toString());
      expect(answer.status).toBe(400);
      expect(answer.body.error).toBe('invalid_request');
      expect(broker.asked).toEqual([]);
    },
  );

  it('takes the token as an ID token too, and ignores parameters that it does not know', async () => {
    const more = {
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      client_id: 'ci',
      foo: 'bar',
    };
    expect((await broker.swap(await token(), more)).status).toBe(200);
  });

  it.each(['application/json', 'text/plain', 'multipart/form-data'])(
    'of the type %s is refused',
    async (type) => {
      const answer = await request(broker.app).post('/oauth/token').set('Content-Type', type).send('{}');
      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({ error: 'invalid_request' });
    },
  );

  it('that is compressed is refused', async () => {
    const answer = await request(broker.app)
      .post('/oauth/token')
      .type('form')
      .set('Content-Encoding', 'gzip')
      .send('x');
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: 'invalid_request' });
  });
});

describe('the published documents', () => {
  it('describe the token endpoint and its keys', async () => {
    const metadata = await request(broker.app).get('/.well-known/oauth-authorization-server');
    expect(metadata.body).toMatchObject({
      issuer: BROKER,
      token_endpoint: `${BROKER}/oauth/token`,
      jwks_uri: `${BROKER}/.well-known/jwks.json`,
      grant_types_supported: [TOKEN_EXCHANGE_GRANT],
    });
    const keys = await request(broker.app).get('/.well-known/jwks.json');
    expect(keys.body).toEqual(await broker.signingKeys.jwks());
    expect(JSON.stringify(keys.body)).not.toContain('"d"');
  });
});

describe('the CI issuer', () => {
  it('gives a job its token the way GitHub Actions does', async () => {
    const { requestUrl, requestToken } = ci.actions;
    const ask = (authorization: string) =>
      fetch(`${requestUrl}&audience=countersign`, { headers: { authorization } });
    expect((await ask('bearer wrong')).status).toBe(401);
    const { value } = (await (await ask(`bearer ${requestToken}`)).json()) as { value: string };
    expect(decodeJwt(value)).toMatchObject({ iss: ci.issuer, aud: 'countersign', repository_id: '456789' });
  });
});
