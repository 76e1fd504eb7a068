import { type CosignedState, QuorumMissing, type WitnessDemand } from '../audit/verify/cosigned.ts';
import { MeaningFault } from '../audit/verify/fault.ts';
import { EXPECTED_GAPS } from '../audit/verify/findings.ts';
import { type FormerFound, verifyFormer } from '../audit/verify/former.ts';
import { compareFlags } from '../audit/verify/served-flags.ts';
import { compareSnapshots } from '../audit/verify/snapshots.ts';
import { createVerification, type Verification } from '../audit/verify/verification.ts';
import type { Cosigner } from '../tree/cosignature.ts';
import { readNote } from '../tree/verify-signed-log.ts';
import type { Output } from './cli.ts';
import { CliError, usageError } from './cli-error.ts';
import type { Client } from './client.ts';
import {
  failOnFault,
  type LogSource,
  logInFolder,
  readLogKey,
  readText,
  readWitnessKey,
} from './log-source.ts';
import { alertBy, assertProgram } from './on-fault.ts';
import { EXIT, type ExitCode } from './output/exit-codes.ts';
import { createProgress } from './output/progress.ts';
import { renderVerification, type VerificationReport } from './output/render-verification.ts';
import { printable } from './output/text.ts';
import { readFlagsFile, readFlagsOf, readInputsFile, readSnapshotsFolder } from './verify-material.ts';

/** How often `--follow` looks for new records. */
const FOLLOW_MS = 5000;
/** How often flags that change while they are compared are compared, and the pause before they are compared again. */
const COMPARE_ATTEMPTS = 5;
const COMPARE_AGAIN_MS = 1100;

/** What `--on-fault` is told of: an address that cannot be reached is no fault of the log. */
const FAULTS: readonly ExitCode[] = [EXIT.different, EXIT.unwitnessed];

/** How long an address that is followed may be silent, unless it is said. */
const SILENT_AFTER_MS = 15 * 60_000;

/** What a verification is asked for. */
export interface VerifyOrder {
  source: LogSource;
  /** The log, for people. */
  name: string;
  /** The broker whose flags are compared, if `flags` is its URL. */
  client: Client | null;
  options: {
    key: string;
    since?: string | undefined;
    former?: readonly string[] | undefined;
    witness?: readonly string[] | undefined;
    quorum?: number | undefined;
    /** The greatest age of what a quorum has cosigned, in milliseconds. */
    witnessAge?: number | undefined;
    inputs?: string | undefined;
    flags?: string | undefined;
    snapshots?: string | undefined;
    follow?: boolean | undefined;
    /** How long an address that is followed may be silent, in milliseconds. */
    silentAfter?: number | undefined;
    onFault?: string | undefined;
  };
}

/** Verifies a log, and prints what was found. @throws CliError `log_fault`, `quorum_missing` for the first fault */
export async function verifyWith(output: Output, order: VerifyOrder): Promise<ExitCode> {
  const { onFault } = order.options;
  if (onFault === undefined) return verifyAll(output, order);
  await assertProgram(onFault);
  try {
    return await verifyAll(output, order);
  } catch (error) {
    // Of a silent log, nobody can say any more whether it is good.
    const isFault =
      error instanceof CliError && (FAULTS.includes(error.exitCode) || error.problem.code === 'log_silent');
    if (isFault) await alertBy(output, onFault, error);
    throw error;
  }
}

async function verifyAll(output: Output, order: VerifyOrder): Promise<ExitCode> {
  const { source, name, options } = order;
  const pinned = await readLogKey(options.key);
  const older = options.since === undefined ? undefined : await readText(options.since);
  const kept = options.inputs === undefined ? undefined : await readInputsFile(options.inputs);
  const published =
    options.snapshots === undefined ? undefined : await readSnapshotsFolder(options.snapshots);
  const snapshots = published && compareSnapshots(published);
  const witnesses = await readWitnesses(options);
  const progress = createProgress(output.io, 'records');
  return failOnFault(async () => {
    const since = older === undefined ? undefined : readNote(older, pinned).checkpoint;
    const { read } = source;
    const verification = createVerification({
      read,
      pinned,
      older,
      witnesses,
      kept,
      snapshots,
      progress: progress.show,
    });
    // What a log was before does not change while it is followed.
    let formers: FormerFound[] | null = null;
    const check = async (): Promise<VerificationReport> => {
      let checkpoint = await verification.advance();
      assertYoung(verification.cosigned(), options.witnessAge, output.io.clock());
      snapshots?.finish(verification.meaning.findings, checkpoint.size);
      let compared: number | null = null;
      if (options.flags !== undefined)
        ({ checkpoint, compared } = await compareServed(output, verification, order));
      const { origin, size, root } = checkpoint;
      const view = verification.meaning.view();
      if (options.former !== undefined && formers === null) {
        formers = [];
        for (const folder of options.former)
          formers.push(
            await verifyFormer({ checkpoint, read }, logInFolder(folder).read, view.restores.items),
          );
      }
      return {
        origin,
        size,
        root: root.toString('base64'),
        since: since?.size ?? null,
        keys: verification.keys().map(({ verifier, from }) => ({ key: verifier.vkey, from })),
        cosigned: verification.cosigned(),
        unknown_signatures: verification.unknown(),
        replayed: kept?.replayed() ?? null,
        flags_compared: compared,
        snapshots_compared: snapshots?.compared() ?? null,
        former_logs: formers,
        ...view,
      };
    };
    let report: VerificationReport;
    try {
      report = await check();
      kept?.finish();
    } finally {
      progress.end();
    }
    if (options.follow === true)
      report = await follow(output, check, {
        first: report,
        silentMs: options.silentAfter ?? SILENT_AFTER_MS,
      });
    output.print(report, () => renderVerification(name, report, pinned.vkey));
    return report.gaps.some(({ code }) => !EXPECTED_GAPS.includes(code)) ? EXIT.conflict : EXIT.done;
  });
}

