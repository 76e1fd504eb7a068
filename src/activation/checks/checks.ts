import type { Clock } from '../../clock.ts';
import type { CandidateChecks, CheckedCandidate } from '../../decide/plan.ts';
import type { Revocations } from '../../decide/revocations.ts';
import { BrokerError } from '../../errors.ts';
import { canonicalJson } from '../../json.ts';
import type { Policies, StoredBundle } from '../../policy/active.ts';
import { BundleError, readStoredBundle } from '../../policy/bundle.ts';
import type { InputVersions } from '../../policy/input-versions.ts';
import type { Policy } from '../../policy/policies.ts';
import { readHead } from '../../store/log-head.ts';
import { findBundle, listCurrentActivations } from '../../store/policies.ts';
import { findReport } from '../../store/policy-reports.ts';
import { RunAgain } from '../../store/run-again.ts';
import type { Db } from '../../store/statement.ts';
import {
  faultsOf,
  isNothing,
  type Measured,
  type PlaceSpan,
  type Report,
  reportDigest,
  reportSchema,
  STATE_CHECKS,
  type StateChecks,
  worseThan,
} from './report.ts';
import { type Compared, type FixedPart, type Progress, runFixed, runState, type StatePart } from './run.ts';
import { settingsOf } from './settings.ts';
import { openThread, type Thread } from './thread.ts';

/** The dependencies of checks. */
export interface ChecksDeps {
  /** Committed state. */
  read: Db;
  policies: Pick<Policies<Db>, 'prepare' | 'byHash'>;
  revocations: Pick<Revocations<Db>, 'latest'>;
  clock: Clock;
  inputs: InputVersions;
  state: StateChecks;
  /** Writes who was seen a moment ago, so that the report has them: whoever turns up after it conflicts with it. */
  flushUsage(): Promise<void>;
  /** The time for a job of some hundred evaluations, in milliseconds; default 30 seconds. */
  deadlineMs?: number;
}

/** The policies of one comparison. */
export interface Comparison {
  candidate: StoredBundle;
  active: Pick<StoredBundle, 'policy_hash' | 'archive_digest'>;
  /** The stage that the candidate is for, whose decisions are replayed; null: there are none. */
  stage: string | null;
}

/** Which part of the log is replayed: places, the whole log, or the newest records, as the active policy says. */
export type WantedSpan = PlaceSpan | 'all' | 'newest';

/** A report with what was measured. */
export interface Checked {
  report: Report;
  measured: Measured;
}

/** The checks of this broker. */
export interface Checks extends CandidateChecks {
  /**
   * Does the checks, or takes what was found a moment ago.
   *
   * @throws BrokerError `invalid_change` if the candidate cannot be checked
   */
  run(
    comparison: Comparison,
    options: { span: WantedSpan; advance: (progress: Progress) => void },
  ): Promise<Checked>;
}

/** How long a proposal may use a backtest of an earlier end of the log. */
const SPAN_FRESH_MS = 15 * 60 * 1000;
/** How long the state of the broker counts as unchanged where a check does not tell. */
const STATE_FRESH_MS = 60 * 1000;
/** The number of kept results. */
const MAX_FOUND = 32;

interface FoundFixed {
  part: FixedPart;
  measured: Measured;
  /** Whether it covers at least the records that a proposal has to. */
  isEnough: boolean;
  at_ms: number;
}

interface FoundState {
  part: StatePart;
  at_ms: number;
}

