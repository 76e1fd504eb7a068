import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CHILD_ENV } from '../support/child-env.ts';
import { HAS_MOUNTS, within } from '../support/own-store.ts';
import { serveIn } from '../support/serving.ts';

/* What the system may refuse to a first start: it says what to do in one line, and leaves nothing behind. */

const DEMO = fileURLToPath(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));

/** A user without rights. Root may do everything, and is taken for another one. */
const NOBODY =
  process.getuid?.() === 0
    ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all']
    : [];
const [setpriv = 'true', ...words] = NOBODY;
const HAS_NOBODY = spawnSync(setpriv, [...words, process.execPath, '--version']).status === 0;
if (!HAS_NOBODY) process.stderr.write('skipped: faults of permissions, because no other user can be taken\n');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-start-'));
  await chmod(folder, 0o777);
});
afterEach(async () => {
  await chmod(folder, 0o777);
  await rm(folder, { recursive: true, force: true });
});

/** Starts, and asserts that it says this in one line. */
async function expectRefused(
  says: RegExp,
  {
    status = 1,
    inside = [],
    env = {},
    args = [],
  }: { status?: number; inside?: string[]; env?: Record<string, string>; args?: string[] },
): Promise<void> {
  const options = { env: { COUNTERSIGN_POLICY_BUNDLE: DEMO, ...env }, within: inside, words: args };
  const serving = serveIn(folder, options);
  expect(await serving.exit, serving.err()).toBe(status);
  const [title, detail, ...more] = serving.err().trimEnd().split('\n');
  expect(title).toMatch(/^The broker was not started \((?:start_failed|config_unusable)\)$/);
  expect(detail).toMatch(says);
  expect(more).toEqual([]);
  expect(serving.err()).not.toMatch(/another broker|Flags are still served/);
}

describe.skipIf(!HAS_NOBODY)('a user who may not', () => {
  it('write the folder of the database', async () => {
    await chmod(folder, 0o555);
    await expectRefused(/\(EACCES\): this user may not open it: let the user who runs the broker/, {
      inside: NOBODY,
    });
    expect(await readdir(folder)).toEqual([]);
  });

  it('read the configuration', async () => {
    await writeFile(join(folder, 'countersign.yaml'), '{}');
    await chmod(join(folder, 'countersign.yaml'), 0o000);
    await expectRefused(
      /countersign\.yaml cannot be read: EACCES.* Let the user who runs the broker read it/,
      {
        status: 2,
        inside: NOBODY,
      },
    );
    expect(await readdir(folder)).toEqual(['countersign.yaml']);
  });

  it.skipIf(
    spawnSync('sh', ['-c', 'test "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -gt 80']).status,
  )('listen on a port of the system', async () => {
    await expectRefused(/port 80 \(EACCES\): .* Set a port from 1024 with listen\.port or COUNTERSIGN_PORT/, {
      inside: NOBODY,
      env: { COUNTERSIGN_PORT: '80' },
    });
    expect(await readdir(folder)).toEqual([]);
  });
});

describe.skipIf(!HAS_MOUNTS)('a disk that', () => {
  it('is read-only', async () => {
    await expectRefused(/\(EROFS\): it cannot be written: mount its disk writable/, {
      inside: within(`mount --bind '${folder}' '${folder}' && mount -o remount,bind,ro '${folder}'`),
    });
    expect(await readdir(folder)).toEqual([]);
  });

  it('is full', async () => {
    const disk = join(folder, 'disk');
    await mkdir(disk);
    // The folder has to be listed inside, where the disk is mounted.
    const list = `mount -t tmpfs -o size=64k x '${disk}' && trap 'ls -A "${disk}" >"${folder}/left"' EXIT && "$0" "$@"; exit $?`;
    await expectRefused(/\(ENOSPC\): the disk is full: free some space, then start again/, {
      inside: ['unshare', '-rm', 'sh', '-c', list],
      env: { COUNTERSIGN_DATABASE: join(disk, 'countersign.db') },
    });
    const left = spawnSync('cat', [join(folder, 'left')], { encoding: 'utf8' });
    expect([left.status, left.stdout]).toEqual([0, '']);
  });
});

describe('a start with --json', () => {
  it('that fails is one document, and nothing for people', () => {
    const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
    const env = { ...CHILD_ENV, COUNTERSIGN_DATABASE: 'nowhere/x.db' };
    const run = spawnSync(process.execPath, [MAIN, 'serve', '--json'], {
      cwd: folder,
      env,
      encoding: 'utf8',
    });
    expect([run.status, run.stderr]).toEqual([2, '']);
    expect(JSON.parse(run.stdout)).toMatchObject({
      code: 'config_unusable',
      detail: expect.stringContaining('does not exist; create it'),
    });
  });
});
