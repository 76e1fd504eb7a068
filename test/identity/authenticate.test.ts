import { createHmac } from 'node:crypto';
import { importJWK, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sealedKeyUse } from '../../src/keys/signing-keys.ts';
import {
  type Bench,
  BROKER,
  createBench,
  createEs256Key,
  createRsaKey,
  forge,
  keySetAnswer,
  masterKey,
  presented,
  presentedForFlags,
  START_MS,
  START_S,
  segment,
  startIssuer,
  startServer,
  type TestIssuer,
} from './support.ts';

let issuer: TestIssuer;
let bench: Bench;

beforeAll(async () => {
  issuer = await startIssuer({
    token_types: ['id_token', 'access_token'],
    claims: { person: 'employee_id', pass: ['department'] },
    levels: { acr: { 'urn:mfa': 2 }, amr: { otp: 2, hwk: 3 } },
  });
});
afterAll(() => issuer.server.close());
beforeEach(async () => {
  issuer.server.answer(keySetAnswer(issuer.key));
  bench = await createBench([issuer.config]);
});

const PERSON = { employee_id: 'emp-1001' };
const ACCESS = { ...PERSON, client_id: 'cli', jti: 'j1' };

async function authenticate(token: string) {
  return (await bench.authenticator.authenticate(presented(`Bearer ${token}`))).principal;
}

