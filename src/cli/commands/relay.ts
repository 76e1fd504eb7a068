import { setInterval } from 'node:timers';
import type { Command } from 'commander';
import { createLog } from '../../logger.ts';
import { loadRelayConfig, type RelayConfig, RelayConfigError } from '../../relay/config.ts';
import { RelayFault } from '../../relay/fault.ts';
import { PACE } from '../../relay/pace.ts';
import { createRelay, type Relay, type RelaySource } from '../../relay/relay.ts';
import { addressSource, folderSource } from '../../relay/source.ts';
import type { ExchangeToken } from '../../relay/tokens.ts';
import { JWT_TYPE } from '../../tokens/exchange-form.ts';
import { loadVersion } from '../../version.ts';
import { exchangeUnbound } from '../auth/exchange.ts';
import { findExchangeTokens } from '../auth/exchange-tokens.ts';
import { readTokenFile } from '../auth/token-file.ts';
import type { Cli } from '../cli.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { listenForStop } from '../listen-for-stop.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';

/** How often the bootstrap file is compared with what was read. A mounted one is replaced without any notice. */
const LOOK_MS = 5000;

/** `relay`: serves verified snapshots near the applications. */
export function registerRelay(program: Command, cli: Cli): void {
  program
    .command('relay')
    .description(
      'serve the flags of environments near the applications, from verified snapshots, also without the broker',
    )
    .requiredOption('--config <file>', 'the bootstrap file')
    .option('--json', 'if it cannot start, say why as one JSON document')
    .addHelpText(
      'after',
      `
Examples:
  countersign relay --config relay.yaml

It logs to standard output, one JSON document per line. It reads the bootstrap file again when that changes, and at SIGHUP: new keys
and another staleness policy take effect at once, everything else with a restart.`,
    )
    .action((options: { config: string }) => cli.runLocal({}, () => run(cli.io, options.config)));
}

/** @throws CliError for an invalid bootstrap file, with all its faults; or when the relay cannot start */
async function run(io: Io, file: string): Promise<ExitCode> {
  const config = readConfig(file);
  const log = createLog(config.log_level);
  const signals = listenForStop(io);
  const startedMs = performance.now();
  const relay = await createRelay({
    ...{ name: config.name, listen: config.listen, hosts: config.hosts, log },
    environments: config.environments,
    settings: config.settings,
    folder: config.state_folder,
    source: sourceOf(io, config),
    flagdSync: config.flagd_sync,
    attemptsPerMinute: config.attempts_per_minute,
    proxies: { trusted: config.trusted_proxies, header: config.proxy_header },
    ...(config.public_url === undefined ? {} : { publicUrl: config.public_url }),
    ...(config.ticketSecret && { ticketSecret: config.ticketSecret }),
    clock: io.clock,
    fetch: io.fetch,
    pace: { pollMs: config.poll_seconds * 1000 },
  }).catch((error: Error) => {
    throw new CliError(EXIT.error, {
      code: 'relay_failed',
      title: 'The relay was not started',
      detail: error.message,
    });
  });
  const ms = Math.round(performance.now() - startedMs);
  for (const line of describeStart(config, relay, ms)) io.stderr(`${line}\n`);
  const forget = watchConfig(io, config, relay);
  await signals.first;
  io.stderr('stopping        after answers in flight; a second signal ends the process immediately\n');
  forget();
  await relay.close();
  signals.disarm();
  io.stderr('stopped\n');
  return EXIT.done;
}

function readConfig(file: string): RelayConfig {
  try {
    return loadRelayConfig(file);
  } catch (error) {
    if (!(error instanceof RelayConfigError)) throw error;
    throw new CliError(EXIT.usage, {
      code: 'config_unusable',
      title: 'The relay was not started',
      detail: error.message,
    });
  }
}

function sourceOf(io: Io, { source, identity }: RelayConfig): RelaySource {
  switch (source.kind) {
    case 'broker':
      return { ...source, exchange: exchangeFor(io, source.broker, identity.token_file) };
    case 'folder':
      return { kind: 'place', source: folderSource(source.folder) };
    default: {
      const { address, headers } = source;
      return {
        kind: 'place',
        source: addressSource({ address, headers, fetch: io.fetch, answerMs: PACE.answerMs }),
      };
    }
  }
}

/** The platform replaces its token, so it is read at each exchange. */
function exchangeFor(io: Io, broker: string, tokenFile: string | undefined): ExchangeToken {
  const find = async () =>
    tokenFile === undefined
      ? findExchangeTokens(io)
      : { subject_token: await readTokenFile(tokenFile), subject_token_type: JWT_TYPE };
  return async (audience) => {
    const identity = await find();
    if (identity === null)
      throw new Error(
        'this machine has no identity. Name the file with the token of its platform: identity.token_file in the bootstrap file, or COUNTERSIGN_SUBJECT_TOKEN_FILE',
      );
    const { access_token, expires_ms } = await exchangeUnbound(io, broker, { ...identity, audience });
    return { value: access_token, expiresMs: expires_ms };
  };
}

/** Takes over what may change while the relay runs. @returns a function that ends it */
function watchConfig(io: Io, config: RelayConfig, relay: Relay): () => void {
  const textOf = ({ settings: { keys, staleness } }: RelayConfig) =>
    JSON.stringify([keys.map(({ vkey }) => vkey), staleness]);
  let known = textOf(config);
  const look = (always: boolean) => {
    try {
      const now = loadRelayConfig(config.file);
      const text = textOf(now);
      relay.reloadFailed(null);
      if (text === known && !always) return;
      known = text;
      relay.reload(now.settings);
    } catch (error) {
      if (!(error instanceof RelayConfigError)) throw error;
      relay.reloadFailed(new RelayFault('config_unusable', error.message));
    }
  };
  const timer = setInterval(look, LOOK_MS, false);
  timer.unref();
  const forget = io.onReloadSignal?.(() => look(true));
  return () => {
    clearInterval(timer);
    forget?.();
  };
}

function describeStart(config: RelayConfig, relay: Relay, ms: number): string[] {
  const { environments, source } = relay.status();
  return [
    `countersign     ${loadVersion()}, relay ${config.name}`,
    `configuration   ${config.file}`,
    `source          ${source}`,
    ...Object.entries(environments).map(([name, { version, state }]) =>
      version === null
        ? `environment     ${name}: nothing kept; answers 503 until the first snapshot is verified`
        : `environment     ${name}: version ${version} from disk, ${state}`,
    ),
    ...relay.flagdSync.map((address) => `flagd sync      ${address}`),
    `listening       ${relay.url}, after ${ms} ms`,
  ];
}
