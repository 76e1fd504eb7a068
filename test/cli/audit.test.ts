import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { appendTo } from '../support/entries.ts';
import { createFlag, propose } from '../support/flags.ts';
import { readLeaves } from '../support/sqlite/log.ts';
import { createTerminal, type Terminal } from './support.ts';

/* Evidence out of the log, and its verification without a broker. */

let t: TestBroker;
let terminal: Terminal;
let decision: string;
let key: string;

beforeAll(async () => {
  t = await startTestBroker({ forged: true, config: { public_url: 'https://flags.example' } });
  terminal = createTerminal(t);
  await createFlag(t, 'proved');
  decision = (await propose(t, [{ action: 'enable', flag: 'proved' }])).body.decision_id;
  await grow(300);
  key = join(t.folder, 'log.key');
  await writeFile(key, (await terminal.as('avery', 'audit', 'key')).out);
});
afterAll(() => t.close());

/** Appends so many records, and lets the next checkpoint have them. */
async function grow(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await appendTo(t.broker.store);
  t.clock.advance(1000);
}

const newFolder = () => mkdtemp(join(t.folder, 'log-'));
/** A broker that nobody can reach. */
const alone = ['--broker', 'http://127.0.0.1:9'];

describe('audit key', () => {
  it('is for everybody, without a sign-in', async () => {
    const { code, out } = await terminal.run('audit', 'key');
    expect(code).toBe(0);
    expect(out).toBe(await readFile(key, 'utf8'));
    expect((await terminal.run('audit', 'key', ...alone)).code).toBe(1);
  });
});

describe('audit proof', () => {
  it('is verified with nothing but the file and the key', async () => {
    const file = join(t.folder, 'change.tlog-proof');
    const written = await terminal.as('avery', 'audit', 'proof', decision, '--out', file, '--json');
    const { place } = written.json;
    expect(written.code).toBe(0);
    const { code, json } = await terminal.run('audit', 'verify-proof', file, '--key', key, '--json');
    expect(code).toBe(0);
    expect(json).toMatchObject({
      place,
      index: place - 1,
      record: { id: decision, operation: 'request.propose' },
    });
    const { out } = await terminal.run('audit', 'verify-proof', file, '--key', await readFile(key, 'utf8'));
    expect(out).toMatch(/place \d+ of the log flags\.example\/log\/[0-9a-f]{8}\/1/);
  });

  it('is printed where no file is named, and found by place', async () => {
    const { out } = await terminal.as('avery', 'audit', 'proof', '1');
    expect(out.split('\n').slice(0, 3)).toEqual([
      'c2sp.org/tlog-proof@v1',
      expect.stringMatching(/^extra /),
      'index 0',
    ]);
    const piped = createTerminal(t, { readStdin: async () => out });
    expect((await piped.run('audit', 'verify-proof', '-', '--key', key)).code).toBe(0);
  });

  it('of another record, log or key is refused, and says why', async () => {
    const file = join(t.folder, 'wrong.tlog-proof');
    const { out } = await terminal.as('avery', 'audit', 'proof', decision);
    const [, extra = ''] = out.split('\n');
    const forged = Buffer.from(extra.slice(6), 'base64')
      .toString()
      .replace('"request.propose"', '"request.approve"');
    for (const [text, message] of [
      [out.replace(extra, `extra ${Buffer.from(forged).toString('base64')}`), 'does not show that this leaf'],
      [out.replace(/^index .*$/m, 'index 7'), 'does not show that this leaf'],
      [out.replace(/^index .*$/m, 'index 9007199254740993'), 'no valid "index" line'],
      [out.replace('flags.example', 'other.example'), 'is of another log'],
      [out.slice(0, -30), 'LOG_FAULT'],
      ['', 'not a proof file'],
    ] as const) {
      await writeFile(file, text);
      const { code, err, json } = await terminal.run('audit', 'verify-proof', file, '--key', key, '--json');
      expect([code, json.code]).toEqual([6, 'log_fault']);
      expect(`${err}${json.detail}`).toContain(message === 'LOG_FAULT' ? '' : message);
    }
  });

  it.each([
    [['audit', 'verify-proof', 'nowhere', '--key', 'nowhere'], 'nowhere cannot be read'],
    [['audit', 'verify-proof', 'nowhere'], "required option '--key <key>'"],
    [['audit', 'verify-proof', 'nowhere', '--key', 'a+00000000+AAAA'], '--key'],
  ])('%j is a wrong command line', async (argv, message) => {
    const { code, err } = await terminal.run(...argv);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });

  it('is for auditors only', async () => {
    const { code, err } = await terminal.as('dana', 'audit', 'proof', decision);
    expect(code).toBe(4);
    expect(err).toContain('flag-auditor');
  });
});

