import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/tree/checkpoint.ts';
import { keysOfNote, parseVerifier } from '../../src/tree/note.ts';
import { createTerminal, type Terminal } from '../cli/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { appendTo } from '../support/entries.ts';
import { readLeaves } from '../support/sqlite/log.ts';
import { logKeyTexts } from '../support/sqlite/secrets.ts';

/* The handover of the log to a new key, as an operator does it and as strangers see it. */

const DAY_MS = 24 * 60 * 60 * 1000;

let t: TestBroker;
let terminal: Terminal;

beforeEach(async () => {
  t = await startTestBroker({ config: { public_url: 'https://flags.example' } });
  terminal = createTerminal(t);
});
afterEach(() => t.close());

const keyOf = async (): Promise<string> => (await t.call(null, 'GET', '/v1/log')).body.key;
const idOf = (vkey: string) => parseVerifier(vkey).id;

async function checkpoint(): Promise<string> {
  t.clock.advance(1000);
  return (await fetch(`${t.url}/log/checkpoint`)).text();
}
const signersOf = (note: string) => keysOfNote(note).map(({ id }) => id);

async function rotate(...more: string[]) {
  return terminal.as('morgan', 'keys', 'rotate', '--log', ...more, '--json');
}

describe('a rotation of the log key', () => {
  it('is committed by a record, and both keys sign until the former retires', async () => {
    const former = await keyOf();
    expect(signersOf(await checkpoint())).toEqual([idOf(former)]);
    const { code, json } = await rotate();
    expect(code).toBe(0);
    expect(json).toMatchObject({ former, retires_ms: t.clock() + 30 * DAY_MS });
    const leaf = readLeaves(t.file).at(json.place - 1)?.leaf ?? '';
    expect(JSON.parse(leaf)).toMatchObject({ operation: 'key.rotate', log_key: { former, key: json.key } });
    expect((await t.call(null, 'GET', '/v1/log')).body).toMatchObject({
      key: json.key,
      former_keys: [former],
    });
    const note = await checkpoint();
    expect(signersOf(note)).toEqual([idOf(json.key), idOf(former)]);
    for (const vkey of [former, json.key]) openCheckpoint(note, parseVerifier(vkey));
    t.clock.advance(30 * DAY_MS);
    expect(signersOf(await checkpoint())).toEqual([idOf(json.key)]);
    await t.restart();
    expect(signersOf(await checkpoint())).toEqual([idOf(json.key)]);
    expect((await t.call(null, 'GET', '/v1/log')).body.former_keys).toEqual([]);
  });

  it('leaves no private part of the former key once it has retired', async () => {
    await keyOf();
    await rotate('--overlap-days', '1');
    expect(logKeyTexts(t.file).map((text) => text === '')).toEqual([false, false]);
    // What is over is told by a clock that has run steadily.
    for (let hour = 0; hour < 60; hour += 1) {
      await appendTo(t.broker.store);
      t.clock.advance(DAY_MS / 24);
      await t.broker.scheduler.tick();
    }
    expect(logKeyTexts(t.file).map((text) => text === '')).toEqual([true, false]);
    await t.restart();
    expect((await rotate()).code).toBe(0);
  });

  it('happens at once where the former key may be known to others', async () => {
    const former = await keyOf();
    const { json } = await rotate('--overlap-days', '0');
    const note = await checkpoint();
    expect(signersOf(note)).toEqual([idOf(json.key)]);
    expect(() => openCheckpoint(note, parseVerifier(former))).toThrow('there is no signature');
  });

  it('is one of several at once', async () => {
    await keyOf();
    const answers = await Promise.all(
      [1, 2, 3].map(() => t.call('morgan', 'POST', '/v1/log/keys/rotate', {})),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 201).length).toBeGreaterThan(0);
    expect(statuses.every((status) => status === 201 || status === 409)).toBe(true);
    const done = statuses.filter((status) => status === 201).length;
    const handovers = readLeaves(t.file).filter(({ leaf }) => leaf.includes('"log_key"'));
    expect(handovers).toHaveLength(done);
    expect(logKeyTexts(t.file)).toHaveLength(done + 1);
  });

  it('needs the permission that rotating keys needs, and is recorded as refused without a key', async () => {
    await keyOf();
    const { status, body } = await t.call('dana', 'POST', '/v1/log/keys/rotate', {});
    expect([status, body.code]).toEqual([403, 'policy_denied']);
    expect(readLeaves(t.file).some(({ leaf }) => leaf.includes('"log_key"'))).toBe(false);
    expect(logKeyTexts(t.file)).toHaveLength(1);
  });
});

describe('whoever verifies the log', () => {
  it('follows the keys from any, refuses one that was rotated out, and publishes on', async () => {
    const first = await keyOf();
    const folder = await mkdtemp(join(t.folder, 'published-'));
    await terminal.as('avery', 'publish', '--log', folder, '--key', first);
    const before = await readFile(join(folder, 'checkpoint'), 'utf8');
    const older = join(t.folder, 'older');
    await writeFile(older, before);
    for (let turn = 0; turn < 2; turn += 1) {
      await rotate('--overlap-days', '0');
      t.clock.advance(1000);
    }
    const latest = await keyOf();
    for (const pinned of [first, latest]) {
      const published = await terminal.as('avery', 'publish', '--log', folder, '--key', pinned, '--json');
      expect([published.code, published.json.key]).toEqual([0, latest]);
      const verified = await terminal.run(...['verify', folder, '--key', pinned, '--since', older, '--json']);
      expect([verified.code, verified.json.keys.length]).toEqual([0, 3]);
    }
    const { out } = await terminal.run('verify', folder, '--key', first);
    expect(out).toContain(`Keep the new one: ${latest}`);
    // Whoever has the first key puts an older checkpoint, or one of his own, in the place of the present one.
    await writeFile(join(folder, 'checkpoint'), before);
    expect((await terminal.run('verify', folder, '--key', latest)).code).toBe(6);
  });

  it('has the log published on by a run that began before the keys moved', async () => {
    const folder = await mkdtemp(join(t.folder, 'published-'));
    let stop: () => void = () => undefined;
    const steps = [
      () => rotate(),
      () => rotate('--overlap-days', '0'),
      () => appendTo(t.broker.store),
      async () => stop(),
    ];
    const following = createTerminal(t, {
      onStopSignal: (listener) => {
        stop = listener;
        return () => undefined;
      },
      sleep: async () => {
        await steps.shift()?.();
        t.clock.advance(1000);
      },
    });
    const { code } = await following.as('avery', 'publish', '--log', folder, '--follow');
    expect(code).toBe(0);
    const note = await readFile(join(folder, 'checkpoint'), 'utf8');
    expect(signersOf(note)).toEqual([idOf(await keyOf())]);
  });
});
