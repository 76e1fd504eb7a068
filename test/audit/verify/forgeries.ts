import { DIGEST, FIRST, PLACES, SECOND } from './sample-log.ts';
import { type Forgery, WITHOUT_POLICY } from './without-policy.ts';

const { create, approve, apply, engage, break_glass, lift, activate, staged, after, erase } = PLACES;
const { publish, publish_again: publishAgain } = PLACES;

/** A record that takes something out of the database, in place of the first one that publishes a snapshot. */
function takenOut(forged: object, operation = 'inputs.archived'): Forgery[3] {
  const retention = { count: 1, digest: DIGEST, from_place: 1, to_place: 2, what: 'inputs', ...forged };
  return (r) => {
    r.operation = operation;
    delete r.snapshot;
    r.retention = retention;
  };
}

const TAKEN_OUT: readonly Forgery[] = [
  ['inputs are skipped', publish, 'retention_other', takenOut({ from_place: 2 })],
  ['inputs are archived that are not there yet', publish, 'retention_other', takenOut({ to_place: publish })],
  ['more inputs are archived than there are', publish, 'retention_other', takenOut({ count: 3 })],
  ['inputs are archived nowhere', publish, 'retention_other', takenOut({ digest: null })],
  [
    'inputs are archived by another event',
    publish,
    'change_not_allowed',
    takenOut({}, 'evaluations.counted'),
  ],
  [
    'an archive does not say of what',
    publish,
    'change_not_allowed',
    (r) => {
      takenOut({})(r);
      delete r.retention;
    },
  ],
];

