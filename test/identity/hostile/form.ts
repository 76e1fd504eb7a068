import { createHmac, createPublicKey, sign } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { type HostileBench, type Kind, type Members, mint } from '../../support/hostile-tokens.ts';
import { createEs256Key, forge, segment, type TestKey } from '../support.ts';
import { everywhere, type Row, type Variant } from './row.ts';

/*
 * Hostile forms, headers, keys and signatures: what is refused before anything that the token claims is believed.
 */

const attacker = createEs256Key('attacker');

function partsOf(token: string): [header: string, payload: string, signature: string] {
  const [header = '', payload = '', signature = ''] = token.split('.');
  return [header, payload, signature];
}

/** A variant that changes the text of a token that is valid otherwise. */
function rewrite(variant: string, change: (h: string, p: string, s: string) => string): Variant {
  return [variant, (kind) => change(...partsOf(mint(kind)))];
}

/** A variant with a header or a payload that is written by hand, signed with the right key. */
function written(
  variant: string,
  text: { header?: (header: Members) => string; payload?: (claims: Members) => string },
): Variant {
  return [
    variant,
    (kind) =>
      forge(
        kind.key,
        text.header?.(kind.header) ?? kind.header,
        text.payload?.(kind.claims()) ?? kind.claims(),
      ),
  ];
}

/** A variant with a changed header, signed with the right key. */
function header(variant: string, changes: Members): Variant {
  return [variant, (kind) => mint(kind, {}, changes)];
}

/** JSON with one member more in front, whose name may come again. */
function before(member: string): (members: Members) => string {
  return (members) => `{${member},${JSON.stringify(members).slice(1)}`;
}

/** The last character with its lowest bit set, which belongs to no byte of a signature. */
function withUnusedBit(signature: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return signature.slice(0, -1) + alphabet[alphabet.indexOf(signature.at(-1) ?? '') + 1];
}

/** The members by which a header brings a key of the attacker's or says where one is, signed with that key. */
function byAttacker(variant: string, members: (bench: HostileBench) => Members): Variant {
  return [
    variant,
    (kind, bench) =>
      mint(kind, {}, { alg: 'ES256', kid: attacker.kid, typ: kind.header.typ, ...members(bench) }, attacker),
  ];
}

/** Signed with a shared secret that everybody knows. */
function mac(variant: string, alg: string, secret: (key: TestKey) => string): Variant {
  return [
    variant,
    (kind) => {
      const input = `${segment({ ...kind.header, alg })}.${segment(kind.claims())}`;
      const digest = createHmac(alg.toLowerCase().replace('hs', 'sha'), secret(kind.key));
      return `${input}.${digest.update(input).digest('base64url')}`;
    },
  ];
}

function compressed(kind: Kind): string {
  const input = `${segment({ ...kind.header, zip: 'DEF' })}.${deflateRawSync(JSON.stringify(kind.claims())).toString('base64url')}`;
  const digest = kind.key.privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const signature = sign(digest, Buffer.from(input), {
    key: kind.key.privateKey,
    dsaEncoding: 'ieee-p1363',
  });
  return `${input}.${signature.toString('base64url')}`;
}

const MEMBERS: readonly [member: string, value: unknown][] = [
  ['x5c', ['MIIB']],
  ['crit', ['exp']],
  ['zip', 'DEF'],
  ['enc', 'A256GCM'],
  ['b64', false],
];

