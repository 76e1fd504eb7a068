import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PROOF_ALGORITHMS } from '../../src/identity/credential.ts';
import { type ShownProof, verifyProof } from '../../src/identity/dpop.ts';
import { createProofMemory } from '../../src/identity/proof-memory.ts';
import { createProofKey, hashOf, type ProofKey } from '../support/dpop.ts';
import { type Bench, BROKER, createBench, presented, START_MS, START_S, segment } from './support.ts';

const TARGET = '/v1/requests';
const ABOUT = { method: 'POST', url: `${BROKER}${TARGET}` };
const TOKEN = 'a.b.c';
const now = () => START_MS;

let key: ProofKey;
let other: ProofKey;

beforeAll(async () => {
  key = await createProofKey(now);
  other = await createProofKey(now);
});

function shown(...dpop: string[]): ShownProof {
  return { dpop, method: 'POST', target: TARGET };
}

/** Verifies at a resource, for a token that is bound to the key. */
function verify(proof: ShownProof, nowMs = START_MS) {
  const bound = { token: TOKEN, jkt: key.jkt };
  return verifyProof(proof, { publicUrl: BROKER, clock: () => nowMs, bound });
}

/** What the log would say of the refusal. */
async function faultOf(proof: ShownProof, nowMs = START_MS): Promise<unknown> {
  const error: unknown = await verify(proof, nowMs).then(
    () => undefined,
    (refusal: unknown) => refusal,
  );
  if (error !== undefined) expect(error).toMatchObject({ reason: 'proof_not_accepted' });
  return (error as { note?: string } | undefined)?.note;
}