/** The witnesses of `--witness` and `--quorum`. @throws CliError `usage` */
async function readWitnesses({
  witness: given = [],
  quorum,
  witnessAge,
}: VerifyOrder['options']): Promise<WitnessDemand | undefined> {
  const keys = new Map<string, Cosigner>();
  for (const each of given) {
    const key = await readWitnessKey(each);
    keys.set(key.vkey, key);
  }
  if (keys.size === 0) {
    if (witnessAge !== undefined)
      throw usageError('--witness-age needs the keys of the witnesses: name each with --witness.');
    if (quorum === undefined) return undefined;
    throw usageError('--quorum needs the keys of the witnesses: name each with --witness.');
  }
  if (quorum !== undefined && quorum > keys.size)
    throw usageError(`--quorum: ${quorum} witnesses can never agree, because --witness names ${keys.size}.`);
  return { known: [...keys.values()], quorum: quorum ?? Math.floor(keys.size / 2) + 1 };
}

/**
 * Compares the flags that are served with the log. Those of a broker are read before the log is read on, and again as long
 * as both move.
 */
async function compareServed(
  { io }: Output,
  { advance, meaning }: Verification,
  { client, options: { flags = '' } }: VerifyOrder,
): Promise<{ checkpoint: Awaited<ReturnType<Verification['advance']>>; compared: number }> {
  for (let attempt = 1; ; attempt += 1) {
    // Reading sensitive flags is recorded, so the size of the log does not say whether flags moved.
    const before = meaning.versions.count();
    const served =
      client === null ? await readFlagsFile(flags) : await readFlagsOf(client, environmentsIn(meaning));
    const checkpoint = await advance();
    try {
      return { checkpoint, compared: compareFlags(meaning.versions, served) };
    } catch (error) {
      if (!(error instanceof MeaningFault) || client === null) throw error;
      if (attempt < COMPARE_ATTEMPTS) await io.sleep(COMPARE_AGAIN_MS);
      else if (meaning.versions.count() === before) throw error;
      else throw stillMoving(error);
    }
  }
}

function environmentsIn({ versions }: Verification['meaning']): Set<string> {
  const named = [...versions.newest().values()].flatMap((chain) => [...chain.keys()]);
  return new Set(named.filter((environment) => environment !== null));
}

function stillMoving(cause: MeaningFault): CliError {
  const detail = `The flags changed each time they were compared. The last difference: ${cause.message}. Try again.`;
  return new CliError(EXIT.conflict, { code: 'flags_moved', title: 'The flags were not compared', detail });
}

/** Verifies what is new until it is stopped. A fault, or a step back, ends it. */
async function follow(
  output: Output,
  check: () => Promise<VerificationReport>,
  { first, silentMs }: { first: VerificationReport; silentMs: number },
): Promise<VerificationReport> {
  const { io } = output;
  const stop = new AbortController();
  const forget = io.onStopSignal(() => stop.abort());
  let last = first;
  let heardMs = io.clock();
  output.note(`Verified ${last.size} records. Watching for more.`);
  try {
    for (;;) {
      await io.sleep(FOLLOW_MS, stop.signal).catch(() => undefined);
      if (stop.signal.aborted) return last;
      const next = await unlessTransient(output, check);
      if (next !== null && next.size > last.size) output.note(`Verified ${next.size} records.`);
      last = next ?? last;
      if (next !== null) heardMs = io.clock();
      else if (io.clock() - heardMs >= silentMs) throw silent(io.clock() - heardMs);
    }
  } finally {
    forget();
  }
}

/** Whoever silences a log hides what is in it. */
function silent(ms: number): CliError {
  const detail = `Nothing could be verified for ${Math.floor(ms / 1000)} seconds: the address of the log does not answer.`;
  return new CliError(EXIT.error, { code: 'log_silent', title: 'The log is silent', detail });
}

/** @throws QuorumMissing if what a quorum has cosigned is older than it may be */
function assertYoung(cosigned: CosignedState | null, witnessAge: number | undefined, nowMs: number): void {
  if (cosigned === null || witnessAge === undefined) return;
  const ageMs = nowMs - cosigned.at_ms;
  if (ageMs > witnessAge)
    throw new QuorumMissing(
      `what a quorum of the witnesses has cosigned last is ${Math.floor(ageMs / 1000)} seconds old, and at most ${witnessAge / 1000} are accepted`,
    );
}

/** An address that cannot be reached for a while is no fault of the log. */
async function unlessTransient<T>(output: Output, work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CliError) || !error.transient) throw error;
    output.note(`Not verified, trying again: ${printable(error.problem.detail)}`);
    return null;
  }
}
