import { BROKER_EVENTS, OPERATIONS, OPERATOR_ACTS } from '../../operations.ts';
import { assertDecided, isUndecided } from './decided.ts';
import { MeaningFault } from './fault.ts';
import { createFindings, type Findings, type FindingsView } from './findings.ts';
import { followFreezes } from './freezes.ts';
import { type BesideLeaf, type LogRecord, readLeaf, toRecord } from './leaf.ts';
import type { ParsedLeaf } from './leaf-schema.ts';
import { followRequests } from './open-requests.ts';
import { followPolicies } from './policies.ts';
import { followRetention } from './retention.ts';
import { followSnapshots } from './snapshots.ts';
import { followVersions, movesOf, type Versions } from './versions.ts';

/*
 * What the records of a log say together, as a stranger verifies it: with the leaves alone, in their order, and in memory
 * that is bounded by the flags, the open requests, the open freezes and the stages, whatever the number of records.
 * `tree/verify-log.ts` verifies before that these are the leaves that were signed. None of the code that decides or writes
 * is used here.
 */

/** Follows a log, record by record. */
export interface Meaning {
  /**
   * Verifies the next record.
   *
   * @param leaf its bytes, or what was read of them
   * @param beside what is kept beside the leaf, if it was given
   * @returns the record; null if its leaf says nothing but that it exists
   * @throws MeaningFault for the first fault
   */
  take(leaf: Buffer | ParsedLeaf, beside?: BesideLeaf | null): LogRecord | null;
  /** The number of records so far. */
  size(): number;
  versions: Versions;
  findings: Findings;
  view(): MeaningView;
}

/** What was verified, and what is listed. */
export interface MeaningView extends FindingsView {
  records: number;
  flag_versions: number;
  counted_votes: number;
  activations: number;
  open_freezes: number;
  /** How many records have the digest of counted evaluations. */
  evaluation_counts: number;
  /** How many records publish a snapshot. */
  snapshots: number;
  /** How many inputs were moved to archives, and how many rows of evaluations were deleted. */
  archived_inputs: number;
  deleted_evaluations: number;
}

/** Operations that move flags. */
const WRITES_FLAGS: ReadonlySet<string> = new Set(
  Object.entries(OPERATIONS).flatMap(([name, { changes }]) => (changes === 'flags' ? [name] : [])),
);
/** Acts after which the time may be earlier. */
const ACCEPTS_CLOCK: ReadonlySet<string> = new Set(Object.keys(OPERATOR_ACTS));

/** Starts at the beginning of a log. */
export function createMeaning(): Meaning {
  const findings = createFindings();
  const requests = followRequests();
  const versions = followVersions();
  const freezes = followFreezes(findings);
  const policies = followPolicies(findings);
  const snapshots = followSnapshots();
  const retention = followRetention();
  let place = 0;
  let firstReadable: number | null = null;
  let isComplete = true;
  let lastMs = 0;
  let evaluationCounts = 0;

  function unreadable(version: 0 | 'unknown'): null {
    if (version === 0 && firstReadable !== null)
      throw new MeaningFault('record_order', place, 'it is of version 0, after records of a later version');
    findings.gap(version === 0 ? 'record_version_0' : 'record_version_unknown', place);
    isComplete = false;
    return null;
  }

  function verify(record: LogRecord): void {
    if (record.at_ms < lastMs && !ACCEPTS_CLOCK.has(record.operation))
      throw new MeaningFault(
        'time_backwards',
        place,
        `its time is ${new Date(record.at_ms).toISOString()}, before that of the record before it`,
      );
    lastMs = record.at_ms;
    assertDecided(record);
    assertAllowed(record);
    listOperatorAct(findings, record);
    listRestore(findings, record);
    if (record.operation === 'evaluations.counted') evaluationCounts += 1;
    const complete = { complete: isComplete };
    const { stages } = policies;
    requests.take(record, { startsAt0: isComplete });
    freezes.take(record, { namespaceOf: versions.namespaceOf, stages: stages(), ...complete });
    policies.take(record, complete);
    retention.take(record);
    versions.take(record, complete);
    snapshots.take(record);
  }

  return {
    take: (leaf, beside = null) => {
      place += 1;
      const read = Buffer.isBuffer(leaf) ? readLeaf(leaf, place) : leaf;
      if (read === 0 || read === 'unknown') return unreadable(read);
      firstReadable ??= place;
      const { record, withheld } = toRecord(read, place, beside);
      if (withheld.length > 0) findings.gap('lists_withheld', place);
      verify(record);
      return record;
    },
    size: () => place,
    versions,
    findings,
    view: () => ({
      records: place,
      flag_versions: versions.count(),
      counted_votes: requests.votes(),
      activations: policies.count(),
      open_freezes: freezes.open(),
      evaluation_counts: evaluationCounts,
      snapshots: snapshots.count(),
      archived_inputs: retention.count('inputs'),
      deleted_evaluations: retention.count('evaluations'),
      ...findings.view(),
    }),
  };
}

/** @throws MeaningFault if a record changes something without a decision that allows it */
function assertAllowed(record: LogRecord): void {
  const { place, effect, operation, request, freeze, activates, isErasure, erased } = record;
  const fault = (message: string) => new MeaningFault('change_not_allowed', place, message);
  const moves = movesOf(record);
  const changes = moves.length > 0 || freeze !== null || activates !== null || isErasure;
  // What is said of an applied request applies nothing.
  const applies = request?.to === 'applied' && request.from !== 'applied';
  if (effect !== 'allow' && (changes || applies))
    throw fault(`it changes something, and the decision is ${effect}`);
  if (moves.length > 0) {
    if (!isApplied(record, 'flag.change') || !WRITES_FLAGS.has(operation))
      throw fault(
        `it moves ${moves[0]?.flag}, and is no ${[...WRITES_FLAGS].join(', ')} of a change of flags`,
      );
  }
  if (freeze !== null && !mayChange(freeze.change, record))
    throw fault(`a freeze is ${freeze.change} by ${operation}`);
  if (isErasure && !isApplied(record, 'person.erase'))
    throw fault(`it erases something by ${operation}, and applies no request to erase a person`);
  const ahead = erased?.find((erasedPlace) => erasedPlace >= place);
  if (ahead !== undefined)
    throw new MeaningFault('erasure_ahead', place, `it erases the details at place ${ahead}`);
}

function mayChange(change: 'engaged' | 'lifted', record: LogRecord): boolean {
  const { operation } = record;
  if (change === 'engaged') return operation === 'freeze.engage' || operation === 'restore.accept';
  return isApplied(record, 'freeze.lift');
}

function isApplied({ request }: LogRecord, kind: string): boolean {
  return request?.kind === kind && request.to === 'applied';
}

/** @throws MeaningFault if anything but a confirmed restore goes on from another log */
function listRestore(findings: Findings, { place, at_ms, operation, follows }: LogRecord): void {
  if (follows === undefined) return;
  if (operation !== 'restore.accept')
    throw new MeaningFault('change_not_allowed', place, `it goes on from another log by ${operation}`);
  const { origin, size, root } = follows;
  findings.restore({ place, at_ms, origin, size, root });
}

function listOperatorAct(findings: Findings, record: LogRecord): void {
  const { place, at_ms, operation, activates, codes } = record;
  const isAct = isUndecided(record) && !Object.hasOwn(BROKER_EVENTS, operation);
  if (!isAct) return;
  findings.operatorAct({
    place,
    at_ms,
    operation,
    code: codes?.[0] ?? '',
    activates: activates?.hash ?? null,
  });
}