describe('publish and verify', () => {
  it('publish a log that is valid without the broker, and keep it up to date', async () => {
    const folder = await newFolder();
    await grow(0);
    const first = await terminal.as('avery', 'publish', '--log', folder, '--json');
    expect(first.code).toBe(0);
    const size = readLeaves(t.file).length;
    expect(first.json).toMatchObject({ size });
    const older = join(t.folder, 'older');
    await cp(join(folder, 'checkpoint'), older);
    expect((await terminal.as('avery', 'publish', '--log', folder, '--json')).json).toMatchObject({
      files: 0,
    });

    await grow(250);
    const second = await terminal.as('avery', 'publish', '--log', folder, '--key', key, '--json');
    expect(second.json).toMatchObject({ size: size + 250 });
    // The partial tiles of the former checkpoint are complete now.
    expect(await readdir(join(folder, 'tile/0'))).toEqual(
      ['000', '001', expect.stringMatching(/^002\.p$/)].slice(0, size + 250 > 512 ? 3 : 2),
    );
    const { code, json } = await terminal.run('verify', folder, '--key', key, '--since', older, '--json');
    expect(code).toBe(0);
    expect(json).toMatchObject({ size: size + 250, since: size });
  });

  it('verify the log of the broker itself', async () => {
    const { code, out } = await terminal.as('avery', 'verify', '--key', key);
    expect(code).toBe(0);
    expect(out).toContain('is valid');
  });

  it('name the first fault, with its place', async () => {
    const folder = await newFolder();
    await terminal.as('avery', 'publish', '--log', folder);
    const bundle = join(folder, 'tile/entries/000');
    const good = await readFile(bundle);
    const at = good.indexOf('"policy.activate"') + 3;
    await writeFile(bundle, Buffer.from(good).fill('x', at, at + 1));
    const changed = await terminal.run('verify', folder, '--key', key);
    expect(changed.code).toBe(6);
    expect(changed.err).toContain('The record at place 1 was changed');
    await writeFile(bundle, good);
    await rm(join(folder, 'tile/0/000'));
    expect((await terminal.run('verify', folder, '--key', key)).err).toContain('tile/0/000 cannot be read');
    await rm(join(folder, 'checkpoint'));
    expect((await terminal.run('verify', folder, '--key', key)).err).toContain(
      'The file checkpoint cannot be read',
    );
  });

  it('find a log that was cut off, or has another history', async () => {
    const folder = await newFolder();
    await terminal.as('avery', 'publish', '--log', folder);
    const older = join(t.folder, 'newer');
    await grow(1);
    await writeFile(older, await (await fetch(`${t.url}/log/checkpoint`)).text());
    const { code, err } = await terminal.run('verify', folder, '--key', key, '--since', older);
    expect(code).toBe(6);
    expect(err).toContain('The log was cut off');
  });

  it('publish no log into the folder of another, and leave it as it was', async () => {
    const folder = await newFolder();
    await writeFile(join(folder, 'checkpoint'), 'other.example\n1\nAAAA\n\n— other.example AAAA\n');
    const { code, err } = await terminal.as('avery', 'publish', '--log', folder);
    expect(code).toBe(6);
    expect(err).toContain('publish to another place');
    expect(await readdir(folder)).toEqual(['checkpoint']);
  });

  it('continue what an interrupted run left', async () => {
    const folder = await newFolder();
    const whole = (await terminal.as('avery', 'publish', '--log', folder, '--json')).json.files;
    await rm(join(folder, 'checkpoint'));
    await rm(join(folder, 'tile/0/000'));
    await writeFile(join(folder, 'tile/entries/000'), 'torn');
    const again = (await terminal.as('avery', 'publish', '--log', folder, '--json')).json;
    expect(again.files).toBe(3);
    expect(whole).toBeGreaterThan(3);
    expect((await terminal.run('verify', folder, '--key', key)).code).toBe(0);
  });

  it('publish with --follow until they are stopped', async () => {
    const folder = await newFolder();
    let stop: () => void = () => undefined;
    let pauses = 0;
    const following = createTerminal(t, {
      onStopSignal: (listener) => {
        stop = listener;
        return () => undefined;
      },
      sleep: async () => {
        pauses += 1;
        if (pauses === 1) await grow(3);
        else stop();
      },
    });
    const { code, err } = await following.as('avery', 'publish', '--log', folder, '--follow');
    expect(code).toBe(0);
    expect(err).toMatch(/Published \d+ records/);
    const { json } = await terminal.run('verify', folder, '--key', key, '--json');
    expect(json.size).toBe(readLeaves(t.file).length);
  });

  it('need no broker where they read a folder, and say when there is none', async () => {
    const { code } = await terminal.as('avery', 'verify', '--key', key, ...alone);
    expect(code).toBe(1);
  });
});
