import { MeaningFault } from './fault.ts';
import type { Findings } from './findings.ts';
import type { LeafFreeze, LeafStage, LogRecord } from './leaf.ts';
import { movesOf, type Versions } from './versions.ts';

/** Follows freezes. */
export interface Freezes {
  /** @throws MeaningFault */
  take(
    record: LogRecord,
    about: { namespaceOf: Versions['namespaceOf']; stages: readonly LeafStage[] | null; complete: boolean },
  ): void;
  /** How many are open. */
  open(): number;
}

/** What a freeze says about a change: that it covers it or not, or that the log does not say enough. */
type Cover = 'covers' | 'apart' | 'unknown';

/**
 * Freezes from engaging to lifting. While one is open, nothing in its scope moves, unless the record names the freeze: that
 * is an exception, and listed. A definition reaches every environment.
 */
export function followFreezes(findings: Findings): Freezes {
  const open = new Map<string, LeafFreeze>();
  return {
    take: (record, { namespaceOf, stages, complete }) => {
      if (open.size > 0) {
        const named = record.passed;
        const passes: string[] = [];
        for (const freeze of open.values()) {
          const cover = coverOf(freeze, record, { namespaceOf, stages });
          if (cover === 'apart') continue;
          if (named === null || named.includes(freeze.id) || isOperators(record)) passes.push(freeze.id);
          else if (cover === 'unknown') findings.gap('namespace_unknown', record.place);
          else throw movedUnder(record, freeze);
        }
        list(findings, record, passes);
      }
      if (complete) assertOpen(record, open);
      if (record.freeze !== null) change(open, record, record.freeze, complete);
    },
    open: () => open.size,
  };
}

function coverOf(
  freeze: LeafFreeze,
  record: LogRecord,
  { namespaceOf, stages }: { namespaceOf: Versions['namespaceOf']; stages: readonly LeafStage[] | null },
): Cover {
  if (record.activates !== null) return coverOfActivation(freeze, record.activates.stage, stages);
  const moves = movesOf(record);
  const defined = new Set(moves.filter((move) => move.environment === null).map(({ flag }) => flag));
  const covers = moves.map(({ flag, environment }): Cover => {
    const isThere = freeze.environment === null || defined.has(flag) || freeze.environment === environment;
    if (!isThere) return 'apart';
    if (freeze.scope === 'flag') return freeze.flag === flag ? 'covers' : 'apart';
    if (freeze.scope !== 'namespace') return 'covers';
    const own = moves.find((move) => move.flag === flag && move.namespace !== undefined)?.namespace;
    const namespace = own ?? namespaceOf(flag);
    if (namespace === null) return 'unknown';
    return namespace === freeze.namespace ? 'covers' : 'apart';
  });
  return covers.find((cover) => cover === 'covers') ?? covers.find((cover) => cover === 'unknown') ?? 'apart';
}

/** The last stage decides every environment, so a freeze of any covers its policy. */
function coverOfActivation(
  { scope, environment }: LeafFreeze,
  stage: string | undefined,
  stages: readonly LeafStage[] | null,
): Cover {
  if (scope !== 'environment') return scope === 'all' ? 'covers' : 'apart';
  if (stage === undefined) return 'covers';
  const decided = stages?.find(({ name }) => name === stage)?.environments ?? [];
  return environment !== null && decided.includes(environment) ? 'covers' : 'apart';
}

/** An operator's act has no request. It is listed, whatever it passes. */
function isOperators({ request }: LogRecord): boolean {
  return request === null;
}

function list(findings: Findings, record: LogRecord, freezes: readonly string[]): void {
  if (freezes.length === 0) return;
  const { place, at_ms, operation } = record;
  const passed = operation === 'breakglass.apply' ? 'break_glass' : 'safer_change';
  findings.exception({
    place,
    at_ms,
    kind: isOperators(record) ? 'operator' : passed,
    freezes,
    flags: [...new Set(movesOf(record).map(({ flag }) => flag))],
  });
}

function movedUnder(record: LogRecord, freeze: LeafFreeze): MeaningFault {
  const { activates, place } = record;
  const what =
    activates === null
      ? `it moves ${movesOf(record)
          .map(({ flag, environment }) => (environment === null ? flag : `${flag} in ${environment}`))
          .join(', ')}`
      : `it activates the policy ${activates.hash}`;
  return new MeaningFault(
    'moved_under_freeze',
    place,
    `${what}, which the freeze ${freeze.id} covers, and does not name it`,
  );
}

/** @throws MeaningFault if a record names a freeze that is not open */
function assertOpen({ place, passed }: LogRecord, open: ReadonlyMap<string, LeafFreeze>): void {
  const closed = passed?.find((id) => !open.has(id));
  if (closed !== undefined)
    throw new MeaningFault('freeze_chain', place, `it passes the freeze ${closed}, which is not open`);
}

function change(
  open: Map<string, LeafFreeze>,
  { place }: LogRecord,
  freeze: LeafFreeze,
  complete: boolean,
): void {
  const known = open.get(freeze.id);
  const fault = (message: string) => new MeaningFault('freeze_chain', place, message);
  if (freeze.change === 'engaged') {
    if (known !== undefined) throw fault(`it engages the freeze ${freeze.id} again`);
    open.set(freeze.id, freeze);
    return;
  }
  if (known === undefined && complete) throw fault(`it lifts the freeze ${freeze.id}, which is not open`);
  if (known !== undefined && scopeOf(known) !== scopeOf(freeze))
    throw fault(`it lifts the freeze ${freeze.id} with another scope than it was engaged with`);
  open.delete(freeze.id);
}

function scopeOf({ scope, environment, namespace, flag }: LeafFreeze): string {
  return JSON.stringify([scope, environment, namespace, flag]);
}
