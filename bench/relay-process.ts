import { mkdir, writeFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Server } from './measure.ts';
import { freePort, startOutside } from './peers/outside.ts';
import type { Stage } from './stage.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
/** Any text that is long enough. */
const TICKET_SECRET = 'a secret of the benchmark, for nothing else';

/** The real relay: `countersign relay` in a process of its own. It can be started again, on the same state folder. */
export interface RelayProcess {
  /** Starts it, and resolves once it serves production. */
  start(): Promise<Server>;
  /** Gives it another token of its platform, as the platform does in time. */
  renew(): Promise<void>;
}

/** A relay and its broker, and the token of an application. */
export interface RelaySetting extends Pick<RelayProcess, 'start'> {
  broker: Server;
  relay: Server;
  token: string;
}

const LONGEST_MS = 60_000;
const LOOK_EVERY_MS = 20;

/** Waits until something holds. @throws Error that says what does not */
export async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  const endsMs = performance.now() + LONGEST_MS;
  while (!(await holds())) {
    if (performance.now() > endsMs) throw new Error(`it never came that ${what}`);
    await setTimeout(LOOK_EVERY_MS);
  }
}

/** Writes the bootstrap file of a relay of production at a broker. */
export async function configureRelay(stage: Stage, broker: string): Promise<RelayProcess> {
  const { key } = (await (await fetch(`${broker}/v1/log`)).json()) as { key: string };
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const renew = async () => writeFile(stage.file('relay-token'), await stage.relayToken());
  await mkdir(stage.file('relay-state'));
  await renew();
  await writeFile(stage.file('relay-secret'), TICKET_SECRET);
  const config = {
    name: 'bench',
    source: { broker },
    identity: { token_file: 'relay-token' },
    keys: [key],
    environments: ['production'],
    state_folder: 'relay-state',
    listen: { port },
    ticket_secret_file: 'relay-secret',
    // As the generator of load writes it.
    hosts: ['bench'],
    attempts_per_minute: 0,
    log_level: 'warn',
  };
  await writeFile(stage.file('relay.yaml'), JSON.stringify(config));
  return {
    renew,
    start: () =>
      startOutside({
        command: process.execPath,
        args: [MAIN, 'relay', '--config', stage.file('relay.yaml')],
        url,
        isReady: async () => (await fetch(`${url}/readyz`)).ok,
      }),
  };
}
