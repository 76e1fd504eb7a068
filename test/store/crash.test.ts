import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { findContradictions } from '../support/log-oracle.ts';
import { createPlace } from '../support/place.ts';
import { IS_POSTGRES } from '../support/postgres-server.ts';
import { asFile } from '../support/sqlite/copied.ts';
import { integrityOf } from '../support/sqlite/file.ts';
import { readRequests } from '../support/sqlite/rows.ts';
import { createRandom } from '../support/story.ts';

/*
 * A process that is killed at any point leaves all of a write or nothing of it, and nothing that it acknowledged is
 * lost. What a power failure takes besides is shown in `power-loss.test.ts`.
 */

const CHILD = fileURLToPath(new URL('../support/crash-child.ts', import.meta.url));
const HAS_STRACE = spawnSync('strace', ['-e', 'trace=none', 'true']).status === 0;

/** On a server, two processes write on one database, and both are killed. */
const NAMES = IS_POSTGRES ? ['a', 'b'] : ['a'];
const ROUNDS = IS_POSTGRES ? 2 : 8;
const LEAST = IS_POSTGRES ? 20 : 50;
const LONGEST_MS = IS_POSTGRES ? 1000 : 250;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-crash-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs the child until it is killed. @returns the ids of the requests that it acknowledged, and how it ended */
function runChild(file: string, run: string, options: { killAfterMs?: number; inject?: string }) {
  const command = [process.execPath, CHILD, file, run];
  const traced = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', `inject=${options.inject}`, ...command];
  const [program = '', ...args] = options.inject === undefined ? command : traced;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    const isFirst = output === '';
    output += String(chunk);
    if (isFirst && options.killAfterMs !== undefined)
      setTimeout(() => child.kill('SIGKILL'), options.killAfterMs);
  });
  child.stderr.on('data', (chunk) => {
    errors += String(chunk);
  });
  return new Promise<{ acknowledged: string[]; errors: string }>((resolve) => {
    child.on('close', () => {
      // A last line without its end was not said to anybody.
      const lines = output.split('\n').slice(0, -1);
      resolve({ acknowledged: lines.filter((line) => line !== 'ready'), errors });
    });
  });
}

/** Opens the database as a restart does, and expects it whole. */
async function expectWhole(database: string, acknowledged: readonly string[]): Promise<number> {
  const store = await openStore({ file: database, clock: systemClock });
  const file = await asFile({ file: database, folder });
  expect(integrityOf(file)).toBe('ok');
  expect(await findContradictions(file)).toEqual([]);
  const applied = new Set(
    readRequests(file)
      .filter((row) => row.state === 'applied')
      .map((row) => row.id),
  );
  expect(acknowledged.filter((id) => !applied.has(id))).toEqual([]);
  await store.close();
  return applied.size;
}

describe('a process that is killed', () => {
  it('at random moments, again and again on one database, loses nothing that it acknowledged', async () => {
    const { database, remove } = await createPlace();
    const random = createRandom(41);
    const acknowledged: string[] = [];
    // However slow the machine is: until enough was acknowledged.
    for (let round = 0; round < ROUNDS || acknowledged.length <= LEAST; round += 1) {
      const killed = NAMES.map((name) =>
        runChild(database, `${name}${round}`, { killAfterMs: random() * LONGEST_MS }),
      );
      for (const { acknowledged: said, errors } of await Promise.all(killed)) {
        expect(errors).toBe('');
        acknowledged.push(...said);
      }
      await expectWhole(database, acknowledged);
    }
    await remove();
  }, 300_000);
});

describe.skipIf(IS_POSTGRES)('a process on a file that is killed', () => {
  it.each([1, 5, 23, 60, 140, 300])(
    'in the middle of its %i. write to the file leaves all or nothing, from the first start on',
    async (turn) => {
      const file = join(folder, `write-${turn}.db`);
      // Without strace the process is killed by the clock, at moments that differ as the turns do.
      const how = HAS_STRACE ? { inject: `pwrite64:signal=SIGKILL:when=${turn}` } : { killAfterMs: turn };
      const { acknowledged } = await runChild(file, 'w', how);
      await expectWhole(file, acknowledged);
    },
  );

  it.each([1, 6, 12])('at its %i. synchronization leaves all or nothing', async (turn) => {
    const file = join(folder, `sync-${turn}.db`);
    const how = HAS_STRACE
      ? { inject: `fsync,fdatasync:signal=SIGKILL:when=${turn}` }
      : { killAfterMs: turn * 7 };
    const { acknowledged } = await runChild(file, 's', how);
    await expectWhole(file, acknowledged);
  });
});

describe.skipIf(IS_POSTGRES)('a disk that fails to synchronize', () => {
  it.skipIf(!HAS_STRACE)('acknowledges nothing that it could not make durable', async () => {
    const file = join(folder, 'eio.db');
    const { acknowledged, errors } = await runChild(file, 'e', {
      inject: 'fsync,fdatasync:error=EIO:when=8+',
    });
    expect(errors).toMatch(/not_recorded|SQLITE_IOERR|could not make the decision durable/);
    await expectWhole(file, acknowledged);
  });
});
