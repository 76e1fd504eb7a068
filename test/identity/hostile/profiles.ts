import type { RefusalReason } from '../../../src/identity/refusal.ts';
import { PLACES, type PlaceName } from '../../support/hostile-places.ts';
import { type HostileBench, type KindName, type Members, mint } from '../../support/hostile-tokens.ts';
import { segment } from '../support.ts';
import type { Row } from './row.ts';

/*
 * Tokens that fit no profile quite: the profiles exclude each other (RFC 8725 section 3.12), so that no token can be read
 * as two kinds. All are signed with the right key.
 */

type Case = [
  attack: string,
  variant: string,
  told: RefusalReason | readonly [RefusalReason, string],
  claims: Members,
  header?: Members,
];

function of(kind: KindName, at: PlaceName, cases: readonly Case[]): Row[] {
  return cases.map(([attack, variant, told, claims, header]) => {
    const [reason, note] = typeof told === 'string' ? [told] : told;
    return {
      attack,
      variant,
      at,
      reason,
      ...(note === undefined ? {} : { note }),
      token: ({ kinds }: HostileBench) => mint(kinds[kind], claims, header),
    };
  });
}

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const ALIEN = ['claim_shape', 'issued token'] as const;
const ALIEN_ATTACK = 'an issued token of another shape';
const chain = (length: number): unknown => (length === 0 ? undefined : { sub: 'x', act: chain(length - 1) });

const PEOPLE: Row[] = [
  ...of('id_token', 'control', [
    [
      'a scope that this kind of token does not have',
      'scope',
      ['claim_not_accepted', 'scope'],
      { scope: 'openid' },
    ],
    [
      'an access token as an ID token: client_id',
      'left',
      ['claim_not_accepted', 'client_id'],
      { client_id: 'c' },
    ],
    ['an access token as an ID token: scp', 'left', ['claim_not_accepted', 'scp'], { scp: ['x'] }],
    ['the token of another client', 'by azp', 'authorized_party_not_accepted', { azp: 'evil' }],
    [
      'an actor that this kind of token does not have',
      'act',
      ['claim_not_accepted', 'act'],
      { act: { sub: 'x' } },
    ],
    [
      'what lets an agent act, by itself',
      'may_act',
      ['claim_not_accepted', 'may_act'],
      { may_act: { sub: 'x' } },
    ],
    ['nobody’s token', 'with an empty person', ['person_not_accepted', 'empty'], { employee_id: '' }],
    [
      'somebody who looks like another',
      'unassigned',
      ['person_not_accepted', 'unassigned'],
      { employee_id: 'emp\u0378' },
    ],
    [
      'somebody who looks like another',
      'invisible',
      ['person_not_accepted', 'invisible'],
      { employee_id: 'emp\u200b-1001' },
    ],
    ['groups that are none', 'an object', ['claim_shape', 'groups'], { groups: { approvers: true } }],
    ['a strength that is none', 'a list', ['claim_shape', 'acr'], { acr: ['urn:countersign:mfa'] }],
    ['a name of the token that is none', 'a number', ['claim_shape', 'jti'], { jti: 1 }],
  ]),
  ...of('access_token', 'control', [
    ['an ID token as an access token', 'nonce', ['claim_not_accepted', 'nonce'], { nonce: 'n' }],
    ['an ID token as an access token: hash', 'at_hash', ['claim_not_accepted', 'at_hash'], { at_hash: 'h' }],
    ['an access token of no client', 'left out', ['claim_shape', 'client_id'], { client_id: undefined }],
    ['a name of the token that is none', 'left out', ['claim_shape', 'jti'], { jti: undefined }],
  ]),
  ...of('sponsor', 'sponsor', [
    ['an agent that nobody named', 'without sub', ['actor_not_accepted', 'may_act'], { may_act: {} }],
    [
      'an agent that nobody named',
      'another',
      ['actor_not_accepted', 'may_act'],
      { may_act: { sub: 'another' } },
    ],
    ['a chain of actors that is too long', 'six', ['claim_shape', 'act'], { act: chain(6) }],
    [
      'a chain of actors that is too long',
      'five, and one to come',
      ['claim_shape', 'act'],
      { act: chain(5) },
    ],
  ]),
];

