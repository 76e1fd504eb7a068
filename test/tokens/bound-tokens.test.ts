import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authorize } from '../../src/decide/authorize.ts';
import { write } from '../../src/decide/write.ts';
import { createAuthenticator } from '../../src/identity/authenticate.ts';
import { BROKER, createBench, presented } from '../identity/support.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { createProofKey, exchangeBound, type ProofKey } from '../support/dpop.ts';
import { countRows, createFlag, creation, proposal } from '../support/flags.ts';
import { openControl } from '../support/local-control.ts';

const PUBLIC = 'https://countersign.example';
const TOKEN_URL = `${PUBLIC}/oauth/token`;
const OFREP = '/ofrep/v1/evaluate/flags';

let t: TestBroker;
let key: ProofKey;

beforeAll(async () => {
  t = await startTestBroker({
    config: { public_url: PUBLIC },
    editData: (data) => {
      const { trust_rules } = (data as { config: { trust_rules: Record<string, { grant: object }> } }).config;
      const service = trust_rules['checkout-service'];
      if (service === undefined) throw new Error('the rule is gone');
      service.grant = { ...service.grant, require_dpop: true };
      return data;
    },
  });
  key = await createProofKey(t.clock);
  await createFlag(t, 'checkout');
});
afterAll(() => t.close());

async function boundToken(job: 'payments' | 'checkout' = 'payments', form = {}): Promise<string> {
  const subject = job === 'payments' ? await t.ci.token() : await t.ci.checkoutToken();
  const answer = await exchangeBound(t.url, subject, {
    proofs: [await key.proof({ method: 'POST', url: TOKEN_URL })],
    form,
  });
  expect(answer.body).toMatchObject({ token_type: 'DPoP' });
  return answer.body.access_token;
}

/** Calls with a bound token; the proof is a fresh one unless another is given. */
async function call(
  token: string,
  method: string,
  path: string,
  options: { body?: unknown; proof?: string; scheme?: string } = {},
): Promise<Reply> {
  const proof = options.proof ?? (await key.proof({ method, url: `${PUBLIC}${path}`, token }));
  return t.call(null, method, path, options.body, {
    authorization: `${options.scheme ?? 'DPoP'} ${token}`,
    dpop: proof,
  });
}

let flags = 0;

/** A proposal that nobody has made yet. */
function change(): unknown {
  flags += 1;
  return proposal([creation(`checkout-${flags}`)], { environment: 'staging' });
}

describe('the token endpoint', () => {
  it('binds the token to the key of the proof', async () => {
    const token = await boundToken();
    expect(decodeJwt(token).cnf).toEqual({ jkt: key.jkt });
    expect((await call(token, 'GET', '/v1/requests')).status).toBe(200);
  });

  it('issues a bearer token without a proof, unless the trust rule demands one', async () => {
    const bearer = await exchangeBound(t.url, await t.ci.token(), { proofs: [] });
    expect(bearer.body).toMatchObject({ token_type: 'Bearer' });
    expect(decodeJwt(bearer.body.access_token)).not.toHaveProperty('cnf');

    const subject = await t.ci.checkoutToken();
    const form = { audience: 'data:production' };
    const refused = await exchangeBound(t.url, subject, { proofs: [], form });
    expect([refused.status, refused.body.error]).toEqual([400, 'invalid_dpop_proof']);
    expect(refused.body.error_description).toMatch(/^the trust rule requires a token bound to a key/);
    // Nothing was used up by it.
    const proofs = [await key.proof({ method: 'POST', url: TOKEN_URL })];
    expect((await exchangeBound(t.url, subject, { proofs, form })).status).toBe(200);
  });

  it.each([
    ['for another address', { htu: `${PUBLIC}/v1/requests` }, {}],
    ['for the address that a proxy calls it by', { htu: 'http://127.0.0.1/oauth/token' }, {}],
    ['for another method', { htm: 'GET' }, {}],
    ['of a minute and more ago', { iat: 1 }, {}],
    ['of another type', {}, { typ: 'JWT' }],
  ])('refuses a proof %s, with one answer, and uses nothing up', async (_, claims, header) => {
    const subject = await t.ci.token();
    const about = { method: 'POST', url: TOKEN_URL };
    const refused = await exchangeBound(t.url, subject, { proofs: [await key.proof(about, claims, header)] });
    expect(refused.status).toBe(400);
    expect(refused.body).toEqual({
      error: 'invalid_dpop_proof',
      error_description: expect.stringMatching(/^the DPoP proof was not accepted \(reference [0-9a-f-]+\)$/),
      reference: expect.any(String),
    });
    expect((await exchangeBound(t.url, subject, { proofs: [await key.proof(about)] })).status).toBe(200);
  });

  it('refuses two proofs, and text that is none', async () => {
    const proofs = [await key.proof({ method: 'POST', url: TOKEN_URL }), 'x'];
    for (const shown of [proofs, ['x'], ['']]) {
      const { status, body } = await exchangeBound(t.url, await t.ci.token(), { proofs: shown });
      expect([status, body.error]).toEqual([400, 'invalid_dpop_proof']);
    }
  });

  it('takes each of its proofs once, also after a restart', async () => {
    const proofs = [await key.proof({ method: 'POST', url: TOKEN_URL })];
    const subjects = await Promise.all(Array.from({ length: 20 }, () => t.ci.token()));
    const answers = await Promise.all(subjects.map((subject) => exchangeBound(t.url, subject, { proofs })));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    for (const { status, body } of answers.filter((answer) => answer.status !== 200)) {
      expect([status, body.error]).toEqual([400, 'invalid_dpop_proof']);
    }
    await t.restart();
    const again = await exchangeBound(t.url, await t.ci.token(), { proofs });
    expect([again.status, again.body.error]).toEqual([400, 'invalid_dpop_proof']);
  });
});

