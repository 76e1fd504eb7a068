import type { RefusalReason } from '../../../src/identity/refusal.ts';
import { type PlaceName, propose, readFlags, withProof } from '../../support/hostile-places.ts';
import { type HostileBench, type KindName, mint } from '../../support/hostile-tokens.ts';
import type { Refusal, Row } from './row.ts';

/*
 * Good tokens in wrong places: each kind of token, wherever it does not belong. Not here: a token for flags or for the
 * audit plane at the control plane. Who shows that is known, so policy denies it and the log has the record.
 */

type Told = RefusalReason | readonly [reason: RefusalReason, note: string];

const OTHER_ISSUER = 'issuer_not_accepted';
const NO_RULE = { reason: 'no_trust_rule', missed: 'repository_id' } as const;
const type = (typ: string) => ['type_not_accepted', typ] as const;

/** For each kind, the places where it is refused, and how. */
const MISPLACED: Readonly<Record<KindName, Partial<Record<PlaceName, Told | Refusal>>>> = {
  id_token: {
    flags: ['audience_not_accepted', 'control'],
    flags_key: ['audience_not_accepted', 'control'],
    subject: OTHER_ISSUER,
    sponsor: ['actor_not_accepted', 'may_act'],
    actor: OTHER_ISSUER,
    logout: type('missing'),
  },
  sponsor: { subject: OTHER_ISSUER, actor: OTHER_ISSUER, logout: type('missing') },
  access_token: {
    flags: ['audience_not_accepted', 'control'],
    flags_key: ['audience_not_accepted', 'control'],
    subject: OTHER_ISSUER,
    sponsor: type('at+jwt'),
    actor: OTHER_ISSUER,
    logout: type('at+jwt'),
  },
  issued: {
    flags: ['audience_not_accepted', 'control'],
    flags_key: ['audience_not_accepted', 'control'],
    subject: OTHER_ISSUER,
    sponsor: OTHER_ISSUER,
    actor: OTHER_ISSUER,
    logout: OTHER_ISSUER,
  },
  data: {
    subject: OTHER_ISSUER,
    sponsor: OTHER_ISSUER,
    actor: OTHER_ISSUER,
    logout: OTHER_ISSUER,
  },
  audit: {
    flags: ['audience_not_accepted', 'audit'],
    flags_key: ['audience_not_accepted', 'audit'],
    subject: OTHER_ISSUER,
    sponsor: OTHER_ISSUER,
    actor: OTHER_ISSUER,
    logout: OTHER_ISSUER,
  },
  bound: { subject: OTHER_ISSUER, sponsor: OTHER_ISSUER, actor: OTHER_ISSUER, logout: OTHER_ISSUER },
  bound_data: { subject: OTHER_ISSUER, sponsor: OTHER_ISSUER, actor: OTHER_ISSUER, logout: OTHER_ISSUER },
  delegation: {
    control: type('delegation+jwt'),
    flags: type('delegation+jwt'),
    flags_key: type('delegation+jwt'),
    subject: OTHER_ISSUER,
    actor: OTHER_ISSUER,
    introspect_caller: type('delegation+jwt'),
    logout: OTHER_ISSUER,
  },
  platform: {
    control: OTHER_ISSUER,
    flags: OTHER_ISSUER,
    flags_key: OTHER_ISSUER,
    sponsor: OTHER_ISSUER,
    actor: NO_RULE,
    introspect: OTHER_ISSUER,
    introspect_caller: OTHER_ISSUER,
    revoke: OTHER_ISSUER,
    logout: OTHER_ISSUER,
  },
  agent_job: {
    control: OTHER_ISSUER,
    flags: OTHER_ISSUER,
    flags_key: OTHER_ISSUER,
    subject: NO_RULE,
    sponsor: OTHER_ISSUER,
    introspect: OTHER_ISSUER,
    introspect_caller: OTHER_ISSUER,
    revoke: OTHER_ISSUER,
    logout: OTHER_ISSUER,
  },
  svid: {
    control: OTHER_ISSUER,
    flags: OTHER_ISSUER,
    flags_key: OTHER_ISSUER,
    sponsor: OTHER_ISSUER,
    actor: OTHER_ISSUER,
    introspect: OTHER_ISSUER,
    introspect_caller: OTHER_ISSUER,
    revoke: OTHER_ISSUER,
    logout: OTHER_ISSUER,
  },
  logout_token: {
    control: type('logout+jwt'),
    flags: type('logout+jwt'),
    flags_key: type('logout+jwt'),
    subject: OTHER_ISSUER,
    sponsor: type('logout+jwt'),
    actor: OTHER_ISSUER,
    introspect: type('logout+jwt'),
    introspect_caller: type('logout+jwt'),
    revoke: type('logout+jwt'),
  },
};

function refusalOf(told: Told | Refusal): Refusal {
  if (typeof told === 'string') return { reason: told };
  if ('reason' in told) return told;
  return { reason: told[0], note: told[1] };
}

/** Of the same name, so that only what is told apart by the log has to differ. */
function attackOf({ reason, note }: Refusal): string {
  if (reason === 'issuer_not_accepted') return 'an issuer that is none here';
  if (reason === 'actor_not_accepted') return 'an agent that nobody named';
  return note === undefined ? 'a job that is not the rule’s' : `a token of another kind: ${note}`;
}

