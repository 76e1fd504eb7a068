import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { type Broker, startBroker } from '../../broker.ts';
import { type Config, ConfigError, loadConfig } from '../../config.ts';
import { createLog } from '../../logger.ts';
import { listSigningKeys } from '../../store/signing-keys.ts';
import { loadVersion } from '../../version.ts';
import type { Cli } from '../cli.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';

/** The status of a process that was stopped by force: 128 and the number of SIGINT. */
const FORCED = 130;

/** `serve`. */
export function registerServe(program: Command, cli: Cli): void {
  program
    .command('serve')
    .description('run the broker; its log goes to standard output, one JSON document a line')
    .option('--config <file>', 'the YAML file; else COUNTERSIGN_CONFIG, else countersign.yaml if it is there')
    .action((options: { config?: string }) => cli.runLocal({}, () => serve(cli.io, options.config)));
}

/**
 * Runs the broker until it is asked to stop, and then finishes what it began. A second signal ends it at once.
 *
 * @throws CliError for a configuration that cannot be used, with all its faults; or when the broker cannot start
 */
async function serve(io: Io, file: string | undefined): Promise<ExitCode> {
  const config = readConfig(io, file);
  const isNew = !existsSync(config.database);
  const startedMs = io.clock();
  const log = createLog(config.log_level);
  // Before anything is opened: a signal during the start waits for its end, and then stops the broker in order.
  const signals = listenForStop(io);
  const broker = await start({ config, clock: io.clock, log }, (error) => {
    log.fatal({ err: error }, 'the store failed; only a restart can tell what was written');
    // Nothing more may be answered: whether the last batch is on disk is unknown until recovery.
    io.exit(EXIT.restart);
  });
  broker.scheduler.start();
  const keys = await listSigningKeys(broker.store.read);
  const isKeyNew = keys.some((key) => key.created_ms >= startedMs);
  for (const line of [...describeStart(config, broker, { isNew, isKeyNew }), ...warnings(config)]) {
    io.stderr(`${line}\n`);
  }
  await signals.first;
  io.stderr('stopping        once what was begun is finished; a second signal ends it at once\n');
  await broker.close();
  signals.disarm();
  io.stderr('stopped\n');
  return EXIT.done;
}

function readConfig(io: Io, file: string | undefined): Config {
  try {
    return loadConfig({ file, env: io.env });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CliError(EXIT.usage, {
      code: 'config_unusable',
      title: 'The broker was not started',
      detail: error.message,
    });
  }
}

async function start(
  deps: Pick<Parameters<typeof startBroker>[0], 'config' | 'clock' | 'log'>,
  onFailure: (error: unknown) => void,
): Promise<Broker> {
  try {
    return await startBroker({ ...deps, onFailure });
  } catch (error) {
    throw new CliError(
      EXIT.error,
      { code: 'start_failed', title: 'The broker was not started', detail: (error as Error).message },
      { cause: error },
    );
  }
}

/** Hears signals without a gap: the first resolves, every later one ends the process. */
function listenForStop(io: Io): { first: Promise<void>; disarm: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isStopping = false;
  const disarm = io.onStopSignal(() => {
    if (isStopping) io.exit(FORCED);
    isStopping = true;
    resolve();
  });
  return { first: promise, disarm };
}

/** What the start did, a line each. */
function describeStart(
  config: Config,
  { policy, masterKey, url }: Broker,
  { isNew, isKeyNew }: { isNew: boolean; isKeyNew: boolean },
): string[] {
  const bundle = config.policy_bundle ?? 'the bundle that comes with the broker';
  return [
    `countersign     ${loadVersion()}`,
    `configuration   ${config.file ?? 'no file; the environment and defaults'}`,
    `database        ${isNew ? 'created' : 'opened'} ${config.database}`,
    ...describeMasterKey(masterKey),
    `signing keys    ${isKeyNew ? 'generated the first one' : 'loaded'}`,
    ...describePolicy(policy, bundle),
    `listening       ${url}`,
  ];
}

function describeMasterKey({ kind, from, sealed, isPreviousIdle }: Broker['masterKey']): string[] {
  return [
    `master key      ${kind === 'made' ? 'made a new one in' : 'loaded from'} ${from}`,
    ...(kind === 'made'
      ? [
          'warning         the master key opens every secret in the database. Move it into a secret store, and name it with',
          '                master_key_file or COUNTERSIGN_MASTER_KEY; never back it up together with the database.',
        ]
      : []),
    ...(sealed > 0 ? [`secrets         ${sealed} sealed anew under the master key`] : []),
    ...(isPreviousIdle
      ? [
          'warning         nothing was sealed under the previous master key: it is not needed any more; remove it.',
        ]
      : []),
  ];
}

function describePolicy(policy: Broker['policy'], bundle: string): string[] {
  switch (policy.kind) {
    case 'activated':
      return [`policy          activated ${policy.hash} from ${bundle}`];
    case 'unchanged':
      return [`policy          active ${policy.hash}`];
    case 'unreadable':
      return [
        `policy          active ${policy.hash}`,
        `warning         ${bundle} cannot be read, and is not needed: ${policy.detail}`,
      ];
    case 'differs':
      return [
        `policy          active ${policy.hash}`,
        `warning         ${bundle} is another policy, ${policy.file_hash}, and was NOT taken.`,
        '                The active policy is in the database: whoever can write a file does not change it.',
        '                Name the bundle of the active policy again to be rid of this warning.',
      ];
  }
}

const LOOPBACK_HOSTS: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost']);

function warnings({ issuers, listen, public_url }: Config): string[] {
  return [
    ...(issuers.length === 0
      ? ['warning         no issuers are configured, so nobody can sign in: add one under "issuers".']
      : []),
    ...(!LOOPBACK_HOSTS.has(listen.host) && public_url?.startsWith('https:') !== true
      ? [
          `warning         it listens on ${listen.host} and public_url is not https: tokens would travel in the clear.`,
          '                Put a proxy with TLS in front, and set public_url to its https address.',
        ]
      : []),
  ];
}
