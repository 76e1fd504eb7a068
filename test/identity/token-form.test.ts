import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TokenRefused } from '../../src/identity/refusal.ts';
import { MAX_TOKEN_BYTES, parseTokenForm, tokenTypeOf } from '../../src/identity/token-form.ts';
import { hasDuplicateMembers } from '../../src/json-members.ts';
import { segment } from './support.ts';

const HEADER = { alg: 'ES256', kid: 'k1' };
const PAYLOAD = { iss: 'https://issuer.example', sub: 'dana' };

function token(header: unknown = HEADER, payload: unknown = PAYLOAD, signature = segment('sig')): string {
  return `${segment(header)}.${segment(payload)}.${signature}`;
}

function reasonOf(text: string): string {
  try {
    parseTokenForm(text);
    return 'accepted';
  } catch (error) {
    return error instanceof TokenRefused ? error.reason : String(error);
  }
}

describe('the form of a token', () => {
  it('accepts a plain compact JWS, and the thumbprints that platforms add', () => {
    expect(parseTokenForm(token({ ...HEADER, typ: 'JWT', x5t: 'abc' }))).toMatchObject({
      header: { alg: 'ES256', kid: 'k1', typ: 'JWT' },
      unverified: PAYLOAD,
    });
  });

  const plain = token();
  const [h = '', p = '', s = ''] = plain.split('.');
  it.each([
    ['an empty text', '', 'not_three_segments'],
    ['two segments', `${h}.${p}`, 'not_three_segments'],
    ['an empty signature', `${h}.${p}.`, 'not_three_segments'],
    ['an empty payload', `${h}..${s}`, 'not_three_segments'],
    ['five segments, as a JWE has', `${h}.${p}.${s}.${s}.${s}`, 'not_three_segments'],
    ['a space inside a segment', `${h}.${p.slice(0, 4)} ${p.slice(4)}.${s}`, 'not_canonical_base64url'],
    ['a line break inside a segment', `${h}.${p}.${s.slice(0, 2)}\n${s.slice(2)}`, 'not_canonical_base64url'],
    ['padding', `${h}.${p}.${segment('ab')}=`, 'not_canonical_base64url'],
    ['the alphabet of plain base64', `${h}.${p}.+/+/`, 'not_canonical_base64url'],
    ['unused trailing bits', `${h}.${p}.YR`, 'not_canonical_base64url'],
    ['a header that is no JSON', token('{alg'), 'not_json'],
    ['a header that is a list', token('[]'), 'not_json'],
    ['a payload that is a number', token(HEADER, '1'), 'not_json'],
    ['a byte order mark', token('\ufeff{"alg":"ES256"}'), 'not_json'],
    ['the same header member twice', token('{"alg":"ES256","alg":"none"}'), 'duplicate_member'],
    ['the same claim twice, once escaped', token(HEADER, '{"sub":"a","s\\u0075b":"b"}'), 'duplicate_member'],
    ['the same member twice, deep inside', token(HEADER, '{"a":[{"b":1,"c":{},"b":2}]}'), 'duplicate_member'],
    ['no algorithm', token({ kid: 'k1' }), 'algorithm_not_accepted'],
    ['an algorithm that is a list', token({ alg: ['ES256'] }), 'algorithm_not_accepted'],
    ...['jwk', 'jku', 'x5u', 'x5c', 'crit', 'zip', 'enc', 'b64', 'cty', '__proto__'].map(
      (member): [string, string, string] => [
        `the header member ${member}`,
        token(`{"alg":"ES256","${member}":"https://evil.example"}`),
        'header_member_not_accepted',
      ],
    ),
    ['a path as key id', token({ ...HEADER, kid: '../../etc/passwd\0' }), 'key_id_not_accepted'],
    ['SQL as key id', token({ ...HEADER, kid: "' OR 1=1 --" }), 'key_id_not_accepted'],
    ['a key id of 129 characters', token({ ...HEADER, kid: 'k'.repeat(129) }), 'key_id_not_accepted'],
    ['an empty key id', token({ ...HEADER, kid: '' }), 'key_id_not_accepted'],
    ['a key id that is a number', token({ ...HEADER, kid: 1 }), 'key_id_not_accepted'],
    ['a type that is an object', token({ ...HEADER, typ: {} }), 'type_not_accepted'],
    ['one byte too many', token(HEADER, { pad: 'x'.repeat(MAX_TOKEN_BYTES) }), 'oversize'],
  ])('refuses %s', (_name, text, reason) => {
    expect(reasonOf(text)).toBe(reason);
  });

  it('refuses invalid UTF-8', () => {
    const bytes = Buffer.concat([Buffer.from('{"sub":"'), Buffer.from([0xff]), Buffer.from('"}')]);
    expect(reasonOf(`${h}.${bytes.toString('base64url')}.${s}`)).toBe('not_json');
  });

  it('gives every accepted token exactly one spelling', () => {
    const alphabet = 'ABab01-_+/= \n.\t'.split('');
    fc.assert(
      fc.property(
        fc.nat(plain.length),
        fc.constantFrom(...alphabet),
        fc.boolean(),
        (at, character, replace) => {
          const variant = plain.slice(0, at) + character + plain.slice(replace ? at + 1 : at);
          if (variant === plain || reasonOf(variant) !== 'accepted') return;
          const decode = (text: string) =>
            text.split('.').map((part) => Buffer.from(part, 'base64url').toString('hex'));
          expect(decode(variant)).not.toEqual(decode(plain));
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('duplicate members', () => {
  it('are found exactly where an object has a name twice, whatever the values contain', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), (text) => {
        expect(hasDuplicateMembers(text)).toBe(false);
        expect(hasDuplicateMembers(`{"a":${text},"b":${text}}`)).toBe(false);
        expect(hasDuplicateMembers(`{"a":${text},"b":0,"a":${text}}`)).toBe(true);
      }),
    );
  });
});

describe('the type of a token', () => {
  it.each([undefined, 'JWT', 'jwt', 'application/jwt'])('reads %s as a JWT', (typ) => {
    expect(tokenTypeOf(typ)).toBe('jwt');
  });
  it.each(['at+jwt', 'AT+JWT', 'application/at+jwt'])('reads %s as an access token', (typ) => {
    expect(tokenTypeOf(typ)).toBe('access_token');
  });
  it.each(['logout+jwt', 'dpop+jwt', 'JOSE', '', 'secevent+jwt', 'at+jwt '])('refuses "%s"', (typ) => {
    expect(() => tokenTypeOf(typ)).toThrow(TokenRefused);
  });
});