/** What a forger does, and by which fault it is found at that place. */
export const FORGERIES: readonly Forgery[] = [
  ...TAKEN_OUT,
  [
    'a flag skips a version',
    apply,
    'version_chain',
    (r) => {
      r.flags[0].version_after = 4;
    },
  ],
  [
    'a flag moves from a version it was not at',
    apply,
    'version_chain',
    (r) => {
      Object.assign(r.flags[0], { version_before: 2, version_after: 3 });
    },
  ],
  [
    'a flag goes back',
    after,
    'version_chain',
    (r) => {
      Object.assign(r.flags[0], { version_before: 1, version_after: 2 });
    },
  ],
  [
    'a version has no digest',
    apply,
    'version_chain',
    (r) => {
      r.flags[0].digest = null;
    },
  ],
  [
    'another flag moves',
    apply,
    'version_chain',
    (r) => {
      r.flags[0].flag = 'other';
    },
  ],
  [
    'a move is gone',
    apply,
    'version_chain',
    (r) => {
      r.flags = [];
    },
  ],
  [
    'a denied change moves a flag',
    apply,
    'change_not_allowed',
    (r) => {
      r.outcome.effect = 'deny';
    },
  ],
  [
    'a held change moves a flag',
    apply,
    'change_not_allowed',
    (r) => {
      r.outcome.effect = 'hold';
    },
  ],
  [
    'a flag moves without a request',
    create,
    'change_not_allowed',
    (r) => {
      r.request = null;
    },
  ],
  [
    'a read moves a flag',
    create,
    'change_not_allowed',
    (r) => {
      r.operation = 'decision.read';
    },
  ],
  [
    'a pending request moves a flag',
    create,
    'change_not_allowed',
    (r) => {
      r.request.to = 'pending';
    },
  ],
  [
    'an approval is made up',
    apply,
    'vote_unknown',
    (r) => {
      r.votes = ['0197f3a0-7c1e-7000-8000-00000000beef'];
    },
  ],
  [
    'an approval was for other content',
    approve,
    'vote_of_other_content',
    (r) => {
      r.request.digest = FIRST;
    },
  ],
  [
    'other content is applied',
    apply,
    'vote_of_other_content',
    (r) => {
      r.request.digest = FIRST;
    },
  ],
  [
    'a rejection is counted',
    approve,
    'vote_of_other_content',
    (r) => {
      r.operation = 'request.reject';
    },
  ],
  [
    'a denied approval is counted',
    approve,
    'vote_unknown',
    (r) => {
      r.outcome.effect = 'deny';
    },
  ],
  [
    'the approval of a workload is counted',
    approve,
    'vote_unknown',
    (r) => {
      r.principal.kind = 'workload';
    },
  ],
  [
    'an author approves',
    approve,
    'vote_of_author',
    (r) => {
      r.person = 'dana';
    },
  ],
  [
    'one approval is counted twice',
    apply,
    'vote_twice',
    (r) => {
      r.votes.push(r.votes[0]);
    },
  ],
  [
    'a freeze is lifted by one person',
    lift,
    'vote_missing',
    (r) => {
      r.votes = [];
    },
  ],
  [
    'a policy is activated by one person',
    activate,
    'vote_missing',
    (r) => {
      r.votes = [];
    },
  ],
  [
    'a change passes a freeze silently',
    break_glass,
    'moved_under_freeze',
    (r) => {
      r.passed.freezes = [];
    },
  ],
  [
    'a freeze covers more than it did',
    engage,
    'freeze_chain',
    (r) => {
      Object.assign(r.freeze, { scope: 'all', environment: null });
    },
  ],
  [
    'a freeze is not engaged',
    engage,
    'freeze_chain',
    (r) => {
      r.freeze = null;
    },
  ],
  [
    'a denied freeze is engaged',
    engage,
    'change_not_allowed',
    (r) => {
      r.outcome.effect = 'deny';
    },
  ],
  [
    'a freeze is lifted by an approval',
    lift,
    'change_not_allowed',
    (r) => {
      r.request.kind = 'flag.change';
    },
  ],
  [
    'another policy decides',
    apply,
    'policy_not_active',
    (r) => {
      r.policy_hash = SECOND;
    },
  ],
  [
    'the policy of an earlier stage decides',
    after,
    'policy_not_active',
    (r) => {
      r.policy_hash = FIRST;
    },
  ],
  [
    'an earlier stage decides what is not its own',
    after,
    'policy_not_active',
    (r) => {
      Object.assign(r, { stage: 'early', policy_hash: FIRST });
    },
  ],
  [
    'a stage decides that does not exist',
    staged,
    'policy_not_active',
    (r) => {
      r.stage = 'other';
    },
  ],
  [
    'a policy comes without an activation',
    apply,
    'activation_not_allowed',
    (r) => {
      Object.assign(r, { activates: { archive: DIGEST, hash: SECOND } });
    },
  ],
  [
    'a second first start',
    apply,
    'activation_not_allowed',
    (r) => {
      Object.assign(r, {
        request: null,
        flags: [],
        votes: [],
        activates: { archive: DIGEST, hash: r.policy_hash, stages: [] },
        outcome: { ...r.outcome, codes: ['first_start'] },
      });
    },
  ],
  [
    'a held activation becomes active',
    activate,
    'change_not_allowed',
    (r) => {
      r.outcome.effect = 'hold';
    },
  ],
  [
    'a request ends twice',
    after,
    'request_chain',
    (r) => {
      Object.assign(r.request, { id: 'enable', from: 'pending' });
    },
  ],
  [
    'a request leaves a state that it is not in',
    apply,
    'request_chain',
    (r) => {
      r.request.from = 'ready';
    },
  ],
  [
    'the time goes back',
    apply,
    'time_backwards',
    (r) => {
      r.at_ms -= 10_000;
    },
  ],
  [
    'what is not there yet is erased',
    erase,
    'erasure_ahead',
    (r) => {
      r.erases.places = [erase];
    },
  ],
  [
    'somebody is erased by one other',
    erase,
    'vote_missing',
    (r) => {
      r.votes.pop();
    },
  ],
  [
    'a change of a flag erases details',
    apply,
    'change_not_allowed',
    (r) => {
      r.erases = { places: [create], pseudonyms: [] };
    },
  ],
  [
    'reading erases a name',
    erase,
    'change_not_allowed',
    (r) => {
      r.request = null;
      r.erases.places = [];
    },
  ],
  [
    'a request to erase somebody erases them before it is applied',
    erase,
    'change_not_allowed',
    (r) => {
      r.request.to = 'ready';
    },
  ],
  [
    'a version is beyond what can be counted',
    apply,
    'record_malformed',
    (r) => {
      r.flags[0].version_after = 2 ** 53;
    },
  ],
  [
    'a member has another type',
    apply,
    'record_malformed',
    (r) => {
      r.votes = 'all';
    },
  ],
  [
    'a snapshot is of an earlier version than the one before',
    publishAgain,
    'snapshot_chain',
    (r) => {
      r.snapshot.version = 3;
    },
  ],
  [
    'a version is published twice',
    publishAgain,
    'snapshot_chain',
    (r) => {
      r.snapshot.version = 4;
    },
  ],
  [
    'a snapshot reflects less than the one before',
    publishAgain,
    'snapshot_chain',
    (r) => {
      r.snapshot.size = 3;
    },
  ],
  [
    'a snapshot reflects what was not there yet',
    publish,
    'snapshot_chain',
    (r) => {
      r.snapshot.size = publish;
    },
  ],
  [
    'a record publishes something without saying what',
    publish,
    'snapshot_chain',
    (r) => {
      delete r.snapshot;
    },
  ],
  [
    'a decided read publishes a snapshot',
    publish,
    'snapshot_chain',
    (r) => {
      r.operation = 'decision.read';
      Object.assign(r.schema, { input: 2, guardrails: 3 });
    },
  ],
  [
    'a snapshot is published although it was denied',
    publish,
    'policy_missing',
    (r) => {
      r.outcome.effect = 'deny';
    },
  ],
  [
    'a snapshot has no digest',
    publish,
    'record_malformed',
    (r) => {
      r.snapshot.digest = 'none';
    },
  ],
  ...WITHOUT_POLICY,
];
