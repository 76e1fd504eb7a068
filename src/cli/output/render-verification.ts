import type { CosignedState, UnknownSigner } from '../../audit/verify/cosigned.ts';
import { GAPS, type Listed } from '../../audit/verify/findings.ts';
import type { FormerFound } from '../../audit/verify/former.ts';
import type { MeaningView } from '../../audit/verify/meaning.ts';
import { moment, printable } from './text.ts';

/** What was verified. */
export interface VerificationReport extends MeaningView {
  origin: string;
  size: number;
  root: string;
  /** The size of the older checkpoint that the log continues, or null. */
  since: number | null;
  /** The keys of the log, the first one first, each with the size from which on it signs. */
  keys: readonly { key: string; from: number }[];
  /** What the given witnesses agree on; null if none were given. */
  cosigned: CosignedState | null;
  /** Who signed the checkpoint, too, with keys that were not given. */
  unknown_signatures: readonly UnknownSigner[];
  /** How many decisions came out the same when they were replayed; null without inputs. */
  replayed: number | null;
  /** The former logs that restores name; null if none were given. */
  former_logs: readonly FormerFound[] | null;
  /** How many definitions and states are served as the log says; null without flags. */
  flags_compared: number | null;
  /** How many published snapshots are what the log says; null without them. */
  snapshots_compared: number | null;
}

/** How many items of each list are shown to people. */
const MAX_SHOWN = 20;

const EXCEPTIONS = {
  break_glass: 'in a break-glass session',
  safer_change: 'only makes things safer',
  operator: 'act of an operator',
} as const;

/** What was verified, for people: the answer first, then what is listed. @param pinned the key that was given */
export function renderVerification(name: string, report: VerificationReport, pinned: string): string {
  const key = report.keys.at(-1);
  const { size, origin, since, flag_versions, counted_votes, activations, replayed, flags_compared } = report;
  const { evaluation_counts, snapshots, snapshots_compared, archived_inputs, deleted_evaluations } = report;
  return [
    `${printable(name)} is valid: ${size} records of the log ${printable(origin)}, each in the tree that was signed.`,
    ...(evaluation_counts === 0
      ? []
      : [`${evaluation_counts} of them have the digests of counted evaluations.`]),
    ...(archived_inputs === 0 && deleted_evaluations === 0
      ? []
      : [
          `By records that say so, ${archived_inputs} inputs were moved to archives, and ${deleted_evaluations} counts of evaluations deleted.`,
        ]),
    `They fit each other: ${flag_versions} versions of flags, ${counted_votes} counted approvals, ${activations} activations of policies.`,
    ...(since === null ? [] : [`It continues the checkpoint with ${since} records.`]),
    ...(key === undefined || key.key === pinned
      ? []
      : [`Its key was rotated, by the record at place ${key.from}. Keep the new one: ${printable(key.key)}`]),
    ...(report.former_logs ?? []).map(
      ({ origin: former, size: all, followed_at, common }) =>
        `The restore at place ${followed_at} follows ${printable(former)}, whose ${all} records are there: ${common} are in this log, too.`,
    ),
    ...witnessed(report),
    ...(replayed === null ? [] : [`${replayed} decisions were replayed, and come out the same.`]),
    ...(flags_compared === null
      ? []
      : [`The flags that are served are those of the log: ${flags_compared} definitions and states.`]),
    ...(snapshots_compared === null
      ? []
      : [
          `${snapshots_compared} published snapshots have the flags that the log says, of ${snapshots} that it publishes.`,
        ]),
    ...list('without a decision, by an operator', report.operator_acts, (act) => [
      `place ${act.place}  ${moment(act.at_ms)}  ${printable(act.operation)}  ${printable(act.code)}`,
      ...(act.activates === null ? [] : [printable(act.activates)]),
    ]),
    ...list('past a freeze', report.exceptions, ({ place, at_ms, kind, freezes, flags }) => [
      `place ${place}  ${moment(at_ms)}  ${EXCEPTIONS[kind]}`,
      printable(flags.join(', ')),
      `freeze ${printable(freezes.join(', '))}`,
    ]),
    ...list(
      'confirmed restore, after which records of the former log are lost',
      report.restores,
      (restore) => [
        `place ${restore.place}  ${moment(restore.at_ms)}  follows ${printable(restore.origin ?? 'a former log')} with ${restore.size} records`,
        `this log has its first ${restore.place - 1} at most`,
      ],
    ),
    ...report.gaps.map(
      ({ code, count, first_place }) =>
        `not verified  ${count} ${count === 1 ? 'record' : 'records'}, the first at place ${first_place}: ${GAPS[code]}`,
    ),
  ].join('\n');
}

function witnessed({ cosigned, size, unknown_signatures: unknown }: VerificationReport): string[] {
  const lines: string[] = [];
  if (cosigned !== null) {
    const names = cosigned.witnesses.map(({ name }) => printable(name)).join(', ');
    const later = size - cosigned.size;
    const rest = later === 0 ? '' : ` The ${later} records after that are not cosigned yet.`;
    lines.push(
      `Witnesses cosigned its first ${cosigned.size} records, on ${moment(cosigned.at_ms)}: ${names}.${rest}`,
    );
  }
  if (unknown.length > 0) {
    const names = unknown.map(({ name, id }) => `${printable(name)} (key ${id})`).join(', ');
    lines.push(`Signed by unknown keys, too, which count for nothing: ${names}.`);
  }
  return lines;
}

function list<Item>(title: string, { count, items }: Listed<Item>, line: (item: Item) => string[]): string[] {
  if (count === 0) return [];
  const shown = items.slice(0, MAX_SHOWN).map((item) => `  ${line(item).join('  ')}`);
  const more = count - shown.length;
  return [
    `${title}: ${count}`,
    ...shown,
    ...(more === 0 ? [] : [`  and ${more} more; --json has the first 1000`]),
  ];
}
