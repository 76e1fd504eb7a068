import { generateKeyPairSync } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '../../src/logger.ts';
import { signCheckpoint } from '../../src/tree/checkpoint.ts';
import { noteSigner } from '../../src/tree/note.ts';
import { createTerminal } from '../cli/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { appendTo } from '../support/entries.ts';
import { createFlag, readFlag } from '../support/flags.ts';
import { act } from '../support/operator.ts';
import { record } from '../support/pass-time.ts';
import { damageTable } from '../support/sqlite/file.ts';
import { alterLog, readHead, readLeaves } from '../support/sqlite/log.ts';

/* A broker that finds its own log truncated, forked, rolled back or edited. */

let t: TestBroker;
let published: string;
/** What the broker has logged. */
let logged: string[];

beforeEach(async () => {
  logged = [];
  published = await mkdtemp(join(tmpdir(), 'countersign-published-'));
  t = await startTestBroker({
    forged: true,
    log: createLog('warn', { write: (line: string) => logged.push(line) }),
    config: { public_url: 'https://flags.example', published_log: [published] },
  });
  await createFlag(t, 'watched');
});
afterEach(async () => {
  await t.close();
  await rm(published, { recursive: true, force: true });
});

/** The database and everything beside it: a whole disk, as far as the broker knows. */
const DISK = ['', '.acknowledged', '.checkpoint'];

/** Lets the broker sign, and publishes what it signed. */
async function publish(): Promise<void> {
  t.clock.advance(1000);
  const { code, err } = await createTerminal(t).as('avery', 'publish', '--log', published);
  expect([code, err]).toEqual([0, '']);
}

async function keepDisk(files = DISK): Promise<() => Promise<void>> {
  await t.broker.close();
  for (const end of files) await cp(`${t.file}${end}`, `${t.file}${end}.kept`);
  await t.restart();
  return async () => {
    await t.broker.close();
    for (const end of files) await cp(`${t.file}${end}.kept`, `${t.file}${end}`);
    await t.restart();
  };
}

async function expectStopped(code: 'restored_copy' | 'log_altered'): Promise<string> {
  const { body } = await t.call(null, 'GET', '/readyz?for=writes');
  expect([body.status, body.refusal?.code]).toEqual(['not_ready', code]);
  const answer = await t.call('avery', 'GET', '/v1/decisions');
  expect([answer.status, answer.body.code]).toEqual([503, code]);
  const checkpoint = await t.call(null, 'GET', '/v1/log');
  expect([checkpoint.status, checkpoint.body.code]).toEqual([503, code]);
  expect((await readFlag(t, 'watched')).key).toBe('watched');
  // Whoever asks for reads only learns of it, too.
  const reads = await t.call(null, 'GET', '/readyz');
  expect(reads.status).toBe(200);
  return body.refusal.detail;
}

const metric = async () =>
  /^countersign_log_intact (\d)$/m.exec(await (await fetch(`${t.url}/metrics`)).text())?.[1];

