import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { type Broker, startBroker } from '../../broker.ts';
import { type Config, ConfigError, loadConfig } from '../../config.ts';
import { findConsole } from '../../http/console-files.ts';
import { createLog } from '../../logger.ts';
import { isAddress, shownDatabase } from '../../store/database-address.ts';
import { listSigningKeys } from '../../store/signing-keys.ts';
import { TakeoverError } from '../../store/write-faults.ts';
import { loadVersion } from '../../version.ts';
import type { Cli } from '../cli.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { listenForStop } from '../listen-for-stop.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';

interface ServeOptions {
  config?: string;
  force?: boolean;
}

/** `serve`. */
export function registerServe(program: Command, cli: Cli): void {
  program
    .command('serve')
    .description('run the broker; it logs to standard output, one JSON document per line')
    .option(
      '--config <file>',
      'the YAML configuration file (default: COUNTERSIGN_CONFIG, or countersign.yaml if it exists)',
    )
    .option('--json', 'if it cannot start, say why as one JSON document')
    .option('--force', 'start for the first time also with a policy that binds nobody who could sign in')
    .addHelpText(
      'after',
      `
Examples:
  countersign init && countersign serve
  countersign serve --config /etc/countersign/countersign.yaml`,
    )
    .action((options: ServeOptions) => cli.runLocal({}, () => serve(cli.io, options)));
}

/**
 * Runs the broker until a signal stops it. Work in flight completes. A second signal ends the process immediately.
 *
 * @throws CliError for an invalid configuration, with all its faults; or when the broker cannot start
 */
async function serve(io: Io, { config: file, force = false }: ServeOptions): Promise<ExitCode> {
  const config = readConfig(io, file);
  const isNew = !isAddress(config.database) && !existsSync(config.database);
  const startedMs = io.clock();
  const log = createLog(config.log_level);
  // Registered before anything is opened: a signal during the start takes effect after it, and stops the broker
  // cleanly.
  const signals = listenForStop(io);
  let hasFailed = false;
  const broker = await start(
    { config, clock: io.clock, log, force, consoleFolder: findConsole() },
    (error) => {
      log.fatal({ err: error }, 'the store failed, and takes no more writes until a restart');
      // Whatever this process knows may be out of date.
      if (error instanceof TakeoverError) io.exit(EXIT.restart);
      // Flags are served and reads answered on, from what is known to be on the disk.
      hasFailed = true;
    },
  );
  broker.scheduler.start();
  const keys = await listSigningKeys(broker.store.read);
  const isKeyNew = keys.some((key) => key.created_ms >= startedMs);
  const refusal = await broker.store.writeRefusal();
  const lines = [
    ...describeStart(config, broker, { isNew, isKeyNew }),
    ...(refusal === null
      ? []
      : [
          `warning         writes are refused (${refusal.code}); flags are still served.`,
          `                ${refusal.message}`,
        ]),
    ...warnings(config),
    ...broker.warnings.flatMap(({ detail }) => [`warning         ${detail}`]),
  ];
  for (const line of lines) {
    io.stderr(`${line}\n`);
  }
  await signals.first;
  io.stderr('stopping        after work in flight completes; a second signal ends the process immediately\n');
  await broker.close();
  // At the usual end of the process SQLite would take for written what the disk has lost.
  if (hasFailed) io.exit(EXIT.restart);
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
  deps: Pick<Parameters<typeof startBroker>[0], 'config' | 'clock' | 'log' | 'force' | 'consoleFolder'>,
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

/** Describes the start, one line per step. */
function describeStart(
  config: Config,
  { policy, unknownOperations, masterKey, url }: Broker,
  { isNew, isKeyNew }: { isNew: boolean; isKeyNew: boolean },
): string[] {
  const bundle = config.policy_bundle ?? '';
  return [
    `countersign     ${loadVersion()}`,
    `configuration   ${config.file ?? 'no file; environment variables and defaults'}`,
    `database        ${isNew ? 'created' : 'opened'} ${shownDatabase(config.database)}`,
    ...describeMasterKey(masterKey),
    `signing keys    ${isKeyNew ? 'generated the first key' : 'loaded'}`,
    ...describePolicy(policy, bundle),
    ...describeUnknown(unknownOperations),
    `listening       ${url}`,
  ];
}

function describeMasterKey({ kind, from, sealed, isPreviousIdle }: Broker['masterKey']): string[] {
  return [
    `master key      ${kind === 'made' ? 'generated in' : 'loaded from'} ${from}`,
    ...(kind === 'made'
      ? [
          'warning         the master key decrypts every secret in the database. Move it into a secret store, and refer to it with',
          '                master_key_file or COUNTERSIGN_MASTER_KEY. Never back it up together with the database.',
        ]
      : []),
    ...(sealed > 0 ? [`secrets         ${sealed} resealed under the master key`] : []),
    ...(isPreviousIdle
      ? [
          'warning         no secret is sealed under the previous master key. Remove it from the configuration.',
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
        `warning         ${bundle} cannot be read, which does not affect the active policy: ${policy.detail}`,
      ];
    case 'differs':
      return [
        `policy          active ${policy.hash}`,
        `warning         ${bundle} is a different policy, ${policy.file_hash}, and was NOT activated.`,
        '                The active policy is in the database. Replacing a file does not change it.',
        '                Configure the bundle of the active policy to remove this warning.',
      ];
  }
}

function describeUnknown(operations: readonly string[]): string[] {
  if (operations.length === 0) return [];
  return [
    `warning         the active policy does not know these operations, and denies them: ${operations.join(', ')}.`,
    '                Add each to config/operations of its bundle, with the roles that grant it (see docs/policy.md, "An',
    '                older bundle"), build the bundle, and activate it.',
  ];
}

const LOOPBACK_HOSTS: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost']);

function warnings({ issuers, listen, public_url }: Config): string[] {
  return [
    ...(issuers.length === 0
      ? ['warning         no issuers are configured, so no sign-in is possible. Add one under "issuers".']
      : []),
    ...(!LOOPBACK_HOSTS.has(listen.host) && public_url?.startsWith('https:') !== true
      ? [
          `warning         the broker listens on ${listen.host} and public_url is not https: tokens would be sent unencrypted.`,
          '                Use a TLS proxy and set public_url to its https address.',
        ]
      : []),
  ];
}
