import { type ChildProcess, spawn } from 'node:child_process';
import { linkSync, symlinkSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { setMeta } from '../../src/store/installation.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { CHILD_ENV } from '../support/child-env.ts';
import { createFlag, propose } from '../support/flags.ts';
import { findContradictions } from '../support/log-oracle.ts';
import { HAS_MOUNTS, within } from '../support/own-store.ts';
import { MAIN } from '../support/serving.ts';
import { damageTable, integrityOf } from '../support/sqlite/file.ts';
import { readHead } from '../support/sqlite/log.ts';
import { readRequests } from '../support/sqlite/rows.ts';

/* A process that copies the file of a running broker, as an operator's job does. */

let t: TestBroker;
let folder: string;

beforeAll(async () => {
  t = await startTestBroker();
  folder = await mkdtemp(join(tmpdir(), 'countersign-backup-'));
  for (const key of ['one', 'two', 'three', 'four']) await createFlag(t, key, { tier: 'informational' });
});
afterAll(async () => {
  await t.close();
  await rm(folder, { recursive: true, force: true });
});

interface Outcome {
  status: number | null;
  out: string;
  err: string;
}

/** Runs the command. @param options.started called with its process */
function backup(
  words: string[],
  options: { database?: string; inside?: string[]; started?: (child: ChildProcess) => void } = {},
): Promise<Outcome> {
  const { database = t.file, inside = [], started } = options;
  const [program = '', ...rest] = [...inside, process.execPath, MAIN, 'backup', ...words];
  const env = { ...CHILD_ENV, HOME: folder, COUNTERSIGN_DATABASE: database };
  const child = spawn(program, rest, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const text = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text.out += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    text.err += chunk;
  });
  started?.(child);
  return new Promise((resolve) => child.on('close', (status) => resolve({ status, ...text })));
}

/** Everything in the folder whose name begins so. */
async function filesOf(name: string): Promise<string[]> {
  return (await readdir(folder)).filter((each) => each.startsWith(name));
}

describe('a backup of a running broker', () => {
  it('has every write that was acknowledged before, while others are written', async () => {
    const acknowledged: string[] = [];
    let isOver = false;
    const write = async (flag: string) => {
      for (let turn = 0; !isOver; turn += 1) {
        const action = turn % 2 === 0 ? 'enable' : 'disable';
        const { status, body } = await propose(t, [{ action, flag }]);
        expect(status).toBe(201);
        acknowledged.push(body.id);
      }
    };
    const writers = ['one', 'two', 'three', 'four'].map(write);
    for (let round = 0; round < 3; round += 1) {
      const to = join(folder, `load-${round}.db`);
      const before = [...acknowledged];
      const { status, out, err } = await backup([to, '--json']);
      expect({ status, err }).toMatchObject({ status: 0 });
      // It went on meanwhile.
      expect(acknowledged.length).toBeGreaterThan(before.length);
      const { installation, epoch, size, last_ms } = readHead(to);
      const bytes = (await stat(to)).size;
      expect(JSON.parse(out)).toEqual({ file: to, bytes, installation, epoch, size, last_ms });
      expect(integrityOf(to)).toBe('ok');
      expect(await findContradictions(to)).toEqual([]);
      const copied = new Set(readRequests(to).map(({ id }) => id));
      expect(before.filter((id) => !copied.has(id))).toEqual([]);
      expect((await stat(to)).mode & 0o077).toBe(0);
    }
    isOver = true;
    await Promise.all(writers);
    expect(await findContradictions(t.file)).toEqual([]);
  }, 180_000);

  it('opens as a database of its own, and in place of the database is noticed as older', async () => {
    const to = join(folder, 'alone.db');
    expect((await backup([to])).out).toMatch(/alone\.db is a verified copy of .*: \d+ bytes, \d+ records/);
    // One file that needs no other.
    expect(await filesOf('alone.db')).toEqual(['alone.db']);
    await createFlag(t, 'after', { tier: 'informational' });
    await cp(`${t.file}.acknowledged`, join(folder, 'place.db.acknowledged'));
    await cp(to, join(folder, 'place.db'));
    const store = await openStore({ file: join(folder, 'place.db'), clock: systemClock });
    expect(store.loss?.detail).toMatch(/older copy: its log ends at record \d+/);
    await store.close();
  }, 60_000);

  it('says how far it is, on standard error', async () => {
    const { out, err } = await backup([join(folder, 'progress.db'), '--json']);
    expect(err).toContain('the copy is being verified');
    expect(() => JSON.parse(out)).not.toThrow();
  });
});

