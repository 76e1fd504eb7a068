import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { TOGGLE_FLAGS, toggleFlag } from '../flags.ts';
import type { Server } from '../measure.ts';
import type { Stage } from '../stage.ts';
import { freePort, startOutside } from './outside.ts';

const run = promisify(execFile);

/** The program that `FLAGD` names. @throws Error if there is none */
export async function installFlagd(): Promise<string> {
  const program = process.env.FLAGD;
  if (program === undefined || program === '') {
    throw new Error('It is in no package registry. Name its binary: make bench PEERS=1 FLAGD=/path/to/flagd');
  }
  await run(program, ['version']);
  return program;
}

/** Starts it on the flags of the toggles, each with one rule. */
export async function startFlagd(program: string, stage: Stage): Promise<Server> {
  const flags = Array.from({ length: TOGGLE_FLAGS }, (_, place) => [
    toggleFlag(place),
    {
      state: 'ENABLED',
      variants: { on: true, off: false },
      defaultVariant: 'off',
      targeting: { if: [{ in: [{ var: 'organization' }, ['acme', 'org-1']] }, 'on', 'off'] },
    },
  ]);
  const file = stage.file('flagd.json');
  await writeFile(file, JSON.stringify({ flags: Object.fromEntries(flags) }));
  const [port, management, ofrep, sync] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const ports = {
    '--port': port,
    '--management-port': management,
    '--ofrep-port': ofrep,
    '--sync-port': sync,
  };
  const url = `http://127.0.0.1:${ofrep}`;
  return startOutside({
    command: program,
    args: ['start', '--uri', `file:${file}`, ...Object.entries(ports).flat().map(String)],
    url,
    isReady: async () => {
      const path = `/ofrep/v1/evaluate/flags/${toggleFlag(0)}`;
      const response = await fetch(`${url}${path}`, { method: 'POST', body: '{"context":{}}' });
      return response.ok;
    },
  });
}
