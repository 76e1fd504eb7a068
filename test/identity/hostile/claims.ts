import type { RefusalReason } from '../../../src/identity/refusal.ts';
import type { PlaceName } from '../../support/hostile-places.ts';
import { type HostileBench, type KindName, type Members, mint } from '../../support/hostile-tokens.ts';
import { everywhere, everywhereBut, type Refusal, type Row, type Variant } from './row.ts';

/*
 * Hostile claims, signed with the right key: a token is believed by nobody whom it is not for, at no other time, and only
 * when it is what it says.
 */

/** Claims to change, by the time of the bench and its servers. */
type Claims = Members | ((bench: HostileBench) => Members);

function changed(claims: Claims, bench: HostileBench): Members {
  return typeof claims === 'function' ? claims(bench) : claims;
}

function claims(variant: string, changes: Claims): Variant {
  return [variant, (kind, bench) => mint(kind, changed(changes, bench))];
}

/** Rows of one kind of token at one place. */
function of(
  kind: KindName,
  at: PlaceName,
  attack: string,
  refusal: Refusal,
  variants: readonly [variant: string, changes: Claims, header?: Members][],
): Row[] {
  return variants.map(([variant, changes, header]) => ({
    attack,
    variant,
    at,
    ...refusal,
    token: (bench) => mint(bench.kinds[kind], changed(changes, bench), header),
  }));
}

const refused = (reason: RefusalReason, note?: string): Refusal => ({
  reason,
  ...(note === undefined ? {} : { note }),
});

const ISSUERS: Row[] = [
  everywhere('an issuer that is none here', refused('issuer_not_accepted'), [
    claims('the attacker’s own', ({ canary }) => ({ iss: canary.origin, jwks_uri: `${canary.origin}/jwks` })),
    claims('with a slash more', ({ people }) => ({ iss: `${people.config.issuer}/` })),
    claims('in another case', ({ people }) => ({ iss: people.config.issuer.toUpperCase() })),
    claims('in a list', ({ people }) => ({ iss: [people.config.issuer] })),
    claims('nobody', { iss: undefined }),
    claims('a name of every object', { iss: '__proto__' }),
    claims('a trust domain', { iss: 'spiffe://acme.example' }),
  ]),
  // Each issuer has its own keys: that another trusted one has signed is not enough.
  ...(['control', 'sponsor', 'introspect_caller', 'logout'] as const).map((at) =>
    everywhere(
      'a signature of somebody else',
      refused('signature_invalid'),
      [['by another trusted issuer', (kind, { others }) => mint(kind, {}, {}, others.key)]],
      [at],
    ),
  ),
  of('platform', 'subject', 'a key that the issuer does not have', refused('key_not_found'), [
    ['a SPIFFE ID, signed by a CI platform', { sub: 'spiffe://acme.example/ns/payments/sa/deploy' }],
    ['an algorithm that its keys are not for', {}, { alg: 'ES256' }],
  ]),
  of('svid', 'subject', 'an issuer that is none here', refused('issuer_not_accepted'), [
    ['a trust domain that nobody trusts', { sub: 'spiffe://evil.example/ns/payments/sa/deploy' }],
    ['a SPIFFE ID without a path', { sub: 'spiffe://acme.example' }],
    ['a SPIFFE ID in another case', { sub: 'SPIFFE://acme.example/ns/payments/sa/deploy' }],
    ['a SPIFFE ID with dots', { sub: 'spiffe://acme.example/ns/../ns/payments/sa/deploy' }],
  ]),
].flat();