/** A proof with any header and any payload, really signed. */
function forged(header: unknown, payload: unknown, privateKey: KeyObject = nodeKey): string {
  const input = `${segment(header)}.${segment(payload)}`;
  return `${input}.${sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}
const { privateKey: nodeKey, publicKey: nodePublicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const nodeJwk = nodePublicKey.export({ format: 'jwk' });
const HEADER = { alg: 'ES256', typ: 'dpop+jwt', jwk: nodeJwk };
const CLAIMS = { jti: 'one', htm: 'POST', htu: ABOUT.url, iat: START_S, ath: hashOf(TOKEN) };

describe('a proof', () => {
  it.each(PROOF_ALGORITHMS)('signed with %s is accepted, and says which key and how long', async (alg) => {
    const client = await createProofKey(now, alg);
    const proof = await client.proof({ ...ABOUT, token: TOKEN }, { jti: 'j1' });
    const bound = { token: TOKEN, jkt: client.jkt };
    expect(await verifyProof(shown(proof), { publicUrl: BROKER, clock: now, bound })).toEqual({
      jkt: client.jkt,
      jti: 'j1',
      expires_ms: START_MS + 90_000,
    });
  });

  it('for the token endpoint needs no hash of a token, and binds to whichever key signed it', async () => {
    const proof = await other.proof({ method: 'POST', url: `${BROKER}/oauth/token` });
    const request = { dpop: [proof], method: 'POST', target: '/oauth/token' };
    const accepted = await verifyProof(request, { publicUrl: BROKER, clock: now, bound: null });
    expect(accepted.jkt).toBe(other.jkt);
  });

  it.each([
    ['with query and fragment', `${BROKER}${TARGET}?state=open#top`],
    ['with the default port', `${BROKER}:443${TARGET}`],
    ['with a host in capitals', `HTTPS://Countersign.EXAMPLE${TARGET}`],
    ['with dot segments', `${BROKER}/v1/../v1/./requests`],
    ['with letters that are escaped', `${BROKER}/v1/%72equests`],
  ])('that names the address %s is accepted', async (_, htu) => {
    expect(await faultOf(shown(await key.proof({ ...ABOUT, token: TOKEN }, { htu })))).toBeUndefined();
  });

  it('fits a request whatever its query is, and escapes in whichever case', async () => {
    const proof = await key.proof({ ...ABOUT, token: TOKEN }, { htu: `${BROKER}/v1/flags/a%2fb` });
    expect(await faultOf({ dpop: [proof], method: 'POST', target: '/v1/flags/a%2Fb?x=1' })).toBeUndefined();
  });

  it.each([
    ['another path', `${BROKER}/v1/freezes`],
    ['a path below', `${BROKER}${TARGET}/1`],
    ['a slash more', `${BROKER}${TARGET}/`],
    ['another host', `https://evil.example${TARGET}`],
    ['another port', `${BROKER}:8443${TARGET}`],
    ['another scheme', `http://countersign.example${TARGET}`],
    ['a user', `https://a@countersign.example${TARGET}`],
    ['only a path', TARGET],
    ['nothing', ''],
    ['something else than a text', 1],
    ['a list', [ABOUT.url]],
    ['no address', undefined],
    ['a separator that is escaped', `${BROKER}/v1%2Frequests`],
  ])('that names %s is refused', async (_, htu) => {
    expect(await faultOf(shown(await key.proof({ ...ABOUT, token: TOKEN }, { htu })))).toBe('htu');
  });

  it('fits no request in absolute form, whichever host that names', async () => {
    for (const target of [`https://evil.example${TARGET}`, ABOUT.url, `//evil.example${TARGET}`]) {
      const proof = await key.proof({ ...ABOUT, token: TOKEN });
      expect(await faultOf({ dpop: [proof], method: 'POST', target })).toBe('htu');
    }
  });

  it.each([
    ['another method', { htm: 'GET' }, 'htm'],
    ['the method in small letters', { htm: 'post' }, 'htm'],
    ['no method', { htm: undefined }, 'htm'],
    ['methods', { htm: ['POST'] }, 'htm'],
    ['no jti', { jti: undefined }, 'jti'],
    ['an empty jti', { jti: '' }, 'jti'],
    ['a jti that is a number', { jti: 7 }, 'jti'],
    ['a jti of 129 characters', { jti: 'j'.repeat(129) }, 'jti'],
    ['a jti with a NUL', { jti: 'a\u0000' }, 'jti'],
    ['no ath', { ath: undefined }, 'ath'],
    ['the ath of another token', { ath: hashOf('x.y.z') }, 'ath'],
    ['an ath in another spelling', { ath: `${hashOf(TOKEN)}=` }, 'ath'],
    ['no iat', { iat: undefined }, 'iat'],
    ['an iat that is text', { iat: String(START_S) }, 'iat'],
    ['an iat in milliseconds', { iat: START_MS }, 'iat'],
    ['an iat without end', { iat: 1e308 }, 'iat'],
    ['an iat a minute and a second ago', { iat: START_S - 61 }, 'iat'],
    ['an iat beyond the leeway', { iat: START_S + 31 }, 'iat'],
  ])('with %s is refused', async (_, claims, fault) => {
    expect(await faultOf(shown(await key.proof({ ...ABOUT, token: TOKEN }, claims)))).toBe(fault);
  });

  it('is accepted from the leeway before its iat to a minute after it, to the millisecond', async () => {
    const proof = shown(await key.proof({ ...ABOUT, token: TOKEN }));
    expect(await faultOf(proof, START_MS - 30_001)).toBe('iat');
    expect(await faultOf(proof, START_MS - 30_000)).toBeUndefined();
    expect(await faultOf(proof, START_MS + 60_000)).toBeUndefined();
    expect(await faultOf(proof, START_MS + 60_001)).toBe('iat');
  });

  it.each([
    ['another type', { typ: 'JWT' }, 'type'],
    ['the type of an access token', { typ: 'at+jwt' }, 'type'],
    ['no type', { typ: undefined }, 'type'],
    ['no algorithm', { alg: undefined }, 'algorithm'],
    ['the algorithm none', { alg: 'none' }, 'algorithm'],
    ['a symmetric algorithm', { alg: 'HS256' }, 'algorithm'],
    ['an algorithm in small letters', { alg: 'es256' }, 'algorithm'],
    ['an algorithm that is none of the list', { alg: 'ES512' }, 'algorithm'],
    ['an algorithm from a prototype', { alg: 'constructor' }, 'algorithm'],
    ['algorithms', { alg: ['ES256'] }, 'algorithm'],
    ['the algorithm of another kind of key', { alg: 'EdDSA' }, 'key'],
    ['no key', { jwk: undefined }, 'key'],
    ['a key that is null', { jwk: null }, 'key'],
    ['a key that is text', { jwk: 'key' }, 'key'],
    ['a private key', { jwk: nodeKey.export({ format: 'jwk' }) }, 'key'],
    ['a private member that is empty', { jwk: { ...nodeJwk, d: '' } }, 'key'],
    ['a symmetric key', { jwk: { kty: 'oct', k: 'AAAA' } }, 'key'],
    ['a curve that does not fit', { jwk: { ...nodeJwk, crv: 'P-384' } }, 'key'],
    ['a point that is not on the curve', { jwk: { ...nodeJwk, x: nodeJwk.y } }, 'key'],
    ['a coordinate with padding', { jwk: { ...nodeJwk, x: `${nodeJwk.x}=` } }, 'key'],
    ['a key id', { kid: 'k' }, 'header_member'],
    ['an address of keys', { jku: 'http://127.0.0.1:1/' }, 'header_member'],
    ['a certificate', { x5c: ['AAAA'] }, 'header_member'],
    ['critical members', { crit: ['b64'], b64: false }, 'header_member'],
  ])('with %s in its header is refused', async (_, header, fault) => {
    const bound = { token: TOKEN, jkt: await thumbprintOf(header) };
    const proof = forged({ ...HEADER, ...header }, CLAIMS);
    const attempt = verifyProof(shown(proof), { publicUrl: BROKER, clock: now, bound });
    await expect(attempt).rejects.toMatchObject({ reason: 'proof_not_accepted', note: fault });
  });

  it('by a key of 1024 bits, or with a huge exponent, is refused', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const jwk = publicKey.export({ format: 'jwk' });
    const weak = forged({ ...HEADER, alg: 'RS256', jwk }, CLAIMS, privateKey);
    const slow = forged({ ...HEADER, alg: 'RS256', jwk: { ...jwk, e: jwk.n } }, CLAIMS, privateKey);
    for (const [proof, note] of [
      [weak, 'signature'],
      [slow, 'key'],
    ] as const) {
      const attempt = verifyProof(shown(proof), { publicUrl: BROKER, clock: now, bound: null });
      await expect(attempt).rejects.toMatchObject({ reason: 'proof_not_accepted', note });
    }
  });

  it('by another key than the token is bound to is refused', async () => {
    expect(await faultOf(shown(await other.proof({ ...ABOUT, token: TOKEN })))).toBe('key_mismatch');
  });

  it('whose key was put in place of the one that signed is refused', async () => {
    const proof = await other.proof({ ...ABOUT, token: TOKEN }, {}, { jwk: key.publicJwk });
    expect(await faultOf(shown(proof))).toBe('signature');
  });

  it('whose claims were changed is refused', async () => {
    const [header, , signature] = (await key.proof({ ...ABOUT, token: TOKEN })).split('.');
    expect(await faultOf(shown(`${header}.${segment(CLAIMS)}.${signature}`))).toBe('signature');
  });

  it('has one byte form only', async () => {
    const proof = await key.proof({ ...ABOUT, token: TOKEN });
    const variants = [
      `${proof}=`,
      `${proof}.`,
      ` ${proof}`,
      proof.replace('.', '.\n'),
      proof.slice(0, -4),
      proof.split('.').slice(0, 2).join('.'),
      forged('{"alg":"ES256","alg":"ES256","typ":"dpop+jwt"}', CLAIMS),
      forged(HEADER, '{"htm":"POST","htm":"GET"}'),
      forged(HEADER, '[]'),
      forged(HEADER, { ...CLAIMS, more: 'x'.repeat(4096) }),
      '',
    ];
    for (const variant of variants) expect(['form', 'signature']).toContain(await faultOf(shown(variant)));
  });

  it('comes once: none, two, or two in one line are refused', async () => {
    const [one, two] = [
      await key.proof({ ...ABOUT, token: TOKEN }),
      await key.proof({ ...ABOUT, token: TOKEN }),
    ];
    expect(await faultOf(shown())).toBe('missing');
    expect(await faultOf(shown(one, two))).toBe('several');
    expect(await faultOf(shown(one, one))).toBe('several');
    expect(await faultOf(shown(`${one}, ${two}`))).toBe('several');
  });
});