async function refusal(token: string): Promise<unknown> {
  await expect(authenticate(token)).rejects.toMatchObject({
    code: 'token_invalid',
    message: 'The token was not accepted. Sign in again, or exchange a new workload token.',
    fields: { headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' } },
  });
  return bench.lastReason();
}

describe('a person token', () => {
  it('becomes a principal with groups, passed claims and the strength of the sign-in', async () => {
    const token = issuer.token({
      ...PERSON,
      groups: ['payments-developers'],
      department: 'payments',
      email: 'dana@example.com',
      acr: 'urn:mfa',
      amr: ['pwd', 'hwk'],
      auth_time: START_S - 60,
    });
    expect(await authenticate(token)).toEqual({
      id: 'person:idp:dana',
      kind: 'person',
      person: 'emp-1001',
      issuer: issuer.config.issuer,
      groups: ['payments-developers'],
      claims: { department: 'payments' },
      auth: { level: 3, acr: 'urn:mfa', amr: ['pwd', 'hwk'], auth_time_ms: START_MS - 60_000 },
      token: {
        audience: 'control',
        scope: [],
        sender_constrained: false,
        trust_rule: null,
        issued_ms: START_MS,
      },
    });
  });

  it('is accepted as an access token when the configuration says so', async () => {
    expect(await authenticate(issuer.token(ACCESS, { typ: 'at+jwt' }))).toMatchObject({ person: 'emp-1001' });
  });

  it('names the same person for two accounts, and never by e-mail', async () => {
    const one = await authenticate(issuer.token(PERSON));
    const two = await authenticate(issuer.token({ ...PERSON, sub: 'dana-alt', email: 'other@example.com' }));
    expect(two.person).toBe(one.person);
    expect(two.id).not.toBe(one.id);
  });

  it('names one person whichever Unicode form the provider sends', async () => {
    const composed = await authenticate(issuer.token({ employee_id: 'Zo\u00eb' }));
    const decomposed = await authenticate(issuer.token({ employee_id: 'Zoe\u0308' }));
    expect(decomposed.person).toBe(composed.person);
  });

  it('names one person whichever case the provider sends', async () => {
    const one = await authenticate(issuer.token(PERSON));
    for (const employee_id of ['EMP-1001', 'Emp-1001', 'eMP-1001']) {
      const other = await authenticate(issuer.token({ employee_id, sub: 'dana-alt' }));
      expect(other.person).toBe(one.person);
    }
  });

  it('has level 0 for an acr that only exists on the prototype of the map', async () => {
    const principal = await authenticate(issuer.token({ ...PERSON, acr: '__proto__', amr: ['constructor'] }));
    expect(principal.auth.level).toBe(0);
  });

  it('cannot be changed by one of the requests that share it', async () => {
    const principal = await authenticate(issuer.token({ ...PERSON, groups: [] }));
    expect(() => principal.groups.push('payments-approvers')).toThrow(TypeError);
  });

  it.each([
    ['is accepted at the end of the leeway', { exp: START_S - 29 }, undefined],
    ['has expired', { exp: START_S - 30 }, 'expired'],
    ['has no exp', { exp: undefined }, 'claim_not_accepted'],
    ['has an exp that is a string', { exp: String(START_S + 300) }, 'claim_not_accepted'],
    ['lives for ever', { exp: 1e300 }, 'claim_shape'],
    ['is accepted when nbf is within the leeway', { nbf: START_S + 30 }, undefined],
    ['is not valid yet', { nbf: START_S + 31 }, 'claim_not_accepted'],
    ['was issued in the future', { iat: START_S + 31 }, 'claim_not_accepted'],
    ['was issued days ago', { iat: START_S - 2 * 86_400 }, 'expired'],
    ['has no iat', { iat: undefined }, 'claim_not_accepted'],
    ['has another audience', { aud: 'some-other-client' }, 'audience_not_accepted'],
    [
      'has an extra audience',
      { aud: ['countersign-cli', 'evil'], azp: 'countersign-cli' },
      'audience_not_accepted',
    ],
    ['has no audience', { aud: [] }, 'audience_not_accepted'],
    ['has an audience of the wrong type', { aud: { 0: 'countersign-cli' } }, 'claim_shape'],
    [
      'has two audiences and no authorized party',
      { aud: ['countersign-cli', 'countersign-cli'] },
      'authorized_party_not_accepted',
    ],
    ['was issued to another party', { azp: 'evil' }, 'authorized_party_not_accepted'],
    ['has an authorized party of the wrong type', { azp: ['countersign-cli'] }, 'claim_shape'],
    ['has no subject', { sub: undefined }, 'claim_not_accepted'],
    ['has an empty subject', { sub: '' }, 'claim_shape'],
    ['has a subject that is a number', { sub: 1 }, 'claim_shape'],
    ['has a subject with a line break', { sub: 'dana\nadmin' }, 'claim_shape'],
    ['has groups that are an object', { groups: { approvers: true } }, 'claim_shape'],
    ['has a group that is a number', { groups: [1] }, 'claim_shape'],
    ['has an acr that is a list', { acr: ['urn:mfa'] }, 'claim_shape'],
    ['has an amr that is a string', { amr: 'hwk' }, 'claim_shape'],
    ['has an auth_time that is a string', { auth_time: '1' }, 'claim_shape'],
    ['has a negative auth_time', { auth_time: -1 }, 'claim_shape'],
    ['passes an object as a claim', { department: { a: 1 } }, 'claim_shape'],
    ['names an empty person', { employee_id: '' }, 'person_not_accepted'],
    ['names a person with space around', { employee_id: 'emp-1001 ' }, 'person_not_accepted'],
    ['names a person in full-width letters', { employee_id: 'emp-100\uff11' }, undefined],
    ['names a person with an invisible character', { employee_id: 'emp-\u200b1001' }, 'person_not_accepted'],
    ['names a person by a number', { employee_id: 1001 }, 'claim_shape'],
    [
      'is a logout token',
      { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } },
      'logout_token',
    ],
    ['is bound to a key', { cnf: { jkt: 'abc' } }, 'sender_constrained'],
    ['is an access token without its type', { client_id: 'cli' }, 'claim_not_accepted'],
    ['is an access token with a scope', { scope: 'openid' }, 'claim_not_accepted'],
  ])('that %s is judged so', async (_name, changes, reason) => {
    const token = issuer.token({ ...PERSON, ...changes });
    if (reason === undefined) expect(await authenticate(token)).toMatchObject({ kind: 'person' });
    else expect(await refusal(token)).toBe(reason);
  });

  it.each([
    ['a nonce', { nonce: 'n' }],
    ['no client id', { client_id: undefined }],
    ['no jti', { jti: undefined }],
  ])('that is an access token with %s is refused', async (_name, changes) => {
    expect(await refusal(issuer.token({ ...ACCESS, ...changes }, { typ: 'at+jwt' }))).toMatch(/^claim_/);
  });

  it.each(['logout+jwt', 'dpop+jwt'])('of type %s is refused', async (typ) => {
    expect(await refusal(issuer.token(PERSON, { typ }))).toBe('type_not_accepted');
  });

  it('of a type that is not configured is refused', async () => {
    bench = await createBench([{ ...issuer.config, token_types: ['id_token'] }]);
    expect(await refusal(issuer.token(ACCESS, { typ: 'at+jwt' }))).toBe('type_not_accepted');
  });

  it('of another client is refused where authorized parties are configured', async () => {
    bench = await createBench([{ ...issuer.config, authorized_parties: ['cli'] }]);
    expect(await authenticate(issuer.token(ACCESS, { typ: 'at+jwt' }))).toMatchObject({ kind: 'person' });
    expect(await refusal(issuer.token({ ...ACCESS, client_id: 'evil' }, { typ: 'at+jwt' }))).toBe(
      'authorized_party_not_accepted',
    );
    expect(await refusal(issuer.token({ ...ACCESS, azp: 'evil' }, { typ: 'at+jwt' }))).toBe(
      'authorized_party_not_accepted',
    );
  });
});

