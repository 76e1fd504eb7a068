import type { FaultCode } from '../../../src/audit/verify/fault.ts';
import { DIGEST, moved, PLACES, type Record, SECOND } from './sample-log.ts';

const { start, create, approve, apply, engage, break_glass, lift, activate, staged, erase } = PLACES;

/** What a forger does to the record at a place, and by which fault it is found. */
export type Forgery = readonly [
  name: string,
  place: number,
  code: FaultCode,
  forge: (record: Record) => void,
];

/** Who counts, activates or freezes what. */
const MOVE = { ...moved('other', 'production', 1), version_after: 1, digest: null };
const FREEZE = { environment: null, flag: null, id: 'other', namespace: null, scope: 'all' };

const NONE = { input: null, record: 1, result: 1, guardrails: null };
const BY_BROKER = { kind: 'workload', issuer: 'countersign' };

/** Says of a record that no policy decided it. */
function withoutPolicy(record: Record, members: object = {}): void {
  Object.assign(record, { schema: NONE }, members);
}

/** Says that an operator or the broker itself wrote a record, as they do, apart from what the forger wants. */
function disguise(record: Record, operation: string, members: object): void {
  Object.assign(record.principal, BY_BROKER);
  withoutPolicy(record, {
    ...{ activates: null, authors: [], environment: null, erases: null, flags: [], freeze: null, operation },
    ...{ person: null, request: null, stage: null, votes: [], ...members },
  });
}

/** Whatever says that no policy decided it escapes replay. */
export const WITHOUT_POLICY: readonly Forgery[] = [
  ...[create, approve, apply, engage, break_glass, lift, activate, staged, erase].map(
    (place): Forgery => [
      `the record at place ${place} has no policy`,
      place,
      'policy_missing',
      withoutPolicy,
    ],
  ),
  ...[create, approve, engage].map(
    (place): Forgery => [
      `the record at place ${place} has no policy and is the broker's`,
      place,
      'policy_missing',
      (r) => {
        withoutPolicy(r, { person: null });
        Object.assign(r.principal, BY_BROKER);
      },
    ],
  ),
  ...['input', 'guardrails'].map(
    (member): Forgery => [
      `a record lacks the version of its ${member} only`,
      create,
      'policy_missing',
      (r) => {
        r.schema[member] = null;
      },
    ],
  ),
  [
    'an act of an operator is said to be decided',
    start,
    'policy_missing',
    (r) => {
      r.schema = { ...NONE, input: 1, guardrails: 2 };
    },
  ],
  ...(
    [
      ['denials.counted', { outcome: { codes: [], effect: 'allow', note: null, obligations: [] } }],
      ['clock.accept', { flags: [{ ...MOVE, version_after: 2 }] }],
      ['clock.accept', { flags: [MOVE] }],
      ['clock.accept', { erases: { places: [create], pseudonyms: [] } }],
      ['clock.accept', { freeze: { ...FREEZE, change: 'engaged' } }],
      ['restore.accept', { freeze: { ...FREEZE, change: 'lifted' } }],
      ['restore.accept', { activates: { archive: DIGEST, hash: SECOND, stages: [] } }],
      ['evaluations.counted', { environment: 'production' }],
      ['evaluations.counted', { log_key: {} }],
      ['evaluations.counted', { person: 'dana' }],
      ['evaluations.counted', { votes: ['0197f3a0-7c1e-7000-8000-000000000003'] }],
      ['evaluations.counted', { votes: { count: 0, digest: DIGEST } }],
      ['evaluations.counted', { passed: { exception: true, freezes: [] } }],
      ['evaluations.counted', { guardrail: 'frozen' }],
      [
        'evaluations.counted',
        { snapshot: { digest: DIGEST, environment: 'production', size: 1, version: 1 } },
      ],
      ['evaluations.counted', { principal: { ...BY_BROKER, kind: 'person' } }],
      ['evaluations.counted', { principal: { ...BY_BROKER, issuer: 'https://ci.example' } }],
      ['request.apply', {}],
      ['policy.activate', {}],
      ['constructor', {}],
    ] as const
  ).map(
    ([operation, members]): Forgery => [
      `${operation} without a policy has ${JSON.stringify(members).slice(0, 60)}`,
      create,
      'policy_missing',
      (r) => disguise(r, operation, members),
    ],
  ),
];
