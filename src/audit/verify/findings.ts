/*
 * What a verification lists besides the first fault: what no policy decided, what passed a freeze, and what could not be
 * verified. Lists have an end, so that a log of any size is verified in bounded memory.
 */

/** Why something could not be verified. */
export const GAPS = {
  record_version_0:
    'Records of version 0 are digests only, so what they did is taken from the records after them.',
  no_policy: 'No policy made these decisions: acts of an operator, and events of the broker itself.',
  erased: 'The inputs were erased, by records that say so.',
  evaluations_deleted: 'The counts of evaluations were deleted when they were old, by records that say so.',
  record_version_unknown: 'A later version of the broker wrote these records. Verify with that version.',
  lists_withheld:
    'These records are so large that their lists are beside the log. Verify with --inputs, which has them.',
  namespace_unknown:
    'Flags moved while a namespace was frozen, and the log does not say in which namespace they are.',
  stages_unknown:
    'A policy was activated by an earlier version of the broker, which did not record what followed it in other stages.',
  input_missing: 'The given inputs do not have those of these records.',
  archive_missing:
    'The inputs are in archives that were not there when they were exported. Put the files back, and export again.',
  archive_damaged:
    'The inputs are in archives that were changed or damaged. Restore the files from a copy, and export again.',
  evaluations_missing: 'The given inputs do not have the counts of evaluations of these records.',
  snapshot_unsure:
    'These records publish snapshots, and what the log said by then cannot be told from the records before them.',
  snapshot_ahead: 'Snapshots are published that are newer than the log. Verify them with a newer copy of it.',
  flag_absent:
    'The snapshots of these records lack flags, and the log does not say that they are retired. Records of earlier versions of the broker never said so.',
  bundle_missing: 'The policy bundles that made these decisions are not beside the inputs.',
  bundle_unusable: 'This version cannot use the policy bundles that made these decisions.',
  version_unknown: 'A later version of the broker made these decisions. Replay them with that version.',
} as const;

/** The reason code. */
export type GapCode = keyof typeof GAPS;

/** Gaps that are none in the evidence: nothing more can ever be expected there. */
export const EXPECTED_GAPS: readonly GapCode[] = [
  'record_version_0',
  'no_policy',
  'erased',
  'evaluations_deleted',
];

/** How many items of each list are kept. The others are counted. */
const MAX_LISTED = 1000;

/** A list that may have more items than are kept. */
export interface Listed<Item> {
  count: number;
  items: Item[];
}

/** Something that an operator did at the machine, without a decision. */
export interface OperatorActFound {
  place: number;
  at_ms: number;
  operation: string;
  /** Such as `first_start`. */
  code: string;
  /** The policy that it activated, or null. */
  activates: string | null;
}

/** A change that passed a freeze. */
export interface ExceptionFound {
  place: number;
  at_ms: number;
  /** Whether it was made in a break-glass session, is a change that only makes things safer, or an act of an operator. */
  kind: 'break_glass' | 'safer_change' | 'operator';
  freezes: readonly string[];
  flags: readonly string[];
}

/** A confirmed restore: from here on, the log has another name, and lacks what the former one had after the copy. */
export interface RestoreFound {
  place: number;
  at_ms: number;
  /** The highest known state of the former log, as the record commits it. Null: only its size was known. */
  origin: string | null;
  size: number;
  root: string | null;
}

/** What could not be verified, by its reason. */
export interface GapFound {
  code: GapCode;
  count: number;
  first_place: number;
}

/** Everything that is listed. */
export interface Findings {
  operatorAct(act: OperatorActFound): void;
  exception(exception: ExceptionFound): void;
  restore(restore: RestoreFound): void;
  gap(code: GapCode, place: number): void;
  view(): FindingsView;
}

/** The lists as they are shown. */
export interface FindingsView {
  operator_acts: Listed<OperatorActFound>;
  exceptions: Listed<ExceptionFound>;
  restores: Listed<RestoreFound>;
  gaps: GapFound[];
}

/** Collects what is found. */
export function createFindings(): Findings {
  const acts: Listed<OperatorActFound> = { count: 0, items: [] };
  const exceptions: Listed<ExceptionFound> = { count: 0, items: [] };
  const restores: Listed<RestoreFound> = { count: 0, items: [] };
  const gaps = new Map<GapCode, GapFound>();
  return {
    operatorAct: (act) => add(acts, act),
    exception: (exception) => add(exceptions, exception),
    restore: (restore) => add(restores, restore),
    gap: (code, place) => {
      const known = gaps.get(code);
      if (known === undefined) gaps.set(code, { code, count: 1, first_place: place });
      else known.count += 1;
    },
    view: () => ({ operator_acts: acts, exceptions, restores, gaps: [...gaps.values()] }),
  };
}

function add<Item>(list: Listed<Item>, item: Item): void {
  list.count += 1;
  if (list.items.length < MAX_LISTED) list.items.push(item);
}