const FORMS: Row[] = [
  everywhere('text that is no token', { reason: 'not_three_segments' }, [
    ['a word', () => 'hello'],
    rewrite('two segments', (h, p) => `${h}.${p}`),
    rewrite('four segments', (h, p, s) => `${h}.${p}.${s}.${s}`),
    rewrite('an empty payload', (h, _p, s) => `${h}..${s}`),
  ]),
  everywhere('encryption in the place of a signature', { reason: 'not_three_segments', note: 'encrypted' }, [
    rewrite('five segments', (h, p, s) => `${h}.${p}.${s}.${s}.${s}`),
  ]),
  everywhere('no signature', { reason: 'not_three_segments', note: 'unsigned' }, [
    rewrite('cut off', (h, p) => `${h}.${p}.`),
    ['of the algorithm none', (kind) => `${segment({ alg: 'none' })}.${segment(kind.claims())}.`],
  ]),
  everywhere('more than fits', { reason: 'oversize' }, [
    ['a claim of 16 KiB', (kind) => mint(kind, { pad: 'x'.repeat(16_384) })],
    ['one byte too many', () => 'x'.repeat(16_385)],
  ]),
  everywhere('another spelling of the signature', { reason: 'not_canonical_base64url', note: 'signature' }, [
    rewrite('padding', (h, p, s) => `${h}.${p}.${s}==`),
    rewrite('unused bits', (h, p, s) => `${h}.${p}.${withUnusedBit(s)}`),
    rewrite('plain base64', (h, p, s) => `${h}.${p}.+${s.slice(1)}`),
  ]),
  everywhere('another spelling of the payload', { reason: 'not_canonical_base64url', note: 'payload' }, [
    rewrite('padding', (h, p, s) => `${h}.${p}=.${s}`),
    rewrite('plain base64', (h, p, s) => `${h}./${p.slice(1)}.${s}`),
  ]),
  everywhere('another spelling of the header', { reason: 'not_canonical_base64url', note: 'header' }, [
    rewrite('padding', (h, p, s) => `${h}=.${p}.${s}`),
  ]),
  everywhere('a header that is no JSON object', { reason: 'not_json', note: 'header' }, [
    written('text', { header: () => 'alg' }),
    written('a list', { header: (members) => JSON.stringify([members]) }),
    written('a byte order mark', { header: (members) => `\ufeff${JSON.stringify(members)}` }),
  ]),
  everywhere('a payload that is no JSON object', { reason: 'not_json', note: 'payload' }, [
    written('a number', { payload: () => '1' }),
    written('null', { payload: () => 'null' }),
    written('a list', { payload: (claims) => JSON.stringify([claims]) }),
    written('cut off', { payload: (claims) => JSON.stringify(claims).slice(0, -1) }),
  ]),
  everywhere('a header member twice', { reason: 'duplicate_member', note: 'header' }, [
    written('the algorithm', { header: before('"alg":"none"') }),
    written('the key id, once escaped', { header: before('"k\\u0069d":"x"') }),
  ]),
  everywhere('a claim twice', { reason: 'duplicate_member', note: 'payload' }, [
    written('the subject', { payload: before('"sub":"root"') }),
    written('the issuer, once escaped', { payload: before('"\\u0069ss":"x"') }),
    written('deep inside', { payload: before('"deep":[{"a":1,"b":{},"a":2}]') }),
  ]),
].flat();

const HEADERS: Row[] = [
  everywhere('a key of the attacker’s', { reason: 'header_member_not_accepted', note: 'jwk' }, [
    byAttacker('as jwk', () => ({ jwk: attacker.publicJwk })),
    byAttacker('under the name of the right one', ({ people }) => ({
      kid: people.key.kid,
      jwk: { ...attacker.publicJwk, kid: people.key.kid },
    })),
  ]),
  everywhere('the address of a key set', { reason: 'header_member_not_accepted', note: 'jku' }, [
    byAttacker('of the attacker', ({ canary }) => ({ jku: `${canary.origin}/jwks` })),
  ]),
  everywhere('the address of a certificate', { reason: 'header_member_not_accepted', note: 'x5u' }, [
    byAttacker('of the attacker', ({ canary }) => ({ x5u: `${canary.origin}/cert` })),
  ]),
  ...MEMBERS.map(([member, value]) =>
    everywhere(`the header member ${member}`, { reason: 'header_member_not_accepted', note: member }, [
      header('beside the right ones', { [member]: value }),
      ...(member === 'zip' ? [['a payload that is compressed', compressed] satisfies Variant] : []),
    ]),
  ),
  everywhere('a header member that nobody knows', { reason: 'header_member_not_accepted', note: 'other' }, [
    header('cty', { cty: 'JWT' }),
    written('__proto__', { header: before('"__proto__":{"alg":"none"}') }),
    header('another spelling of jwk', { JWK: attacker.publicJwk }),
  ]),
].flat();