async function thumbprintOf({ jwk }: Record<string, unknown>): Promise<string> {
  const used = jwk === undefined || typeof jwk !== 'object' || jwk === null ? nodeJwk : jwk;
  return calculateJwkThumbprint(used as typeof nodeJwk, 'sha256').catch(() => 'none');
}

describe('the memory of proofs', () => {
  const proof = (jti: string) => ({ jkt: 'k', jti });

  it('takes each proof once', () => {
    const memory = createProofMemory({ capacity: 10 });
    expect([memory.claim(proof('a')), memory.claim(proof('a')), memory.claim(proof('b'))]).toEqual([
      true,
      false,
      true,
    ]);
  });

  it('tells keys apart, and never mixes up where one ends', () => {
    const memory = createProofMemory({ capacity: 10 });
    expect(memory.claim({ jkt: 'k', jti: 'x' })).toBe(true);
    expect(memory.claim({ jkt: 'l', jti: 'x' })).toBe(true);
  });

  it('holds no more than it may: under a flood the oldest goes first', () => {
    const memory = createProofMemory({ capacity: 3 });
    for (const jti of ['a', 'b', 'c', 'd']) expect(memory.claim(proof(jti))).toBe(true);
    expect(memory.claim(proof('b'))).toBe(false);
    expect(memory.claim(proof('a'))).toBe(true);
  });
});