describe('a forged token', () => {
  it.each(['none', 'None', 'NONE', 'nOnE', 'HS256', 'HS512', 'RS256', 'ES384', 'dir', '', 'ES256 '])(
    'with the algorithm "%s" is refused before any key is fetched',
    async (alg) => {
      issuer.server.answer((_request, response) => response.destroy());
      const config = { ...issuer.config, algorithms: ['ES256' as const] };
      bench = await createBench([config]);
      const before = issuer.server.requests();
      expect(await refusal(issuer.token(PERSON, { alg }))).toBe('algorithm_not_accepted');
      expect(issuer.server.requests()).toBe(before);
    },
  );

  it('signed with the public key as an HMAC secret is refused', async () => {
    const input = issuer.token(PERSON, { alg: 'HS256' }).split('.').slice(0, 2).join('.');
    for (const secret of ['', JSON.stringify(issuer.key.publicJwk), String(issuer.key.publicJwk.x)]) {
      const mac = createHmac('sha256', secret).update(input).digest('base64url');
      expect(await refusal(`${input}.${mac}`)).toBe('algorithm_not_accepted');
    }
  });

  it('signed with another key under the same key id is refused', async () => {
    const [header, payload] = issuer.token(PERSON).split('.');
    const other = forge(createEs256Key('issuer-key'), '', '').split('.')[2];
    expect(await refusal(`${header}.${payload}.${other}`)).toBe('signature_invalid');
  });

  it('with a changed payload is refused', async () => {
    const [header, , signature] = issuer.token(PERSON).split('.');
    const payload = segment({ iss: issuer.config.issuer, sub: 'morgan', aud: 'countersign-cli' });
    expect(await refusal(`${header}.${payload}.${signature}`)).toBe('signature_invalid');
  });

  it.each(['jku', 'x5u'])('that names its key by %s causes no request there', async (member) => {
    const canary = await startServer(keySetAnswer(createEs256Key('evil')));
    expect(await refusal(issuer.token(PERSON, { [member]: `${canary.origin}/jwks` }))).toBe(
      'header_member_not_accepted',
    );
    expect(canary.requests()).toBe(0);
    await canary.close();
  });

  it.each(['https://evil.example', '', undefined, 1, ['x'], '__proto__', 'constructor'])(
    'of the issuer %j is refused without a fetch',
    async (iss) => {
      const before = issuer.server.requests();
      expect(await refusal(issuer.token({ ...PERSON, iss }))).toBe('issuer_not_accepted');
      expect(issuer.server.requests()).toBe(before);
    },
  );

  it.each(['/', '#', '?x=1'])('of an issuer that differs by "%s" is refused', async (suffix) => {
    expect(await refusal(issuer.token({ ...PERSON, iss: issuer.config.issuer + suffix }))).toBe(
      'issuer_not_accepted',
    );
  });

  it.each([
    ['for encryption', { ...createEs256Key('k'), use: 'enc' }],
    ['with only 1024 bits', createRsaKey('k', 1024)],
  ])('signed with a published key %s is refused', async (_name, made) => {
    const { use, ...key } = { use: undefined, ...made };
    if (use !== undefined) key.publicJwk = { ...key.publicJwk, use };
    issuer.server.answer(keySetAnswer(issuer.key, key));
    const token = forge(
      key,
      { alg: key.alg, kid: 'k' },
      {
        iss: issuer.config.issuer,
        sub: 'dana',
        aud: 'countersign-cli',
        iat: START_S,
        exp: START_S + 300,
        ...PERSON,
      },
    );
    expect(['key_not_found', 'signature_invalid']).toContain(await refusal(token));
  });

  it('of one issuer with the keys of another is refused, and the same sub is another principal', async () => {
    const second = await startIssuer({ key: 'second' });
    bench = await createBench([issuer.config, second.config]);
    expect(await refusal(second.token({ iss: issuer.config.issuer }))).toBe('signature_invalid');
    expect((await authenticate(second.token())).id).toBe('person:second:dana');
    expect((await authenticate(issuer.token(PERSON))).id).toBe('person:idp:dana');
    await second.server.close();
  });
});