const KINDS = (Object.keys(MISPLACED) as KindName[]).flatMap((kind) =>
  (Object.keys(MISPLACED[kind]) as PlaceName[]).map((at): Row => {
    const refusal = refusalOf(MISPLACED[kind][at] ?? OTHER_ISSUER);
    return {
      attack: attackOf(refusal),
      variant: `a good ${kind}`,
      at,
      ...refusal,
      token: (b) => mint(b.kinds[kind]),
    };
  }),
);

/** A DPoP proof is for the token beside it, and no token itself. */
const PROOFS = (
  ['control', 'flags', 'flags_key', 'subject', 'sponsor', 'actor', 'introspect', 'revoke', 'logout'] as const
).map(
  (at): Row => ({
    attack: 'a key of the attacker’s',
    variant: 'a good DPoP proof',
    at,
    reason: 'header_member_not_accepted',
    note: 'jwk',
    token: (b) => b.proofKey.proof({ method: 'POST', url: `${b.t.url}/v1/requests` }),
  }),
);

const bound = ({ kinds }: HostileBench): string => mint(kinds.bound);

/** Bound tokens without their proof, and proofs beside tokens that are not bound. */
const BOUND: Row[] = [
  // Only the challenge is another: that of a token that came as one that is bound.
  ...(
    [
      ['control', 'control_dpop', 'bound'],
      ['flags', 'flags_dpop', 'bound_data'],
      ['flags_key', 'flags_dpop', 'bound_data'],
    ] as const
  ).map(
    ([at, answersAs, kind]): Row => ({
      attack: 'a bound token as a bearer token',
      variant: `a good ${kind}`,
      at,
      reason: 'downgraded',
      token: ({ kinds }) => mint(kinds[kind]),
      answersAs,
    }),
  ),
  {
    attack: 'a bound token without a proof',
    variant: 'as it is',
    at: 'control_dpop',
    reason: 'proof_not_accepted',
    note: 'missing',
    token: bound,
    show: (b, token) => propose(b, { authorization: `DPoP ${token}` }),
    answersAs: 'proof',
  },
  {
    attack: 'a bound token with the proof of another key',
    variant: 'as it is',
    at: 'control_dpop',
    reason: 'proof_not_accepted',
    note: 'key_mismatch',
    token: bound,
    show: async (b, token) => propose(b, await withProof({ ...b, proofKey: b.strangerProofKey }, token)),
    answersAs: 'proof',
  },
  {
    attack: 'a bound token with the proof of another token',
    variant: 'as it is',
    at: 'control_dpop',
    reason: 'proof_not_accepted',
    note: 'ath',
    token: bound,
    show: async (b, token) => {
      const { dpop = '' } = await withProof(b, mint(b.kinds.bound));
      return propose(b, { authorization: `DPoP ${token}`, dpop });
    },
    answersAs: 'proof',
  },
  {
    attack: 'a bearer token that claims to be bound',
    variant: 'by its scheme',
    at: 'control_dpop',
    reason: 'proof_unexpected',
    note: 'scheme',
    token: ({ kinds }) => mint(kinds.issued),
  },
  {
    attack: 'a bearer token with a proof',
    variant: 'as it is',
    at: 'control',
    reason: 'proof_unexpected',
    note: 'header',
    token: ({ kinds }) => mint(kinds.issued),
    show: async (b, token) =>
      propose(b, { ...(await withProof(b, token)), authorization: `Bearer ${token}` }),
  },
  ...(['id_token', 'issued', 'logout_token'] as const).map(
    (kind): Row => ({
      attack: 'a token as its own proof',
      variant: kind,
      at: 'proof',
      reason: 'proof_not_accepted',
      note: 'header_member',
      token: ({ kinds }) => mint(kinds[kind]),
    }),
  ),
];

/** More than one credential, or one that nobody reads. */
const HEADERS: Row[] = [
  ...['Basic', 'Digest', 'xBearer', 'Bearer Bearer'].map(
    (scheme): Row => ({
      attack: 'a scheme that is none here',
      variant: scheme,
      at: 'control',
      reason: 'scheme_not_accepted',
      token: ({ kinds }) => mint(kinds.id_token),
      show: (b, token) => propose(b, { authorization: `${scheme} ${token}` }),
    }),
  ),
  {
    attack: 'a scheme that is none here',
    variant: 'two tokens in one header',
    at: 'control',
    reason: 'scheme_not_accepted',
    token: ({ kinds }) => mint(kinds.id_token),
    show: (b, token) => propose(b, { authorization: `Bearer ${token}, Bearer ${token}` }),
  },
  {
    attack: 'two credentials',
    variant: 'the same twice',
    at: 'flags',
    reason: 'two_credentials',
    token: ({ kinds }) => mint(kinds.data),
    show: (b, token) => readFlags(b, { authorization: `Bearer ${token}`, 'x-api-key': token }),
  },
];

/** All of them. */
export const MISPLACED_ROWS: readonly Row[] = [...KINDS, ...PROOFS, ...BOUND, ...HEADERS];