const ALGORITHMS: Row[] = [
  everywhere(
    'the algorithm none',
    { reason: 'algorithm_not_accepted', note: 'none' },
    ['none', 'None', 'NONE', 'nOnE'].map((alg) => header(alg, { alg })),
  ),
  everywhere('a public key as a shared secret', { reason: 'algorithm_not_accepted', note: 'symmetric' }, [
    mac('its PEM', 'HS256', ({ privateKey }) =>
      String(createPublicKey(privateKey).export({ type: 'spki', format: 'pem' })),
    ),
    mac('its JWK', 'HS512', ({ publicJwk }) => JSON.stringify(publicJwk)),
    mac('an empty one', 'HS384', () => ''),
    header('lower case', { alg: 'hs256' }),
  ]),
  everywhere(
    'an algorithm that the issuer does not use',
    { reason: 'algorithm_not_accepted', note: 'not_allowed' },
    [
      ...['ES256K', 'es256', 'RS1', 'dir', 'ECDH-ES', '', 'ES256 '].map((alg) => header(`"${alg}"`, { alg })),
      header('nothing', { alg: undefined }),
      header('a list', { alg: ['ES256'] }),
    ],
  ),
].flat();

const KEYS: Row[] = [
  everywhere('a key id that goes somewhere', { reason: 'key_id_not_accepted' }, [
    header('a path', { kid: '../../../../dev/null\0' }),
    header('SQL', { kid: "x' UNION SELECT 'secret" }),
    header('a command', { kid: '$(id)' }),
    header('129 characters', { kid: 'k'.repeat(129) }),
    header('nothing', { kid: '' }),
    header('an object', { kid: { $ne: null } }),
  ]),
  everywhere('a key that the issuer does not have', { reason: 'key_not_found' }, [
    header('an unknown name', { kid: 'unknown' }),
    header('a name of every object', { kid: '__proto__' }),
    header('a name of every function', { kid: 'constructor' }),
    header('a path that is well-formed', { kid: '../../dev/null' }),
  ]),
  everywhere('a type of something else', { reason: 'type_not_accepted', note: 'other' }, [
    header('a security event', { typ: 'secevent+jwt' }),
    header('an object', { typ: {} }),
    header('nothing', { typ: '' }),
    header('another spelling', { typ: 'at+jwt ' }),
  ]),
  everywhere('the type of a DPoP proof', { reason: 'type_not_accepted', note: 'dpop+jwt' }, [
    header('as it is', { typ: 'dpop+jwt' }),
    header('as a media type', { typ: 'application/DPoP+JWT' }),
  ]),
  everywhere('a signature of somebody else', { reason: 'signature_invalid' }, [
    ['by another key of that name', (kind, bench) => mint(kind, {}, {}, bench.impostorOf(kind))],
    rewrite('of zeros', (h, p, s) => `${h}.${p}.${'A'.repeat(s.length)}`),
    rewrite('cut short', (h, p, s) => `${h}.${p}.${s.slice(0, 40)}`),
    [
      'of another token',
      (kind) => {
        const [h, p] = partsOf(mint(kind, { sub: 'another' }));
        return `${h}.${p}.${partsOf(mint(kind))[2]}`;
      },
    ],
    [
      'of another header',
      (kind) => {
        const [, p, s] = partsOf(mint(kind));
        return `${segment({ ...kind.header, x5t: 'x' })}.${p}.${s}`;
      },
    ],
  ]),
].flat();

/** All of them. */
export const FORM_ROWS: readonly Row[] = [...FORMS, ...HEADERS, ...ALGORITHMS, ...KEYS];
