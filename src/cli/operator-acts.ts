import { existsSync } from 'node:fs';
import type { Config } from '../config.ts';
import { BrokerError } from '../errors.ts';
import { textSchema } from '../flags/names.ts';
import { comparePublished } from '../log/published.ts';
import { acceptBehindClock } from '../operator/accept-clock.ts';
import { acceptRestore } from '../operator/accept-restore.ts';
import { type ActDeps, ActRefused } from '../operator/act.ts';
import { recoverPolicy } from '../operator/recover-policy.ts';
import { type Bundle, readBundle } from '../policy/bundle.ts';
import { readArchive } from '../policy/bundle-folder.ts';
import { loadBundleKeys } from '../policy/bundle-keys.ts';
import { inputVersions } from '../policy/input-versions.ts';
import { createPolicy } from '../policy/policies.ts';
import { probeBundle } from '../policy/probe.ts';
import { PROBLEMS } from '../problems.ts';
import { newId } from '../random.ts';
import { requestKinds } from '../requests/kinds/kinds.ts';
import { openStore } from '../store/database.ts';
import { isAddress } from '../store/database-address.ts';
import type { SignedCheckpointFile } from '../store/signed-checkpoint.ts';
import type { Loss, Store } from '../store/store.ts';
import { assertSoundRules } from '../trust/policy-rules.ts';
import { bundleUnusable } from './bundle-file.ts';
import type { Output } from './cli.ts';
import { CliError, usageError } from './cli-error.ts';
import { readConfig } from './local-config.ts';
import { EXIT, type ExitCode } from './output/exit-codes.ts';
import { moment } from './output/text.ts';

/*
 * An operator's acts on the database of a stopped broker. They need all of the store and the policy engine, so they are loaded
 * when one is called.
 */

/** The options of every act. */
export interface ActOptions {
  config?: string;
  json?: boolean;
  reason: string;
}

/** What an act is told: the configuration of the broker, and the reason as it is recorded. */
interface ActOrder {
  config: Config;
  reason: string;
}

const reasonSchema = textSchema(2000);

/** `accept-clock`. */
export function acceptClock(output: Output, options: ActOptions): Promise<ExitCode> {
  return runAct(output, options, { acceptsLoss: false }, async (deps, order) => {
    const accepted = await acceptBehindClock(deps, order);
    output.print(
      accepted,
      () =>
        `The clock is accepted, in record ${accepted.decision_id}: the last record was of ${moment(accepted.last_ms)}, this one is of ${moment(accepted.at_ms)}.`,
    );
  });
}

/** `accept-restore`. */
export function acceptRestored(output: Output, options: ActOptions): Promise<ExitCode> {
  return runAct(output, options, { acceptsLoss: true }, async (deps, order) => {
    const published = await findPublishedLoss(deps.store, order.config.published_log, output);
    const accepted = await acceptRestore(deps, { reason: order.reason, published });
    output.print(
      accepted,
      () =>
        `The restored copy is accepted, in record ${accepted.decision_id}. Everything is frozen, and everybody must sign in again.\n` +
        'The log has a new name and a new key, which countersign audit key prints.\n' +
        `Repeat what was revoked since the copy was made. Then one person proposes and another approves:\n` +
        `  countersign lift ${accepted.freeze} --reason …`,
    );
  });
}

/** `policy recover`. */
export function recover(
  output: Output,
  file: string,
  options: ActOptions & { stage?: string },
): Promise<ExitCode> {
  return runAct(output, options, { acceptsLoss: false }, async (deps, { config, reason }) => {
    const bundle = await readUsable(file, config);
    const recovered = await recoverPolicy(deps, { bundle, reason, stage: options.stage });
    output.print(
      recovered,
      () =>
        `${recovered.policy_hash} is active from the next start, in record ${recovered.decision_id}. It replaces ${recovered.replaced}.`,
    );
  });
}

/** What the database lacks of the log, where that is published. */
async function findPublishedLoss(
  store: Store,
  places: readonly string[],
  { io, note }: Output,
): Promise<Omit<Loss, 'mark'> | null> {
  let highest: (Omit<Loss, 'mark'> & { signed: SignedCheckpointFile }) | null = null;
  for (const place of places) {
    const compared = await comparePublished(store.read, place, io.fetch);
    if (compared.state === 'unknown') note(compared.detail);
    if (compared.state !== 'lacking') continue;
    const { detail, signed } = compared;
    if (highest === null || signed.epoch > highest.signed.epoch || signed.size > highest.signed.size)
      highest = { detail, signed };
  }
  return highest;
}

/** Reads a bundle and tries it, as an upload does. @throws CliError `bundle_unusable` */
async function readUsable(file: string, config: Config): Promise<Bundle> {
  try {
    const keys = await loadBundleKeys(config.bundle_keys);
    const bundle = await readBundle(await readArchive(file), { keys });
    const inputs = inputVersions(requestKinds.all);
    await probeBundle(bundle, inputs);
    assertSoundRules(await createPolicy(bundle, { inputs }));
    return bundle;
  } catch (error) {
    throw bundleUnusable(file, error);
  }
}

/** Runs an act on the database that the configuration names. */
async function runAct(
  { io }: Output,
  options: ActOptions,
  { acceptsLoss }: { acceptsLoss: boolean },
  act: (deps: ActDeps, order: ActOrder) => Promise<void>,
): Promise<ExitCode> {
  const reason = reasonSchema.safeParse(options.reason);
  if (!reason.success) throw usageError(`--reason: ${reason.error.issues[0]?.message}`);
  const config = readConfig(io, options.config);
  const { database } = config;
  if (!isAddress(database) && !existsSync(database))
    throw usageError(`The database ${database} does not exist.`);
  const { clock } = io;
  try {
    const store = await openStore({ file: database, clock, acceptsLoss, exclusive: true });
    try {
      await act({ store, clock, newId }, { config, reason: reason.data });
    } finally {
      await store.close();
    }
  } catch (error) {
    throw error instanceof CliError ? error : notDone(error as Error);
  }
  return EXIT.done;
}

function notDone(error: Error): CliError {
  const code = error instanceof BrokerError ? error.code : null;
  return new CliError(
    error instanceof ActRefused ? EXIT.conflict : EXIT.error,
    {
      code: code ?? (error instanceof ActRefused ? 'nothing_to_accept' : 'act_failed'),
      title: code === null ? 'Nothing was changed' : PROBLEMS[code].title,
      detail: error.message,
    },
    { cause: error },
  );
}
