import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RelayStatus } from '../../src/relay/status.ts';
import { bodyFile, openBody } from '../../src/snapshot/body.ts';
import { openLatest } from '../../src/snapshot/latest.ts';
import type { TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag } from '../support/flags.ts';
import { newSigner } from '../support/forged-snapshots.ts';
import { HAS_MOUNTS, HAS_STRACE, within } from '../support/own-store.ts';
import { readAt, until } from '../support/relay.ts';
import { forgedVersion, publish, type RelaySourceServer, startRelaySource } from '../support/relay-source.ts';
import { listening, type Serving, serveIn, stop } from '../support/serving.ts';
import { logKeyOf, readerToken, startPublishingBroker } from '../support/snapshots.ts';

/* The command, in a process of its own: it starts from its disk, is killed at any moment, and obeys signals. */

let folder: string;
let running: Serving | null = null;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relay-process-'));
  await mkdir(join(folder, 'state'));
});
afterEach(async () => {
  running?.child.kill('SIGKILL');
  await running?.exit;
  running = null;
  await rm(folder, { recursive: true, force: true });
});

async function configure(config: Record<string, unknown>): Promise<void> {
  await writeFile(
    join(folder, 'relay.yaml'),
    JSON.stringify({
      name: 'relay-1',
      environments: ['production'],
      state_folder: 'state',
      listen: { port: 0 },
      poll_seconds: 1,
      ...config,
    }),
  );
}

function start(inside: string[] = []): Serving {
  const words = ['--config', 'relay.yaml'];
  // Of several threads, strace counts the calls of each.
  const env = { UV_THREADPOOL_SIZE: '1' };
  running = serveIn(folder, { command: 'relay', words, env, within: inside });
  return running;
}

async function statusOf(url: string): Promise<RelayStatus['environments'][string]> {
  const { environments } = (await (await fetch(`${url}/status`)).json()) as RelayStatus;
  const { production } = environments;
  if (production === undefined) throw new Error('the relay has no such environment');
  return production;
}

describe('with a broker', () => {
  let t: TestBroker;
  beforeAll(async () => {
    t = await startPublishingBroker();
    t.clock.follow();
    await createFlag(t, 'shown', { tier: 'informational' });
    await applyChanges(t, [{ action: 'enable', flag: 'shown' }]);
    await t.broker.scheduler.tick();
  });
  afterAll(() => t.close());

  it('it gets its tokens from a file, and without the broker serves what it kept, also after it was killed', async () => {
    const token = await readerToken(t);
    await writeFile(join(folder, 'token'), `${await t.ci.checkoutToken()}\n`);
    await writeFile(join(folder, 'log.key'), (await logKeyOf(t)).vkey);
    await configure({
      source: { broker: t.url },
      identity: { token_file: 'token' },
      keys: ['log.key'],
    });
    const first = start();
    const url = await listening(first);
    await until(
      () => statusOf(url),
      ({ state, connection }) => state === 'fresh' && connection.state === 'streaming',
    );
    expect((await readAt({ url }, 'shown', {}, token)).body.value).toBe(true);
    await until(
      async () =>
        (await readdir(join(folder, 'state', 'production'))).filter((name) => /^l|^r/.test(name)).join(),
      (names) => names === 'latest.json,readers.json',
    );
    first.child.kill('SIGKILL');
    await first.exit;

    const { url: gone } = t;
    await t.broker.close();
    await expect(fetch(gone)).rejects.toThrow();
    const second = start();
    const again = await listening(second);
    expect(second.err()).toMatch(/environment +production: version \d+ from disk, fresh/);
    expect((await readAt({ url: again }, 'shown', {}, token)).body.value).toBe(true);
    expect((await readAt({ url: again }, 'shown', {}, `${token}x`)).status).toBe(401);
    await until(
      () => statusOf(again),
      ({ faults }) => faults.some(({ code }) => code === 'token_refused'),
    );
    expect(await stop(second)).toBe(0);
    await t.restart();
  });
});