describe('a disk that was restored whole', () => {
  it('is noticed where the log is published, also when that is out of reach later', async () => {
    await publish();
    const restore = await keepDisk();
    expect(await record(t)).toBe(200);
    await publish();
    expect(await metric()).toBe('1');
    await restore();
    expect(await expectStopped('restored_copy')).toContain(`It is published at ${published}`);
    expect(await metric()).toBe('0');
    expect((await t.call(null, 'GET', '/readyz')).body.warnings).toEqual([
      { code: 'restored_copy', detail: expect.stringContaining('older copy') },
    ]);
    await rm(join(published, 'checkpoint'));
    await t.restart();
    await expectStopped('restored_copy');
  });

  it('goes on as another log after a confirmed restore, whose first record commits the former one', async () => {
    await publish();
    const restore = await keepDisk();
    await record(t);
    await publish();
    const lost = await readFile(join(published, 'checkpoint'), 'utf8');
    const [origin, size, root] = lost.split('\n');
    await restore();
    await t.broker.close();
    expect((await act(t, 'accept-restore')).code).toBe(0);
    await t.restart();
    const { epoch } = readHead(t.file);
    expect(epoch).toBe(2);
    const first = JSON.parse(readLeaves(t.file).at(-1)?.leaf ?? '');
    expect(first).toMatchObject({
      operation: 'restore.accept',
      follows: { epoch: 1, origin, size: Number(size), root },
    });
    expect((await t.call(null, 'GET', '/v1/log')).body.origin).toMatch(/\/2$/);
    const terminal = createTerminal(t);
    const vkey = (await terminal.as('avery', 'audit', 'key')).out.trim();
    const verified = await terminal.as('avery', 'verify', '--key', vkey, '--json');
    expect([verified.code, verified.json.restores.items]).toMatchObject([
      0,
      [{ origin, size: Number(size), root }],
    ]);
    const former = (...folders: string[]) =>
      terminal.as(
        ...['avery', 'verify', '--key', vkey, '--json'],
        ...folders.flatMap((folder) => ['--former', folder]),
      );
    const [{ place }] = verified.json.restores.items;
    const whole = await former(published);
    expect([whole.code, whole.json.former_logs]).toEqual([
      0,
      [{ origin, size: Number(size), followed_at: place, common: place - 1 }],
    ]);
    // Another history, a log that was cut off, and one that no restore names.
    const at = (path: string) => join(published, path);
    for (const [path, change] of [
      [`tile/entries/000.p/${size}`, (text: string) => text.replace('watched', 'Watched')],
      ['checkpoint', (text: string) => text.replace(`\n${size}\n`, `\n${Number(size) - 1}\n`)],
      ['checkpoint', (text: string) => text.replace(String(origin), 'flags.example/log/7')],
    ] as const) {
      const good = await readFile(at(path), 'latin1');
      await writeFile(at(path), change(good), 'latin1');
      const { code, json } = await former(published);
      expect([code, json.fault]).toEqual([6, 'former_other']);
      await writeFile(at(path), good, 'latin1');
    }
    expect((await former(join(published, 'none'))).json.code).toBe('log_fault');
    expect((await t.call(null, 'GET', '/readyz?for=writes')).status).toBe(200);
    await t.restart();
    expect((await t.call(null, 'GET', '/readyz?for=writes')).status).toBe(200);
  });

  it('has another name each time that it is restored', async () => {
    await publish();
    const restore = await keepDisk(['']);
    const origins: string[] = [];
    for (let turn = 0; turn < 2; turn += 1) {
      expect(await record(t)).toBe(200);
      await restore();
      await t.broker.close();
      expect((await act(t, 'accept-restore')).code).toBe(0);
      await t.restart();
      origins.push((await t.call(null, 'GET', '/v1/log')).body.origin);
    }
    expect(origins.map((origin) => origin.split('/').at(-1))).toEqual(['2', '3']);
  });

  it('is noticed by the checkpoint beside the database alone', async () => {
    await publish();
    const restore = await keepDisk(['', '.acknowledged']);
    await record(t);
    t.clock.advance(1000);
    await fetch(`${t.url}/log/checkpoint`);
    await rm(join(published, 'checkpoint'));
    await restore();
    expect(await expectStopped('restored_copy')).toContain('was signed');
  });
});

describe('a fork', () => {
  it('is noticed while the broker runs, and stops it for good', async () => {
    await publish();
    const restore = await keepDisk();
    await record(t);
    await publish();
    const other = await readFile(join(published, 'checkpoint'));
    await rm(join(published, 'checkpoint'));
    await restore();
    // As long as the other one, with other records.
    await record(t);
    await record(t);
    expect(await metric()).toBe('1');
    await writeFile(join(published, 'checkpoint'), other);
    t.clock.advance(10 * 60 * 1000);
    await t.broker.scheduler.tick();
    expect(await expectStopped('restored_copy')).toContain('another history');
  });
});