describe('a bound token', () => {
  it('writes once when fifty use one proof at the same moment', async () => {
    const token = await boundToken();
    const proof = await key.proof({ method: 'POST', url: `${PUBLIC}/v1/requests`, token });
    const body = change();
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => call(token, 'POST', '/v1/requests', { body, proof })),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(
      answers.filter(({ status, body }) => status === 401 && body.code === 'token_invalid'),
    ).toHaveLength(49);
  });

  it('does not write again with a proof that was used before a restart', async () => {
    const token = await boundToken();
    const proof = await key.proof({ method: 'POST', url: `${PUBLIC}/v1/requests`, token });
    expect((await call(token, 'POST', '/v1/requests', { body: change(), proof })).status).toBe(201);
    await t.restart();
    const before = await countRows(t);
    const again = await call(token, 'POST', '/v1/requests', { body: change(), proof });
    expect([again.status, again.body.code]).toEqual([401, 'token_invalid']);
    expect(again.headers.get('www-authenticate')).toMatch(/^DPoP error="invalid_dpop_proof", algs="/);
    expect(await countRows(t)).toEqual(before);
  });

  it('cannot be used with the token alone, and says where to read more', async () => {
    const token = await boundToken();
    const stolen = await t.call(token, 'GET', '/v1/requests');
    expect([stolen.status, stolen.body.code]).toEqual([401, 'token_invalid']);
    expect(stolen.headers.get('www-authenticate')).toBe(
      `DPoP error="invalid_token", algs="ES256 ES384 EdDSA Ed25519 PS256 RS256", resource_metadata="${PUBLIC}/.well-known/oauth-protected-resource"`,
    );
    const thief = await createProofKey(t.clock);
    const proof = await thief.proof({ method: 'GET', url: `${PUBLIC}/v1/requests`, token });
    expect((await call(token, 'GET', '/v1/requests', { proof })).status).toBe(401);
  });

  it('counts for the call that was signed, and for no other', async () => {
    const token = await boundToken();
    const reading = await key.proof({ method: 'GET', url: `${PUBLIC}/v1/requests`, token });
    expect((await call(token, 'POST', '/v1/requests', { body: change(), proof: reading })).status).toBe(401);
    const elsewhere = await key.proof({ method: 'GET', url: `${PUBLIC}/v1/freezes`, token });
    expect((await call(token, 'GET', '/v1/requests', { proof: elsewhere })).status).toBe(401);
  });

  it('two proofs in two lines are refused, whichever comes first', async () => {
    const token = await boundToken();
    const url = `${PUBLIC}/v1/requests`;
    const headers = new Headers({ authorization: `DPoP ${token}` });
    for (let i = 0; i < 2; i += 1) headers.append('DPoP', await key.proof({ method: 'GET', url, token }));
    expect((await fetch(`${t.url}/v1/requests`, { headers })).status).toBe(401);
  });

  it('whose proof was used on one broker is refused by the store on another', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-'));
    const archive = await readFile(join(t.folder, 'bundle.tar.gz'));
    const bench = await createBench([]);
    const control = await openControl({ file: join(folder, 'db'), archive, clock: bench.clock });
    const client = await createProofKey(bench.clock);
    const claims = decodeJwt(await boundToken());
    const issuedS = bench.clock() / 1000;
    const times = { iss: BROKER, iat: issuedS, exp: issuedS + 300, cnf: { jkt: client.jkt } };
    const token = await bench.signingKeys.sign({ ...claims, ...times });
    const proof = await client.proof({ method: 'GET', url: `${BROKER}/v1/requests`, token });
    const shown = { ...presented(`DPoP ${token}`), dpop: [proof] };

    // Two authenticators with memories of their own, as two processes have them.
    const replica = createAuthenticator({ ...bench, issuer: BROKER, personIssuers: [], revoked: () => null });
    const brokers = [bench.authenticator, replica];
    const callers = await Promise.all(brokers.map(({ authenticate }) => authenticate(shown)));
    const writes = await Promise.allSettled(
      callers.map((caller) =>
        write(control, { ...caller, http_request_id: null }, (writing) =>
          authorize(writing, { operation: 'token.revoke' }),
        ),
      ),
    );
    expect(writes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(writes.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'token_invalid', cause: { reason: 'proof_not_accepted', note: 'replayed' } },
    });
    await control.store.close();
    await rm(folder, { recursive: true });
  });
});