describe('an Authorization header', () => {
  it.each([undefined, ''])('that is %j asks for a token', async (header) => {
    await expect(bench.authenticator.authenticate(presented(header))).rejects.toMatchObject({
      code: 'unauthenticated',
      fields: { headers: { 'WWW-Authenticate': 'Bearer' } },
    });
  });

  it.each([
    'Basic ZGFuYTpwdw==',
    'Bearer',
    'Bearer ',
    'DPoP',
    'DPoP a.b.c, Bearer a.b.c',
    'Bearer a b',
    'Bearer a, Bearer b',
    'xBearer a.b.c',
  ])('of the form "%s" is refused', async (header) => {
    await expect(bench.authenticator.authenticate(presented(header))).rejects.toMatchObject({
      code: 'token_invalid',
    });
    expect(bench.lastReason()).toBe('scheme_not_accepted');
  });

  it('of a megabyte is refused', async () => {
    expect(await refusal('x'.repeat(1_000_000))).toBe('oversize');
  });

  it('never gets into the log', async () => {
    const token = issuer.token({ ...PERSON, aud: 'evil-audience' });
    await refusal(token);
    const written = JSON.stringify(bench.lines);
    for (const part of [...token.split('.'), 'evil-audience', 'emp-1001'])
      expect(written).not.toContain(part);
  });
});

describe('verified tokens that are remembered', () => {
  it('need no key any more', async () => {
    const token = issuer.token(PERSON);
    const first = await authenticate(token);
    issuer.server.answer((_request, response) => response.destroy());
    bench.advance(60_000);
    expect(await authenticate(token)).toBe(first);
  });

  it('are refused as soon as they expire', async () => {
    const token = issuer.token({ ...PERSON, exp: START_S + 100 });
    await authenticate(token);
    bench.advance(100_000 + 29_999);
    expect(await authenticate(token)).toMatchObject({ kind: 'person' });
    bench.advance(1);
    expect(await refusal(token)).toBe('expired');
  });

  it('are forgotten on demand and when the issuer publishes other keys', async () => {
    const token = issuer.token(PERSON);
    await authenticate(token);
    issuer.server.answer(keySetAnswer(createEs256Key('next')));
    bench.advance(31_000);
    // A token with an unknown key id makes the keys be read again.
    await refusal(issuer.token({ ...PERSON, sub: 'x' }, { kid: 'unknown' }));
    expect(await refusal(token)).toBe('key_not_found');
  });

  it('are verified again after invalidate', async () => {
    const token = issuer.token(PERSON);
    const first = await authenticate(token);
    bench.authenticator.invalidate();
    const second = await authenticate(token);
    expect(second).not.toBe(first);
    expect(second).toEqual(first);
  });
});

