import { execFile } from 'node:child_process';
import { access, cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { TOGGLE_FLAGS, toggleFlag } from '../flags.ts';
import { readArchive } from '../floor-policy.ts';
import type { Server } from '../measure.ts';
import type { Stage } from '../stage.ts';
import { freePort, startOutside } from './outside.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Where `policies/build.sh` builds it, too. */
const PROGRAM = join(ROOT, '.cache/bin/opa');

/** Flags with one rule each, as a policy. */
const FLAGS = `package flags

evaluation := {"key": input.flag, "value": variant == "on", "variant": variant, "reason": "TARGETING_MATCH"}

default variant := "off"

variant := "on" if input.context.organization in data.rules[input.flag].organizations
`;

/** Builds the pinned version of it. @throws Error if Go is missing or too old */
export async function installOpa(): Promise<string> {
  const isThere = await access(PROGRAM).then(
    () => true,
    () => false,
  );
  if (isThere) return PROGRAM;
  const env = { ...process.env, GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local', CGO_ENABLED: '0' };
  const options = ['-C', join(ROOT, 'tools/opa'), '-buildvcs=false', '-trimpath', '-o', PROGRAM];
  try {
    await run('go', ['build', ...options, 'github.com/open-policy-agent/opa'], { env });
  } catch (error) {
    throw new Error(`It needs Go 1.26 or later to be built from tools/opa: ${(error as Error).message}`);
  }
  return PROGRAM;
}

/** Starts it on the broker's policy: the Rego that the module is built from, with the data of the bundle. */
export async function startOpaOnPolicy(program: string, stage: Stage): Promise<Server> {
  const folder = stage.file('opa-policy');
  // That of the bundle lacks the entry points: they are in the module alone.
  await cp(join(ROOT, 'policies/countersign'), join(folder, 'countersign'), {
    recursive: true,
    filter: (path) => !path.endsWith('_test.rego'),
  });
  const data = (await readArchive(stage.bundleFile)).get('data.json');
  await writeFile(join(folder, 'data.json'), data ?? '');
  return start(program, folder);
}

/** Starts it on the flags of the toggles. */
export async function startOpaOnFlags(program: string, stage: Stage): Promise<Server> {
  const folder = stage.file('opa-flags');
  await mkdir(folder);
  const rules = Array.from({ length: TOGGLE_FLAGS }, (_, place) => [
    toggleFlag(place),
    { organizations: ['acme', 'org-1'] },
  ]);
  await writeFile(join(folder, 'flags.rego'), FLAGS);
  await writeFile(join(folder, 'data.json'), JSON.stringify({ rules: Object.fromEntries(rules) }));
  return start(program, folder);
}

async function start(program: string, folder: string): Promise<Server> {
  const address = `127.0.0.1:${await freePort()}`;
  const url = `http://${address}`;
  return startOutside({
    command: program,
    args: ['run', '--server', '--addr', address, '--log-level', 'error', '--skip-version-check', folder],
    url,
    isReady: async () => (await fetch(`${url}/health`)).ok,
  });
}