/** Opens the checks of candidates. Results are kept for a while, for the proposals that follow. */
export function createChecks(deps: ChecksDeps): Checks {
  const { clock, state } = deps;
  const fixedParts = new Map<string, FoundFixed>();
  const stateParts = new Map<string, FoundState>();

  /** The result for these places, or a recent one that covers what a proposal has to. */
  function findFixed(of: Comparison, span: PlaceSpan | null, nowMs: number): FoundFixed | undefined {
    if (span !== null) return fixedParts.get(fixedKey(of, span));
    const prefix = fixedKey(of, null);
    return [...fixedParts]
      .filter(
        ([key, found]) => key.startsWith(prefix) && found.isEnough && nowMs - found.at_ms <= SPAN_FRESH_MS,
      )
      .map(([, found]) => found)
      .at(-1);
  }

  function findState(of: Comparison, stateNow: string, nowMs: number): FoundState | undefined {
    const found = stateParts.get(stateKey(of, stateNow));
    return found !== undefined && nowMs - found.at_ms <= STATE_FRESH_MS ? found : undefined;
  }

  /** Whatever results depend on besides the policies, as far as the checks tell. */
  async function stateIn(db: Db): Promise<string> {
    const parts: string[] = [];
    for (const name of STATE_CHECKS) parts.push((await state[name]?.stateOf?.(db)) ?? '');
    return canonicalJson(parts);
  }

  async function load({ candidate, active, stage }: Comparison): Promise<Compared> {
    const stored = await findBundle(deps.read, active);
    const policy = await deps.policies.byHash(deps.read, active.policy_hash);
    if (stored === null || policy === null) throw new Error('the active bundle is not stored');
    const own = new Set((await listCurrentActivations(deps.read)).flatMap((each) => each.stage ?? []));
    const isEarlier = policy.broker.stages.slice(0, -1).some(({ name }) => name === stage);
    if (stage !== null && isEarlier) own.add(stage);
    return {
      stage,
      own,
      bundles: {
        active: await readStoredBundle(stored.archive),
        candidate: await readStoredBundle(candidate.archive),
      },
      policies: { active: policy, candidate: await prepared(candidate) },
    };
  }

  async function prepared(candidate: StoredBundle): Promise<Policy> {
    try {
      return await deps.policies.prepare(candidate);
    } catch (error) {
      if (!(error instanceof BundleError)) throw error;
      throw new BrokerError('invalid_change', 'This policy cannot become active.', {
        errors: [{ pointer: '#', detail: error.message }],
      });
    }
  }

  /** The places, and whether they are at least those that a proposal has to cover now. */
  async function placesOf(
    wanted: WantedSpan,
    newest: number,
  ): Promise<{ span: PlaceSpan; isEnough: boolean }> {
    const { size } = await readHead(deps.read);
    const least = { from_place: Math.max(1, size - newest + 1), to_place: size };
    const asked = wanted === 'all' ? { from_place: 1, to_place: size } : wanted;
    const span = asked === 'newest' ? least : { ...asked, to_place: Math.min(size, asked.to_place) };
    return { span, isEnough: span.from_place <= least.from_place && span.to_place === size };
  }

  /** Finds what is missing, in a thread of its own. */
  async function find(
    of: Comparison,
    wanted: WantedSpan,
    advance: (progress: Progress) => void,
  ): Promise<Checked> {
    const compared = await load(of);
    const newest = settingsOf(compared.policies.active).backtest_records;
    const { span, isEnough } = await placesOf(wanted, newest);
    await deps.flushUsage();
    const stateBefore = await stateIn(deps.read);
    // A run that finds everything again needs none.
    let opened: Thread | null = null;
    const thread = () => {
      opened ??= openThread(compared, deps);
      return opened;
    };
    try {
      const fixed = fixedParts.get(fixedKey(of, span)) ?? (await fixedOf());
      const found = findState(of, stateBefore, clock()) ?? (await stateOf());
      return { report: compose(fixed, found), measured: fixed.measured };
    } finally {
      await (opened as Thread | null)?.close();
    }

    async function fixedOf(): Promise<FoundFixed> {
      const done = await runFixed(thread(), compared, {
        read: deps.read,
        inputs: deps.inputs,
        span,
        advance,
      });
      const entry = { ...done, isEnough, at_ms: clock() };
      keep(fixedParts, fixedKey(of, span), entry);
      return entry;
    }

    async function stateOf(): Promise<FoundState> {
      const context = { read: deps.read, revocations: deps.revocations.latest() };
      const part = STATE_CHECKS.every((name) => state[name] === undefined)
        ? {}
        : await runState(thread(), compared, { checks: state, context, clock, advance });
      const entry = { part, at_ms: clock() };
      keep(stateParts, stateKey(of, stateBefore), entry);
      return entry;
    }
  }

  function compose({ part }: FoundFixed, found: FoundState): Report {
    const changes_nothing = part.backtest.changed === 0 && isNothing(found.part, state);
    // In the order of members in which it is stored.
    return JSON.parse(canonicalJson({ ...part, ...found.part, changes_nothing })) as Report;
  }

  return {
    checked: async (db, { approved, now_ms, ...of }) => {
      const former = approved === null ? null : await reportIn(db, approved);
      const fixed = findFixed(of, former?.span ?? null, now_ms);
      const stateNow = await stateIn(db);
      const found = findState(of, stateNow, now_ms);
      if (fixed === undefined || found === undefined) {
        const what = `checks of ${fixedKey(of, former?.span ?? null)} in ${stateNow}`;
        throw new RunAgain(what, () =>
          find(of, fixed?.part.span ?? former?.span ?? 'newest', () => undefined),
        );
      }
      const report = compose(fixed, found);
      return toCandidate(report, fixed.measured, former === null ? [] : worseThan(former, report, state));
    },
    run: (of, { span, advance }) => find(of, span, advance),
  };
}

function fixedKey({ candidate, active, stage }: Comparison, span: PlaceSpan | null): string {
  const policies = `${candidate.archive_digest} against ${active.policy_hash} in ${stage}, places `;
  return span === null ? policies : `${policies}${span.from_place}-${span.to_place}`;
}

function stateKey({ candidate, active, stage }: Comparison, state: string): string {
  return `${candidate.policy_hash} against ${active.policy_hash} in ${stage}, ${state}`;
}

function keep<T>(found: Map<string, T>, key: string, entry: T): void {
  found.delete(key);
  found.set(key, entry);
  const [oldest] = found.keys();
  if (oldest !== undefined && found.size > MAX_FOUND) found.delete(oldest);
}

function toCandidate(report: Report, measured: Measured, worse: string[]): CheckedCandidate {
  return {
    digest: reportDigest(report),
    report: canonicalJson(report),
    measured: JSON.stringify(measured),
    next_activation: report.next_activation ?? null,
    changes_nothing: report.changes_nothing,
    faults: faultsOf(report),
    worse,
  };
}

/** A stored report; null for one of another form, which then counts as none. */
async function reportIn(db: Db, digest: string): Promise<Report | null> {
  const row = await findReport(db, digest);
  if (row === null) return null;
  const parsed = reportSchema.safeParse(JSON.parse(row.report));
  return parsed.success ? parsed.data : null;
}