const OWN: Row[] = [
  ...of('issued', 'control', [
    ['another type than its own', 'JWT', ['type_not_accepted', 'jwt'], {}, { typ: 'JWT' }],
    ['no type', 'left out', ['type_not_accepted', 'missing'], {}, { typ: undefined }],
    [ALIEN_ATTACK, 'two audiences', ALIEN, { aud: ['control', 'audit'] }],
    [ALIEN_ATTACK, 'an audience that does not exist', ALIEN, { aud: 'admin' }],
    [ALIEN_ATTACK, 'a scope that is a list', ALIEN, { scope: ['request.propose'] }],
    [ALIEN_ATTACK, 'without a client', ALIEN, { client_id: undefined }],
    [ALIEN_ATTACK, 'bound to what is no key', ALIEN, { cnf: { jkt: 'x' } }],
    [ALIEN_ATTACK, 'bound to a certificate', ALIEN, { cnf: { 'x5t#S256': 'x'.repeat(43) } }],
    [
      'a scope that this kind of token does not have',
      'no scope',
      ['claim_not_accepted', 'scope'],
      { scope: '' },
    ],
    [
      'the flags of all, beside the control plane',
      'namespaces',
      ['claim_not_accepted', 'namespaces'],
      { namespaces: ['*'] },
    ],
    [
      'a person in a workload’s token',
      'as subject',
      ['claim_not_accepted', 'sub'],
      { sub: 'person:idp:dana' },
    ],
    [
      'an actor that this kind of token does not have',
      'act',
      ['claim_not_accepted', 'act'],
      { act: { sub: 'x' } },
    ],
    ['a chain of actors that is too long', 'six', ['claim_shape', 'act'], { act: chain(6) }],
  ]),
  ...of('data', 'flags', [
    [ALIEN_ATTACK, 'an environment that is none', ALIEN, { aud: 'data:' }],
    [ALIEN_ATTACK, 'two environments', ALIEN, { aud: ['data:production', 'data:staging'] }],
    [ALIEN_ATTACK, 'namespaces that are no list', ALIEN, { namespaces: '*' }],
    ['flags of no namespaces', 'left out', ['claim_not_accepted', 'namespaces'], { namespaces: undefined }],
    ['a key that the issuer does not have', 'no name', 'key_not_found', {}, { kid: undefined }],
  ]),
  ...of('delegation', 'sponsor', [
    [
      'a delegation of another shape',
      'of a workload',
      ['claim_shape', 'delegation token'],
      { sub: 'workload:x' },
    ],
    ['a delegation of another shape', 'of no operations', ['claim_shape', 'delegation token'], { scope: '' }],
    ['a delegation of another shape', 'to nobody', ['claim_shape', 'delegation token'], { may_act: {} }],
  ]),
];

const LOGOUT: Row[] = [
  ...of('logout_token', 'logout', [
    ['an ID token as a logout token', 'its nonce', ['claim_not_accepted', 'nonce'], { nonce: 'n' }],
    [
      'an ID token as a logout token: events',
      'none',
      ['claim_not_accepted', 'events missing'],
      { events: undefined },
    ],
    ['an event of another kind', 'another', ['claim_shape', 'events'], { events: { 'urn:other': {} } }],
    ['an event of another kind', 'no object', ['claim_shape', 'events'], { events: { [EVENT]: true } }],
    ['a logout token without a name', 'left out', ['claim_not_accepted', 'jti missing'], { jti: undefined }],
    ['a subject that is none', 'and no session', ['claim_shape', 'sub'], { sub: undefined, sid: undefined }],
    ['a session that is none', 'empty', ['claim_shape', 'sid'], { sid: '' }],
    ['a type of something else', 'any JWT', ['type_not_accepted', 'jwt'], {}, { typ: 'JWT' }],
  ]),
];