describe('with a published place', () => {
  const signer = newSigner();
  let source: RelaySourceServer;
  beforeAll(async () => {
    source = await startRelaySource();
  });
  afterAll(() => source.close());
  beforeEach(() => {
    source.answers.clear();
    source.asked.clear();
    return configure({ source: { place: source.url }, keys: [signer.verifier.vkey] });
  });

  const nowS = Math.floor(Date.now() / 1000);
  const version = (number: number, others: Parameters<typeof forgedVersion>[3] = {}) =>
    forgedVersion(signer, number, { iat: nowS, exp: nowS + 3600 }, others);

  /** What lies in the state folder names what is there, whole. Null: nothing was kept yet. */
  async function keptVersion(): Promise<number | null> {
    const place = join(folder, 'state', 'production');
    const latest = await readFile(join(place, 'latest.json')).catch(() => null);
    if (latest === null) return null;
    const expected = { keys: [signer.verifier], environment: 'production', nowMs: Date.now() };
    const pointer = await openLatest(latest, expected);
    return openBody(await readFile(join(place, bodyFile(pointer))), pointer).version;
  }

  it.skipIf(!HAS_STRACE)(
    'killed at any step of keeping a version, it has kept the one before or the new one, whole',
    async () => {
      const found: (number | null)[] = [];
      for (const step of [1, 2, 3, 4]) {
        await rm(join(folder, 'state', 'production'), { recursive: true, force: true });
        source.asked.clear();
        publish(source, version(5));
        const inject = `inject=rename,renameat,renameat2:signal=KILL:when=${step}`;
        const serving = start(['strace', '-f', '-qq', '-o', '/dev/null', '-e', inject]);
        await until(
          () => source.asked.get('production/latest.json') ?? 0,
          (asked) => asked >= 1,
        );
        if (step > 2) {
          await until(keptVersion, (number) => number === 5);
          publish(source, version(6));
        }
        await serving.exit;
        found.push(await keptVersion());
      }
      expect(found[0]).toBeNull();
      expect([null, 5]).toContain(found[1]);
      expect(found[2]).toBe(5);
      expect([5, 6]).toContain(found[3]);
      source.answers.clear();
      await listening(start());
      expect(running?.err()).toContain(`version ${found[3]} from disk`);
      expect(
        (await readdir(join(folder, 'state', 'production'))).filter((name) => name.endsWith('.damaged')),
      ).toEqual([]);
    },
  );

  it.skipIf(!HAS_MOUNTS)('with a full disk, it serves from memory, and says so', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 300 }, (_, place) => [`flag-${place}`, 'release' as const]),
    );
    publish(source, version(5, many));
    const state = join(folder, 'state');
    const url = await listening(start(within(`mount -t tmpfs -o size=64k none '${state}'`)));
    const status = await until(
      () => statusOf(url),
      ({ faults }) => faults.some(({ code }) => code === 'disk_failed'),
    );
    expect(status).toMatchObject({ version: 5 });
    expect(status.faults.map(({ detail }) => detail).join()).toContain('ENOSPC');
  });

  it('at SIGHUP it reads its bootstrap file again, says what is wrong with it, and goes on', async () => {
    const restored = newSigner('flags.example/log/2');
    publish(source, version(5));
    const serving = start();
    const url = await listening(serving);
    await until(
      () => statusOf(url),
      (status) => status.version === 5,
    );
    publish(source, forgedVersion(restored, 3, { iat: nowS, exp: nowS + 3600 }));
    await configure({ source: { place: source.url }, keys: ['nothing'] });
    serving.child.kill('SIGHUP');
    const { config_fault } = await until(
      async () => (await (await fetch(`${url}/status`)).json()) as RelayStatus,
      (status) => status.config_fault !== null,
    );
    expect(config_fault).toMatchObject({ code: 'config_unusable' });
    expect(config_fault?.detail).toContain('keys.0: nothing is neither a key nor a readable file');
    await configure({
      source: { place: source.url },
      keys: [signer.verifier.vkey, restored.verifier.vkey],
    });
    serving.child.kill('SIGHUP');
    await until(
      () => statusOf(url),
      (status) => status.epoch === 2 && status.version === 3,
    );
    expect(await stop(serving)).toBe(0);
    expect(serving.err()).toContain('stopped');
  });
});
