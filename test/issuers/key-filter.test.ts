import { checkPrimeSync, createECDH, generateKeyPairSync, generatePrimeSync, randomBytes } from 'node:crypto';
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
/** A positive integer as a JWK has it. RFC 7518 section 2 */
function base64urlOf(value: bigint): string {
  const hex = value.toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex').toString('base64url');
}
const modulus = BigInt(`0x${Buffer.from(String(rsa.n), 'base64url').toString('hex')}`);
const randomPrime = (bits: number): bigint => generatePrimeSync(bits, { bigint: true });

function neighbours(): bigint {
  const first = randomPrime(1024);
  let second = first + 2n;
  while (!checkPrimeSync(second)) second += 2n;
  return first * second;
}

function powerModulo(base: bigint, exponent: bigint, divisor: bigint): bigint {
  let result = 1n;
  let square = base % divisor;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % divisor;
    square = (square * square) % divisor;
  }
  return result;
}

/** A prime of 1024 bits as the library of CVE-2017-15361 makes it: k * M + (65537^a mod M), with M of the first 126 primes. */
function rocaPrime(): bigint {
  let product = 1n;
  for (let number = 2, count = 0; count < 126; number += 1) {
    if (!checkPrimeSync(BigInt(number))) continue;
    product *= BigInt(number);
    count += 1;
  }
  for (;;) {
    const power = BigInt(`0x${randomBytes(32).toString('hex')}`);
    const factor = 2n ** 1023n / product + BigInt(`0x${randomBytes(6).toString('hex')}`);
    const candidate = factor * product + powerModulo(65_537n, power, product);
    if (checkPrimeSync(candidate)) return candidate;
  }
}

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
    ['is RSA with the exponent 2', { ...rsa, e: exponentOf(2) }, 'weak'],
    ['is RSA with an even exponent', { ...rsa, e: base64urlOf(65_538n) }, 'weak'],
    ['is RSA with an exponent of 33 bits', { ...rsa, e: base64urlOf(2n ** 32n + 1n) }, 'weak'],
    ['is RSA with an exponent of 2,000 bits', { ...rsa, e: base64urlOf(2n ** 2000n + 1n) }, 'weak'],
    ['is RSA with an even modulus', { ...rsa, n: base64urlOf(modulus - 1n) }, 'weak'],
    ['is RSA with a power of two for a modulus', { ...rsa, n: base64urlOf(2n ** 2047n) }, 'weak'],
    ['is RSA with the factor 3', { ...rsa, n: base64urlOf(3n * 2n ** 2046n + 3n) }, 'weak'],
    ['is RSA with the factor 751', { ...rsa, n: base64urlOf(751n * randomPrime(2040)) }, 'weak'],
    ['is RSA with one prime twice', { ...rsa, n: base64urlOf(randomPrime(1024) ** 2n) }, 'weak'],
    ['is RSA with two neighbouring primes', { ...rsa, n: base64urlOf(neighbours()) }, 'weak'],
    ['is RSA of the faulty library (ROCA)', { ...rsa, n: base64urlOf(rocaPrime() * rocaPrime()) }, 'weak'],
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

describe('a key that protects nothing', () => {
  it.each([
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000080',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  ])('is the Ed25519 point of small order %s', (point) => {
    const x = Buffer.from(point, 'hex').toString('base64url');
    const { taken, skipped } = take([{ kty: 'OKP', crv: 'Ed25519', x, kid: 'small' }, good]);
    expect(taken).toEqual(['good']);
    expect(skipped).toEqual([{ kid: 'small', reason: 'weak' }]);
  });

  it('is not mistaken for a sound one, nor a sound one for it', () => {
    for (let n = 0; n < 5; n += 1) {
      const sound = createRsaKey(`sound-${n}`).publicJwk;
      expect(take([sound]).taken).toEqual([`sound-${n}`]);
    }
    const point = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
    expect(take([{ ...point, kid: 'ed' }]).taken).toEqual(['ed']);
  });

  it('is one whose private half is in the same set', () => {
    const { d: _, kid: __, ...half } = secret;
    const { taken, skipped } = take([{ ...half, kid: 'public' }, secret, good]);
    expect(taken).toEqual(['good']);
    expect(skipped.map(({ reason }) => reason)).toEqual(['private_key', 'private_key']);
  });
});

/* RFC 7517 section 4.5: different keys of a set should have distinct ids. */
describe('an id that different keys have', () => {
  const elliptic = { ...createEs256Key('same').publicJwk };
  const weak = createRsaKey('same', 1024).publicJwk;

  it.each<[string, object, object]>([
    ['of different types', elliptic, { ...rsa, kid: 'same' }],
    ['with and without a use', elliptic, { ...createEs256Key('same').publicJwk, use: undefined }],
    [
      'on different curves',
      elliptic,
      {
        ...generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' }),
        kid: 'same',
      },
    ],
    [
      'for different algorithms',
      { ...rsa, kid: 'same', alg: 'RS256' },
      { ...createRsaKey('same').publicJwk, alg: 'PS256' },
    ],
    ['of which one is weak', elliptic, weak],
  ])('names none of them: %s', (_name, one, other) => {
    for (const keys of [
      [one, other],
      [other, one],
    ]) {
      expect(take([...keys, good]).taken).toEqual(['good']);
    }
  });

  it('names the one that verifies, where the other is for another purpose', () => {
    expect(take([elliptic, { ...rsa, kid: 'same', use: 'enc' }]).taken).toEqual(['same']);
    expect(take([elliptic, { ...rsa, kid: 'same', alg: 'RSA-OAEP' }]).taken).toEqual(['same']);
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