describe('a backup is refused, and leaves everything as it was,', () => {
  it('over a file that exists, unless it is to be replaced', async () => {
    const to = join(folder, 'kept.db');
    await writeFile(to, 'kept');
    expect(await backup([to])).toMatchObject({
      status: 1,
      err: expect.stringMatching(/exists already.*--force/),
    });
    expect(await readFile(to, 'utf8')).toBe('kept');
    expect(await backup([to, '--force'])).toMatchObject({ status: 0 });
    expect(integrityOf(to)).toBe('ok');
  }, 60_000);

  it('onto the database or a file beside it, by any name', async () => {
    linkSync(`${t.file}.lock`, join(folder, 'lock-link'));
    symlinkSync(t.file, join(folder, 'link.db'));
    for (const to of [t.file, `${t.file}-wal`, `${t.file}.acknowledged`, 'link.db', 'lock-link']) {
      const { status, err } = await backup([to, '--force']);
      expect({ status, err }).toMatchObject({
        status: 1,
        err: expect.stringContaining('belongs to the database'),
      });
    }
    await rm(join(folder, 'lock-link'));
    await createFlag(t, 'later');
    expect((await propose(t, [{ action: 'enable', flag: 'later' }])).status).toBe(201);
  }, 60_000);

  it('without a database, a folder or a name of a file', async () => {
    await mkdir(join(folder, 'inner'));
    const cases: [string[], string | undefined, RegExp][] = [
      [['x.db'], join(folder, 'nothing.db'), /nothing\.db does not exist/],
      [[join('no', 'x.db')], undefined, /folder no does not exist/],
      [['inner'], undefined, /inner is a folder\. Name a file/],
    ];
    for (const [words, database, says] of cases) {
      const { status, err } = await backup(words, database === undefined ? {} : { database });
      expect({ status, err }).toMatchObject({ status: 1, err: expect.stringMatching(says) });
    }
    expect((await backup([])).status).toBe(2);
    const other = join(folder, 'other.txt');
    await writeFile(other, 'x'.repeat(5000));
    expect((await backup(['x.db'], { database: other })).err).toMatch(/is damaged.*SQLITE_NOTADB/);
    expect(await filesOf('x.db')).toEqual([]);
  }, 60_000);

  it('of a damaged database', async () => {
    const damaged = join(folder, 'damaged.db');
    await backup([damaged]);
    damageTable(damaged, 'votes');
    const { status, err } = await backup([join(folder, 'copy.db')], { database: damaged });
    expect({ status, err }).toMatchObject({ status: 1, err: expect.stringContaining('is damaged') });
    expect(await filesOf('copy.db')).toEqual([]);
  }, 60_000);

  it.skipIf(!HAS_MOUNTS)(
    'onto a disk that is too small',
    async () => {
      await mkdir(join(folder, 'small'));
      const small = join(folder, 'small');
      const inside = within(`mount -t tmpfs -o size=200k none '${small}'`);
      const { status, err } = await backup([join(small, 'x.db')], { inside });
      expect({ status, err }).toMatchObject({
        status: 1,
        err: expect.stringMatching(/could not be written \(SQLITE_FULL/),
      });
    },
    60_000,
  );

  it('that is stopped by a signal', async () => {
    const large = join(folder, 'large.db');
    const store = await openStore({ file: large, clock: systemClock });
    for (let count = 0; count < 60; count += 1)
      await store.writer.write((tx) => setMeta(tx, `large-${count}`, 'x'.repeat(1024 * 1024)));
    await store.close();
    const outcome = await backup([join(folder, 'stopped.db')], {
      database: large,
      started: (child) => child.stderr?.once('data', () => child.kill('SIGTERM')),
    });
    expect(outcome).toMatchObject({ status: 1, err: expect.stringContaining('stopped by a signal') });
    expect(await filesOf('stopped.db')).toEqual([]);
  }, 60_000);
});
