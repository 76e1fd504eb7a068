import { LogFault } from '../../tree/fault.ts';

/** What each fault in the meaning of a log says about it, in plain words. */
export const FAULTS = {
  record_malformed:
    'No broker writes such a record. The log was made, or changed before it was signed, by something else.',
  record_order: 'Records of the old form come before all others. Somebody put this one between newer ones.',
  time_backwards:
    'Times never go back, except where an operator accepted a clock. The order of the records, or a time, is false.',
  policy_missing:
    'No policy decided it, as it says, and only acts of an operator and events of the broker itself have none. Somebody wrote past the policy, and past replay.',
  policy_not_active:
    'The decision was made by a policy that nobody had activated there, so the rules that everybody approved did not decide.',
  activation_not_allowed:
    'A policy became active without a decision that allows it. From here on, the rules are not those that were agreed.',
  change_not_allowed:
    'Something was changed without a decision that allows exactly this. Somebody wrote past the policy.',
  request_chain:
    'The states of a request do not follow from each other. Records are missing here, or were added.',
  vote_unknown: 'An approval was counted that nobody gave, as far as the log says.',
  vote_of_other_content: 'An approval was counted that is for other content than what was applied.',
  vote_replaced: 'An approval was counted that its giver had replaced by a later vote.',
  vote_of_author: 'Somebody who wrote part of the change was counted as its approver.',
  vote_twice: 'One person was counted as two.',
  vote_missing: 'What takes the approval of others under every policy was done without it.',
  version_chain:
    'The versions of a flag do not follow from each other. A change of it is missing in the log, or was added.',
  freeze_chain:
    'Freezes do not follow from each other: one is engaged twice, or lifted without being engaged.',
  moved_under_freeze: 'Something changed although it was frozen, and no exception says why.',
  snapshot_chain:
    'The published snapshots of an environment do not follow from each other. A reader may have been shown an earlier state as the newest.',
  snapshot_differs:
    'A published snapshot is not what the log says. Whoever reads it serves flags that no decision allowed.',
  retention_other:
    'Inputs or counts are said to be taken out of the database that were before, or that did not exist yet. Somebody wrote past the broker.',
  erasure_ahead: 'Details are said to be erased that did not exist yet.',
  former_other:
    'The given former log is not the one that a restore names. It is not whole, or the restored log has another history.',
  input_other: 'The given input is not the one that was decided.',
  result_other: 'The given result is not the one that was recorded.',
  evaluations_other:
    'The given counts of evaluations are not those that were recorded. Somebody changed, added or removed a row.',
  replay_differs: 'The policy does not decide so: what was recorded is not its answer to this input.',
  flags_differ:
    'The flags that are served are not those that the log says. Somebody wrote them past the log, or they are of another moment.',
} as const;

/** The code of a fault. */
export type FaultCode = keyof typeof FAULTS;

/** A fault in what the records of a log say together. */
export class MeaningFault extends LogFault {
  readonly code: FaultCode;
  /** The place of the record; null if it is about none. */
  readonly place: number | null;

  constructor(code: FaultCode, place: number | null, message: string) {
    super(place === null ? message : `the record at place ${place}: ${message}`);
    this.name = 'MeaningFault';
    this.code = code;
    this.place = place;
  }
}