describe('flags', () => {
  const evaluate = (headers: Record<string, string>) =>
    t.call(null, 'POST', `${OFREP}/checkout`, { context: { targetingKey: 'a' } }, headers);

  it('are read with a bound token and its proof, each proof once', async () => {
    const token = await boundToken('checkout', { audience: 'data:production' });
    const dpop = await key.proof({ method: 'POST', url: `${PUBLIC}${OFREP}/checkout`, token });
    const headers = { authorization: `DPoP ${token}`, dpop };
    expect((await evaluate(headers)).status).toBe(200);
    const again = await evaluate(headers);
    expect(again.status).toBe(401);
    expect(again.headers.get('www-authenticate')).toMatch(/^DPoP error="invalid_dpop_proof"/);
    const next = await key.proof({ method: 'POST', url: `${PUBLIC}${OFREP}/checkout`, token });
    expect((await evaluate({ ...headers, dpop: next })).status).toBe(200);
  });

  it('are not read with a bound token alone, however it is sent, warm or cold', async () => {
    const token = await boundToken('checkout', { audience: 'data:production' });
    const url = `${PUBLIC}${OFREP}/checkout`;
    const attempts: (() => Promise<Record<string, string>> | Record<string, string>)[] = [
      () => ({ authorization: `Bearer ${token}` }),
      () => ({ authorization: `DPoP ${token}` }),
      () => ({ 'x-api-key': token }),
      async () => ({ 'x-api-key': token, dpop: await key.proof({ method: 'POST', url, token }) }),
      async () => ({
        authorization: `Bearer ${token}`,
        dpop: await key.proof({ method: 'POST', url, token }),
      }),
      async () => {
        const other = await key.proof({ method: 'POST', url: `${PUBLIC}${OFREP}`, token });
        return { authorization: `DPoP ${token}`, dpop: other };
      },
      async () => {
        const thief = await createProofKey(t.clock);
        return { authorization: `DPoP ${token}`, dpop: await thief.proof({ method: 'POST', url, token }) };
      },
    ];
    for (const attempt of [...attempts, ...attempts])
      expect((await evaluate(await attempt())).status).toBe(401);
    const good = { authorization: `DPoP ${token}`, dpop: await key.proof({ method: 'POST', url, token }) };
    expect((await evaluate(good)).status).toBe(200);
  });

  it('may be read so from a page of another origin', async () => {
    const preflight = await fetch(`${t.url}${OFREP}/checkout`, { method: 'OPTIONS' });
    expect(preflight.headers.get('access-control-allow-headers')?.split(', ')).toContain('DPoP');
  });

  it('are not read with a bearer token that brings a proof', async () => {
    const plain = await startTestBroker();
    const token = await plain.workloadToken('checkout', { audience: 'data:production' });
    const client = await createProofKey(plain.clock);
    const path = `${OFREP}/none`;
    const dpop = await client.proof({ method: 'POST', url: `${plain.url}${path}`, token });
    const refused = await plain.call(token, 'POST', path, {}, { dpop });
    expect(refused.status).toBe(401);
    expect((await plain.call(token, 'POST', path, {})).status).toBe(404);
    expect((await plain.call(token, 'POST', path, {}, { dpop })).status).toBe(401);
    await plain.close();
  });
});