/** Shows a token, as its owner does, and then what is made of it. */
function after(use: (token: string) => string): NonNullable<Row['show']> {
  return async (bench, token) => {
    const first = await PLACES.subject.show(bench, token);
    if (first.status !== 200) throw new Error(`the first use was refused: ${await first.text()}`);
    bench.lines.length = 0;
    return PLACES.subject.show(bench, use(token));
  };
}

/** The order of the curve P-256. */
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** The other signature that every ES256 signature has: (r, n - s) verifies wherever (r, s) does. */
function flipped(token: string): string {
  const [header, payload, signature = ''] = token.split('.');
  const hex = Buffer.from(signature, 'base64url').toString('hex');
  const s = (P256_ORDER - BigInt(`0x${hex.slice(64)}`)).toString(16).padStart(64, '0');
  return `${header}.${payload}.${Buffer.from(hex.slice(0, 64) + s, 'hex').toString('base64url')}`;
}

const REPLAYS: Row[] = [
  {
    attack: 'a platform’s token again',
    variant: 'as it was',
    at: 'subject',
    reason: 'replayed',
    note: 'payments-deploy',
    token: ({ kinds }) => mint(kinds.platform),
    show: after((token) => token),
  },
  {
    attack: 'an SVID again',
    variant: 'as it was',
    at: 'subject',
    reason: 'replayed',
    note: 'payments-svid',
    token: ({ kinds }) => mint(kinds.svid),
    show: after((token) => token),
  },
  {
    attack: 'an SVID again',
    variant: 'with the other signature that verifies',
    at: 'subject',
    reason: 'replayed',
    note: 'payments-svid',
    token: ({ kinds }) => mint(kinds.svid),
    show: after(flipped),
  },
];

type Proof = (bench: HostileBench) => string | Promise<string>;

/** A proof for the call that the place makes, with changes. */
function proof({ t, proofKey }: HostileBench, claims: Members = {}, header: Members = {}): Promise<string> {
  return proofKey.proof({ method: 'POST', url: `${t.url}/v1/requests` }, claims, header);
}

/** A proof with another header, which its signature does not cover. */
async function reheaded(bench: HostileBench, changes: Members): Promise<string> {
  const [header = '', ...rest] = (await proof(bench)).split('.');
  const members = JSON.parse(Buffer.from(header, 'base64url').toString());
  return [segment({ ...members, ...changes }), ...rest].join('.');
}

const PROOFS = (
  [
    ['another form', 'form', () => 'a.b.c.d.e'],
    ['another form', 'form', () => `${segment({ alg: 'none', typ: 'dpop+jwt' })}.${segment({})}.`],
    ['another type', 'type', (b) => proof(b, {}, { typ: 'JWT' })],
    ['a shared secret', 'algorithm', (b) => reheaded(b, { alg: 'HS256' })],
    ['the private key', 'key', (b) => reheaded(b, { jwk: b.proofKey.privateJwk })],
    ['a key of somebody else', 'key_mismatch', (b) => reheaded(b, { jwk: b.strangerProofKey.publicJwk })],
    ['a changed type', 'signature', (b) => reheaded(b, { typ: 'application/dpop+jwt' })],
    ['another method', 'htm', (b) => proof(b, { htm: 'GET' })],
    ['another host', 'htu', (b) => proof(b, { htu: 'https://evil.example/v1/requests' })],
    ['the future', 'iat', (b) => proof(b, { iat: b.nowS() + 31 })],
    ['a time long ago', 'iat', (b) => proof(b, { iat: b.nowS() - 61 })],
    ['no name', 'jti', (b) => proof(b, { jti: '' })],
    ['another token', 'ath', (b) => proof(b, { ath: 'x'.repeat(43) })],
  ] satisfies [variant: string, note: string, make: Proof][]
).map(
  ([variant, note, token]): Row => ({
    attack: `a proof with a fault of its ${note}`,
    variant,
    at: 'proof',
    reason: 'proof_not_accepted',
    note,
    token,
  }),
);

/** All of them. */
export const PROFILE_ROWS: readonly Row[] = [...PEOPLE, ...OWN, ...LOGOUT, ...REPLAYS, ...PROOFS];