const TIMES: Row[] = [
  everywhere('a token that has expired', refused('expired', 'exp'), [
    claims('a second beyond the leeway', ({ nowS }) => ({ exp: nowS() - 31 })),
    claims('at the end of the leeway', ({ nowS }) => ({ exp: nowS() - 30 })),
    claims('in 1970', { exp: 0 }),
  ]),
  everywhere(
    'a token that never ends',
    refused('claim_shape', 'exp'),
    [claims('a time beyond all years', { exp: 1e300 })],
    everywhereBut('logout'),
  ),
  everywhere('a token that lives longer than any may', refused('claim_not_accepted', 'exp too late'), [
    claims('30 days', ({ nowS }) => ({ exp: nowS() + 30 * 86_400 })),
    claims('a second more than a day', ({ nowS }) => ({ exp: nowS() + 86_401 })),
    claims('issued long ago', ({ nowS }) => ({ iat: nowS() - 60, exp: nowS() + 86_400 })),
  ]),
  everywhere('an end that is no time', refused('claim_not_accepted', 'exp invalid'), [
    claims('text', ({ nowS }) => ({ exp: String(nowS() + 300) })),
    claims('null', { exp: null }),
  ]),
  everywhere('no end', refused('claim_not_accepted', 'exp missing'), [
    claims('left out', { exp: undefined }),
  ]),
  everywhere('a token of the future', refused('claim_not_accepted', 'iat'), [
    claims('a second beyond the leeway', ({ nowS }) => ({ iat: nowS() + 31 })),
    claims('an hour from now', ({ nowS }) => ({ iat: nowS() + 3600, exp: nowS() + 7200 })),
  ]),
  everywhere('no time of issue', refused('claim_not_accepted', 'iat missing'), [
    claims('left out', { iat: undefined }),
  ]),
  everywhere('a time of issue that is none', refused('claim_not_accepted', 'iat invalid'), [
    claims('text', { iat: 'now' }),
  ]),
  everywhere('a token that is too old, whatever its end', refused('expired', 'iat'), [
    claims('two days', ({ nowS }) => ({ iat: nowS() - 2 * 86_400 })),
  ]),
  everywhere('a token that is not valid yet', refused('claim_not_accepted', 'nbf'), [
    claims('a second beyond the leeway', ({ nowS }) => ({ nbf: nowS() + 31 })),
  ]),
  of('platform', 'subject', 'a token that has expired', refused('expired', 'exp'), [
    ['within the leeway: nothing that is issued could live', ({ nowS }) => ({ exp: nowS() })],
  ]),
].flat();

const SUBJECTS: Row[] = [
  everywhere('a subject that is none', refused('claim_shape', 'sub'), [
    claims('empty', { sub: '' }),
    claims('a number', { sub: 1 }),
    claims('with a line break', { sub: 'dana\nadmin' }),
    claims('too long', { sub: 'x'.repeat(401) }),
  ]),
  everywhere(
    'no subject',
    refused('claim_not_accepted', 'sub missing'),
    [claims('left out', { sub: undefined })],
    everywhereBut('logout'),
  ),
  everywhere('no audience', refused('claim_not_accepted', 'aud missing'), [
    claims('left out', { aud: undefined }),
  ]),
  everywhere(
    'an audience that is none',
    refused('claim_shape', 'aud'),
    [claims('a number', { aud: 1 }), claims('an object', { aud: { 0: 'countersign' } })],
    everywhereBut('logout'),
  ),
  everywhere(
    'a logout token',
    refused('logout_token'),
    [claims('without its type', { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } })],
    everywhereBut('logout'),
  ),
  everywhere(
    'a token that is bound to a key, where no proof is asked for',
    refused('sender_constrained'),
    [claims('by cnf', { cnf: { jkt: 'x'.repeat(43) } })],
    ['control', 'subject', 'sponsor', 'actor', 'introspect_caller'],
  ),
].flat();

const AUDIENCES: Row[] = [
  ...(['control', 'sponsor', 'introspect_caller'] as const).flatMap((at) => [
    ...everywhere(
      'an audience that is not ours',
      refused('audience_not_accepted'),
      [claims('another client', { aud: 'another-client' }), claims('nobody', { aud: [] })],
      [at],
    ),
    ...everywhere(
      'another audience beside ours',
      refused('audience_not_accepted', 'several'),
      [claims('with us as the party', { aud: ['countersign-cli', 'evil'], azp: 'countersign-cli' })],
      [at],
    ),
  ]),
  ...(['subject', 'actor'] as const).flatMap((at) =>
    everywhere(
      'an audience that is not ours',
      { reason: 'no_trust_rule', missed: 'aud' },
      [
        claims('the platform’s own', { aud: 'https://github.com/acme' }),
        claims('another one beside ours', { aud: ['countersign', 'evil'] }),
        claims('a part of ours', { aud: 'counter' }),
      ],
      [at],
    ),
  ),
  everywhere(
    'an audience that is not ours',
    refused('claim_not_accepted', 'aud'),
    [claims('another client', { aud: 'another-client' })],
    ['logout'],
  ),
  everywhere(
    'another audience beside ours',
    refused('audience_not_accepted'),
    [claims('in a list', { aud: ['countersign-web', 'evil'] })],
    ['logout'],
  ),
  of('delegation', 'sponsor', 'an audience that is not ours', refused('audience_not_accepted'), [
    ['of a delegation: another broker', { aud: 'https://countersign.example' }],
  ]),
].flat();

/** All of them. */
export const CLAIM_ROWS: readonly Row[] = [...ISSUERS, ...TIMES, ...SUBJECTS, ...AUDIENCES];