describe('a token that is bound to a key', () => {
  let bench: Bench;
  let bound: string;
  let bearer: string;

  const claims = {
    iss: BROKER,
    aud: 'control',
    sub: 'workload:deploy:repo:acme/payments',
    client_id: 'deploy',
    iat: START_S,
    exp: START_S + 300,
    jti: 'token',
    scope: 'request.read',
    policy_hash: 'sha256:aa',
    trust_rule: 'deploy',
    subject_issuer: 'https://ci.example',
    claims: {},
    person: null,
  };

  beforeEach(async () => {
    bench = await createBench([]);
    bound = await bench.signingKeys.sign({ ...claims, cnf: { jkt: key.jkt } });
    bearer = await bench.signingKeys.sign(claims);
  });

  function call(authorization: string, ...dpop: string[]) {
    return bench.authenticator.authenticate({ ...presented(authorization), ...shown(...dpop) });
  }

  async function refusal(authorization: string, ...dpop: string[]) {
    const error = await call(authorization, ...dpop).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'token_invalid',
      message: 'The token was not accepted. Sign in again, or exchange a new workload token.',
    });
    const { fields } = bench.lines.at(-1) ?? {};
    const { headers } = (error as { fields: { headers: Record<string, string> } }).fields;
    return { reason: fields?.reason, note: fields?.note, challenge: headers['WWW-Authenticate'] };
  }

  const ALGS = 'algs="ES256 ES384 EdDSA Ed25519 PS256 RS256"';

  it('counts with a proof of that key, which is handed on for writes to claim', async () => {
    const proof = await key.proof({ ...ABOUT, token: bound }, { jti: 'p1' });
    const { principal, credential } = await call(`DPoP ${bound}`, proof);
    expect(principal.token.sender_constrained).toBe(true);
    expect(credential.proof).toEqual({ jkt: key.jkt, jti: 'p1', expires_ms: START_MS + 90_000 });
  });

  it('takes the scheme in any case, and each proof once although the token is remembered', async () => {
    const proof = await key.proof({ ...ABOUT, token: bound });
    expect((await call(`dpop ${bound}`, proof)).credential.proof).not.toBeNull();
    const again = await refusal(`DPoP ${bound}`, proof);
    expect(again).toMatchObject({ reason: 'proof_not_accepted', note: 'replayed' });
    await call(`DPoP ${bound}`, await key.proof({ ...ABOUT, token: bound }));
  });

  it('is taken once when fifty use one proof at the same moment', async () => {
    const proof = await key.proof({ ...ABOUT, token: bound });
    const attempts = await Promise.allSettled(Array.from({ length: 50 }, () => call(`DPoP ${bound}`, proof)));
    expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('leaves what is remembered of it as it was: the next caller has no proof of this one', async () => {
    await call(`DPoP ${bound}`, await key.proof({ ...ABOUT, token: bound }, { jti: 'first' }));
    const { credential } = await call(
      `DPoP ${bound}`,
      await key.proof({ ...ABOUT, token: bound }, { jti: 'next' }),
    );
    expect(credential.proof?.jti).toBe('next');
  });

  it('is refused as a bearer token, with and without a proof', async () => {
    const proof = await key.proof({ ...ABOUT, token: bound });
    for (const answer of [await refusal(`Bearer ${bound}`), await refusal(`Bearer ${bound}`, proof)]) {
      expect(answer).toMatchObject({
        reason: 'downgraded',
        challenge: `DPoP error="invalid_token", ${ALGS}`,
      });
    }
  });

  it('is refused without its proof, and the challenge says what is wanted', async () => {
    expect(await refusal(`DPoP ${bound}`)).toEqual({
      reason: 'proof_not_accepted',
      note: 'missing',
      challenge: `DPoP error="invalid_dpop_proof", ${ALGS}`,
    });
  });

  it('does not count with the proof for another token of the same key', async () => {
    const proof = await key.proof({ ...ABOUT, token: bearer });
    expect(await refusal(`DPoP ${bound}`, proof)).toMatchObject({ note: 'ath' });
  });

  it('in disguise is refused: what is bound to nothing takes no proof', async () => {
    const proof = await key.proof({ ...ABOUT, token: bearer });
    expect(await refusal(`DPoP ${bearer}`, proof)).toMatchObject({
      reason: 'proof_unexpected',
      note: 'scheme',
    });
    expect(await refusal(`DPoP ${bearer}`)).toMatchObject({ reason: 'proof_unexpected', note: 'scheme' });
    expect(await refusal(`Bearer ${bearer}`, proof)).toMatchObject({
      reason: 'proof_unexpected',
      note: 'header',
    });
    expect(await refusal(`Bearer ${bearer}`, '')).toMatchObject({
      reason: 'proof_unexpected',
      note: 'header',
    });
  });

  it.each([
    ['no thumbprint', {}],
    ['a thumbprint that is none', { jkt: 'x' }],
    ['another way of binding', { 'x5t#S256': 'A'.repeat(43) }],
    ['two ways of binding', { jkt: 'A'.repeat(43), 'x5t#S256': 'A'.repeat(43) }],
    ['null', null],
  ])('with %s in cnf is refused', async (_, cnf) => {
    const odd = await bench.signingKeys.sign({ ...claims, cnf });
    expect(await refusal(`DPoP ${odd}`, await key.proof({ ...ABOUT, token: odd }))).toMatchObject({
      reason: 'claim_shape',
    });
  });

  it('that has expired is refused whatever its proof says', async () => {
    bench.advance(330_000);
    const proof = await key.proof({ ...ABOUT, token: bound }, { iat: START_S + 330 });
    expect(await refusal(`DPoP ${bound}`, proof)).toMatchObject({ reason: 'expired' });
  });
});