describe("a token of the broker's own", () => {
  const CLAIMS = {
    iss: BROKER,
    aud: 'data:production',
    sub: 'workload:checkout-service:repo:acme/checkout',
    client_id: 'checkout-service',
    iat: START_S,
    exp: START_S + 600,
    jti: 'j1',
    scope: '',
    policy_hash: 'sha256:00',
    trust_rule: 'checkout-service',
    subject_issuer: 'https://ci.example',
    claims: { repository_id: '456790' },
    person: null,
    namespaces: ['payments'],
  };
  /** What makes the token one of another plane. */
  const elsewhere = { aud: 'control', scope: 'flag.read', namespaces: undefined };
  const sign = (changes: Record<string, unknown> = {}) => bench.signingKeys.sign({ ...CLAIMS, ...changes });

  it('reads the flags of its one environment, as a bearer token or as an API key', async () => {
    const token = await sign();
    const caller = await bench.authenticator.readers.authenticate(
      presentedForFlags({ authorization: `Bearer ${token}` }),
    );
    expect(caller).toMatchObject({
      environment: 'production',
      namespaces: ['payments'],
      principal: { id: CLAIMS.sub, kind: 'workload', issuer: 'https://ci.example', token: { scope: [] } },
    });
    const byKey = await bench.authenticator.readers.authenticate(presentedForFlags({ apiKey: token }));
    expect({ ...byKey, mayGoOn: null }).toEqual({ ...caller, mayGoOn: null });
  });

  it('is refused when it is sent twice', async () => {
    const token = await sign();
    const both = presentedForFlags({ authorization: `Bearer ${token}`, apiKey: token });
    await expect(async () => bench.authenticator.readers.authenticate(both)).rejects.toMatchObject({
      code: 'token_invalid',
    });
  });

  it('for the control plane, or a person token, reads no flags', async () => {
    for (const token of [await sign(elsewhere), issuer.token(PERSON)]) {
      await expect(
        bench.authenticator.readers.authenticate(presentedForFlags({ authorization: `Bearer ${token}` })),
      ).rejects.toMatchObject({ code: 'token_invalid' });
      expect(bench.lastReason()).toBe('audience_not_accepted');
    }
  });

  it.each([
    ['control', 'request.propose request.read', ['request.propose', 'request.read']],
    ['audit', 'decision.read', ['decision.read']],
    ['data:staging', '', []],
  ])('with the audience %s becomes a principal for policy to judge', async (aud, scope, want) => {
    const namespaces = aud.startsWith('data:') ? [] : undefined;
    expect((await authenticate(await sign({ aud, scope, namespaces }))).token).toEqual({
      audience: aud,
      scope: want,
      sender_constrained: false,
      trust_rule: 'checkout-service',
      issued_ms: START_MS,
    });
  });

  it.each([
    ['a list of audiences', { ...elsewhere, aud: ['control', 'audit'] }],
    ['no namespaces, to read flags,', { namespaces: undefined }],
    ['namespaces that are no list', { namespaces: '*' }],
    ['namespaces for the control plane', { ...elsewhere, namespaces: ['*'] }],
    ['an audience that does not exist', { aud: 'admin' }],
    ['an empty environment', { aud: 'data:' }],
    ['no scope for the control plane', { ...elsewhere, scope: '' }],
    ['a person as its subject', { sub: 'person:idp:dana' }],
    ['no trust rule', { trust_rule: undefined }],
    ['no client', { client_id: undefined }],
    ['no jti', { jti: undefined }],
    ['a key that it is bound to', { cnf: { jkt: 'x' } }],
    ['claims that are a list', { claims: [] }],
    ['an exp in the past', { exp: START_S - 31 }],
  ])('with %s is refused', async (_name, changes) => {
    await refusal(await sign(changes));
  });

  it('of another type than at+jwt is refused, though the right key signed it', async () => {
    const [row] = bench.keyStore.rows;
    if (!row) throw new Error('there is no key');
    const token = await new SignJWT(CLAIMS)
      .setProtectedHeader({ alg: 'EdDSA', typ: 'JWT', kid: row.kid })
      .sign(
        await importJWK(JSON.parse(await masterKey.unseal(row.private_jwk, sealedKeyUse(row.kid))), 'EdDSA'),
      );
    expect(await refusal(token)).toBe('type_not_accepted');
  });

  it('is not remembered beyond a change of keys that is noticed', async () => {
    const token = await sign();
    await authenticate(token);
    const [row] = bench.keyStore.rows;
    // Another broker replaces the key and lets it end at once.
    bench.keyStore.replace(await bench.signingKeys.prepare(), START_MS);
    Object.assign(row ?? {}, { retires_ms: START_MS });
    bench.signingKeys.refresh();
    await bench.signingKeys.jwks();
    expect(await refusal(token)).toBe('key_not_found');
  });

  it('works until the overlap ends when keys are rotated', async () => {
    const token = await sign({ exp: START_S + 900 });
    bench.keyStore.replace(await bench.signingKeys.prepare(), START_MS);
    bench.signingKeys.refresh();
    expect(await authenticate(token)).toMatchObject({ kind: 'workload' });
    expect(await authenticate(await sign({ jti: 'j2' }))).toMatchObject({ kind: 'workload' });
    bench.advance(930_000);
    await refusal(token);
  });
});
