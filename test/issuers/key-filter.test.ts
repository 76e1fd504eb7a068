import { createECDH, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type KeyUse, type SkipReason, usableKeys } from '../../src/issuers/key-filter.ts';
import { createEs256Key, createRsaKey } from '../identity/support.ts';

const good = createEs256Key('good').publicJwk;
const rsa = createRsaKey('rsa').publicJwk;
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const secret = { ...privateKey.export({ format: 'jwk' }), kid: 'secret' };
const edwards = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });

function take(keys: unknown[], use: KeyUse = 'sig') {
  const { keys: taken, skipped } = usableKeys({ keys }, use);
  return { taken: taken.keys.map(({ kid }) => kid), skipped };
}

/** RSA with a modulus of 2048 bits that everybody can forge for. */
const exponentOf = (e: number): string => Buffer.from([e]).toString('base64url');
const bitcoin = createECDH('secp256k1');
bitcoin.generateKeys();

describe('a key that an issuer publishes', () => {
  it.each<[string, object]>([
    ['ES256', good],
    ['RS256 without alg', rsa],
    ['Ed25519', { ...edwards, kid: 'ed' }],
    ['no use', { ...good, use: undefined }],
    ['key_ops for verifying', { ...good, key_ops: ['verify'] }],
    ['no kid', { ...good, kid: undefined }],
  ])('is used with %s', (_name, key) => {
    expect(take([key])).toEqual({ taken: [(key as { kid?: string }).kid], skipped: [] });
  });

  it.each<[string, object, SkipReason]>([
    ['is private', secret, 'private_key'],
    ['has a private member only in part', { ...rsa, p: 'AQAB' }, 'private_key'],
    ['is symmetric', { kty: 'oct', k: 'c2VjcmV0', kid: 'hmac', alg: 'HS256' }, 'symmetric_key'],
    ['is an EC key with a k', { ...good, k: 'c2VjcmV0' }, 'private_key'],
    ['is for encryption', { ...good, use: 'enc' }, 'other_use'],
    ['is for X.509', { ...good, use: 'x509-svid' }, 'other_use'],
    ['is of a SPIFFE bundle', { ...good, use: 'jwt-svid' }, 'other_use'],
    ['may only sign', { ...good, key_ops: ['sign'] }, 'other_use'],
    ['has key_ops that are no list', { ...good, key_ops: 'verify' }, 'other_use'],
    ['is for an HMAC', { ...rsa, alg: 'HS256' }, 'other_algorithm'],
    ['is for key wrapping', { ...rsa, alg: 'RSA-OAEP' }, 'other_algorithm'],
    ['has the alg none', { ...rsa, alg: 'none' }, 'other_algorithm'],
    ['is for key agreement', { kty: 'OKP', crv: 'X25519', x: edwards.x, kid: 'x' }, 'other_algorithm'],
    [
      'is on a curve of others',
      {
        kty: 'EC',
        crv: 'secp256k1',
        x: bitcoin.getPublicKey().subarray(1, 33).toString('base64url'),
        y: bitcoin.getPublicKey().subarray(33).toString('base64url'),
      },
      'other_algorithm',
    ],
    ['is RSA of 1024 bits', createRsaKey('weak', 1024).publicJwk, 'weak'],
    ['is RSA with the exponent 1', { ...rsa, e: exponentOf(1) }, 'weak'],
    ['is RSA with the exponent 3', { ...rsa, e: exponentOf(3) }, 'weak'],
    ['has a point that is on no curve', { ...good, y: good.x }, 'malformed'],
    ['has no modulus', { ...rsa, n: undefined }, 'malformed'],
    ['has a kid that is a number', { ...good, kid: 7 }, 'malformed'],
    ['has no type', { kid: 'x' }, 'malformed'],
  ])('is skipped when it %s, and the others are used', (_name, key, reason) => {
    const { taken, skipped } = take([key, { ...good, kid: 'other' }]);
    expect(taken).toEqual(['other']);
    expect(skipped).toEqual([
      { kid: expect.toSatisfy((kid) => kid === null || typeof kid === 'string'), reason },
    ]);
  });

  it('is skipped with every other one of its name, type and use, because nobody knows which is meant', () => {
    const twin = createEs256Key('good').publicJwk;
    const { taken, skipped } = take([good, twin, rsa]);
    expect(taken).toEqual(['rsa']);
    expect(skipped).toEqual([
      { kid: 'good', reason: 'ambiguous' },
      { kid: 'good', reason: 'ambiguous' },
    ]);
  });

  it('is looked at once, however many have its name: a long list keeps nobody else waiting', () => {
    let looks = 0;
    const counted = {
      get n() {
        looks += 1;
        return 0;
      },
    };
    const namesakes = Array.from({ length: 100 }, () => good);
    const { taken, skipped } = take([...namesakes, { ...good, n: counted }]);
    expect([taken, skipped.length]).toEqual([[], 101]);
    expect(looks).toBeLessThanOrEqual(2);
  });

  it('is used once when it is there twice', () => {
    expect(take([good, good, { ...good, use: undefined }])).toMatchObject({ taken: ['good'] });
  });
});

describe('the bundle of a trust domain', () => {
  it('gives its keys for JWT-SVIDs, and no others', () => {
    const bundle = [
      { ...good, use: 'x509-svid' },
      { ...rsa, use: 'jwt-svid' },
      { ...good, use: undefined },
    ];
    const { taken, skipped } = take(bundle, 'jwt-svid');
    expect(taken).toEqual(['rsa']);
    expect(skipped.map(({ reason }) => reason)).toEqual(['other_use', 'other_use']);
    // jose skips keys for any other use than sig, so the member has to go.
    expect(usableKeys({ keys: bundle }, 'jwt-svid').keys.keys[0]).not.toHaveProperty('use');
  });
});

describe('what is no key set', () => {
  it.each<[string, unknown]>([
    ['null', null],
    ['a list', [good]],
    ['no keys', {}],
    ['an empty list', { keys: [] }],
    ['strings', { keys: ['k'] }],
    ['an object of keys', { keys: { good } }],
  ])('%s is refused', (_name, document) => {
    expect(() => usableKeys(document, 'sig')).toThrow('not a JSON Web Key Set');
  });
});