describe('a place that says something else', () => {
  let server: Server | null = null;
  afterEach(() => server?.close());

  it.each([
    ['nothing', null],
    ['no checkpoint', 'hello'],
    ['a checkpoint of another log', 'other.example/log/1\n5\nAAAA\n\n— other.example/log/1 AAAAAAAA\n'],
  ])('stops nothing with %s, and is named', async (_, text) => {
    if (text !== null) await writeFile(join(published, 'checkpoint'), text);
    await t.restart();
    const { body } = await t.call(null, 'GET', '/readyz?for=writes');
    expect(body.status).toBe('ready');
    expect(body.warnings).toMatchObject([{ code: 'published_log_unknown' }]);
    // Everybody may read this answer, and only the operator the log.
    expect(body.warnings[0].detail).not.toMatch(/other\.example|\//);
    expect(logged.join('')).toContain(published);
    await rm(join(published, 'checkpoint'), { force: true });
    await publish();
    t.clock.advance(10 * 60 * 1000);
    await t.broker.scheduler.tick();
    expect((await t.call(null, 'GET', '/readyz')).body.warnings).toBeUndefined();
  });

  it('stops nothing with a longer log that a stranger signed, or a key that was rotated out', async () => {
    await publish();
    const { origin } = (await t.call(null, 'GET', '/v1/log')).body;
    const stranger = noteSigner(origin, generateKeyPairSync('ed25519').privateKey);
    const forged = signCheckpoint({ size: 1_000_000, root: Buffer.alloc(32, 1) }, stranger);
    await writeFile(join(published, 'checkpoint'), forged);
    await t.restart();
    expect(await record(t)).toBe(200);
    const { body } = await t.call(null, 'GET', '/readyz');
    expect(body.warnings).toMatchObject([{ code: 'published_log_unknown' }]);
    expect(logged.join('')).toContain('there is no signature of');
  });

  it('may be an address', async () => {
    await publish();
    const note = await readFile(join(published, 'checkpoint'));
    server = createServer((request, response) => {
      response.statusCode = request.url === '/log/checkpoint' ? 200 : 404;
      response.end(note);
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server?.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const file = join(t.folder, 'countersign.yaml');
    const config = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...config, published_log: [`http://127.0.0.1:${port}/log/`] }));
    const restore = await keepDisk();
    expect((await t.call(null, 'GET', '/readyz')).body.warnings).toBeUndefined();
    await restore();
    expect(await record(t)).toBe(200);
  });

  it('may be an address whose answer never ends, which is not read', async () => {
    const ended = Promise.withResolvers<void>();
    server = createServer((_, response) => {
      response.on('close', ended.resolve);
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(10_000, 'a')));
      };
      response.on('drain', more);
      more();
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server?.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const file = join(t.folder, 'countersign.yaml');
    const config = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...config, published_log: [`http://127.0.0.1:${port}/log`] }));
    await t.restart();
    await ended.promise;
    const { body } = await t.call(null, 'GET', '/readyz');
    expect(body.warnings).toMatchObject([{ code: 'published_log_unknown' }]);
    expect(logged.join('')).toContain('its answer is too long');
  });
});

describe('a log that was edited', () => {
  beforeEach(async () => {
    for (let turn = 0; turn < 530; turn += 1) await appendTo(t.broker.store);
    await publish();
  });

  it.each([
    [
      'a record of a complete bundle',
      'update leaves set leaf = replace(leaf, \'"allow"\', \'"deny"\') where place = 3',
    ],
    ['a hash of the tree', 'update log_tiles set hashes = zeroblob(8192) where level = 0 and tile = 1'],
    ['its root', "update log_head set root = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='"],
    ['its right edge', 'update log_head set frontier = upper(frontier)'],
    ['the number of its records', 'delete from leaves where place = 7'],
    [
      'a record at its end',
      "update leaves set leaf = leaf || ' ' where place = (select max(place) from leaves)",
    ],
    ['a root of a tile', 'update log_tiles set root = zeroblob(32) where level = 0 and tile = 0'],
  ])('in %s is noticed at the start and while it runs, and is no copy to accept', async (what, statement) => {
    await t.broker.close();
    await cp(t.file, `${t.file}.sound`);
    alterLog(t.file, statement);
    await t.restart();
    // What beside the database says that it is another log comes first.
    const isOther = what === 'a record at its end' || what === 'a root of a tile';
    await expectStopped(isOther ? 'restored_copy' : 'log_altered');
    await t.broker.close();
    const accepted = await act(t, 'accept-restore');
    expect(accepted.code).not.toBe(0);
    await rm(`${t.file}-wal`, { force: true });
    await cp(`${t.file}.sound`, t.file);
    await t.restart();
    expect((await t.call(null, 'GET', '/readyz?for=writes')).status).toBe(200);
    alterLog(t.file, statement);
    t.clock.advance(10_000);
    await t.broker.scheduler.tick();
    await expectStopped('log_altered');
  });

  it('in a way that makes one tree again is another history than the one that was signed', async () => {
    const restore = await keepDisk(['']);
    await record(t);
    t.clock.advance(1000);
    await fetch(`${t.url}/log/checkpoint`);
    await rm(`${t.file}.acknowledged`);
    alterLog(t.file, "delete from meta where key = 'mark_kept'");
    await restore();
    await expectStopped('restored_copy');
  });
});

it('a tile that cannot be read stops writes at a start, and flags are served', async () => {
  await Promise.all(Array.from({ length: 300 }, () => appendTo(t.broker.store)));
  await t.broker.close();
  damageTable(t.file, 'log_tiles');
  await t.restart();
  expect((await readFlag(t, 'watched')).key).toBe('watched');
  const { body } = await t.call(null, 'GET', '/readyz?for=writes');
  expect([body.status, body.refusal?.code]).toEqual(['not_ready', 'store_damaged']);
});
