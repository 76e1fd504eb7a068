import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLog } from '../../src/logger.ts';
import { createScheduler, type ScheduledJob } from '../../src/schedule/scheduler.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { HAS_STRACE } from '../support/file-trace.ts';
import { creation, propose } from '../support/flags.ts';
import { findContradictions, readLog } from '../support/log-oracle.ts';
import { statementsDuring } from '../support/sqlite/file.ts';
import { readRequests, readVersions, refuseWrites } from '../support/sqlite/rows.ts';

/*
 * Many requests that are due at the same moment: they share transactions, everybody else goes first, and each is decided on
 * its own.
 */

describe('requests that are due together', () => {
  const COUNT = 110;
  let t: TestBroker;
  let errors: string[];
  let ids: string[];

  beforeEach(async () => {
    errors = [];
    t = await startTestBroker({ log: createLog('error', { write: (line: string) => errors.push(line) }) });
    const flags = Array.from({ length: COUNT }, (_, place) => `due-${place}`);
    const definition = { tier: 'informational' };
    const inStaging = { environment: 'staging' };
    for (let from = 0; from < COUNT; from += 10) {
      const changes = flags.slice(from, from + 10).map((flag) => creation(flag, definition));
      expect((await propose(t, changes, inStaging)).body.state).toBe('applied');
    }
    const start_ms = t.clock() + 60_000;
    ids = [];
    for (const flag of flags) {
      const { body } = await propose(t, [{ action: 'enable', flag }], { ...inStaging, start_ms });
      expect(body.state).toBe('ready');
      ids.push(body.id);
    }
    t.clock.set(start_ms);
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await t.close();
  });

  /** The ids of the requests that were applied, sorted, each as often as there is a record of it. */
  const applied = () =>
    readLog(t.file)
      .flatMap(({ request }) => (request?.to === 'applied' && ids.includes(request.id) ? [request.id] : []))
      .toSorted();

  it('share transactions, and each has its own record', async () => {
    const statements = await statementsDuring(() => t.broker.scheduler.tick());
    const commits = statements.filter((statement) => /^commit/i.test(statement)).length;
    // Twenty-five each, and a few of the other jobs.
    expect(commits).toBeGreaterThanOrEqual(5);
    expect(commits).toBeLessThan(20);
    expect(applied()).toEqual(ids.toSorted());
  });

  it('stop at once where a freeze arrives in the middle', async () => {
    const { writer } = t.broker.store;
    const write = writer.write.bind(writer);
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    let begun = 0;
    let freezing: Promise<Reply> | undefined;
    vi.spyOn(writer, 'write').mockImplementation((work, lane) => {
      const written = write(async (tx, afterCommit) => {
        if (lane === 'scheduled') begun += 1;
        if (begun === 30 && freezing === undefined) {
          const freeze = { scope: 'environment', environment: 'staging', incident: 'I', reason: 'x' };
          freezing = t.call('riley', 'POST', '/v1/freezes', freeze);
          await arrived;
        }
        return work(tx, afterCommit);
      }, lane);
      if (lane === 'emergency') arrive();
      return written;
    });
    await t.broker.scheduler.tick();
    expect((await freezing)?.status).toBe(201);
    // It waits for the batch in which it arrives only, which ends with the fiftieth.
    const entries = readLog(t.file).filter(({ operation }) => /freeze.engage|request.apply/.test(operation));
    expect(entries.map(({ operation, result }) => `${operation} ${result.effect}`)).toEqual([
      ...Array(50).fill('request.apply allow'),
      'freeze.engage allow',
      ...Array(COUNT - 50).fill('request.apply deny'),
    ]);
    const states = readRequests(t.file).filter(({ id }) => ids.includes(id));
    expect(states.filter(({ state }) => state === 'applied')).toHaveLength(50);
    expect(states.filter(({ state }) => state === 'ready')).toHaveLength(COUNT - 50);
  });

  it('that can neither be settled nor postponed wait for the next look', async () => {
    const heal = refuseWrites(t.file);
    await t.broker.scheduler.tick();
    const failed = errors.filter((line) => line.includes('could not settle a request'));
    expect(failed).toHaveLength(100);
    heal();
    await t.broker.scheduler.tick();
    expect(applied()).toEqual(ids.toSorted());
  });
});

describe('a process that is killed while it applies what is due', () => {
  const COUNT = 60;
  const CHILD = fileURLToPath(new URL('../support/due-child.ts', import.meta.url));
  let folder: string;
  let prepared: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-due-'));
    prepared = join(folder, 'prepared');
    await mkdir(prepared);
    expect(await run([CHILD, join(prepared, 'due.db'), 'prepare', String(COUNT)])).toEqual({
      signal: null,
      code: 0,
      errors: '',
    });
  }, 120_000);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Runs a program, and kills it so long after its first output; null lets it end. */
  async function run(
    words: string[],
    { killAfterMs = null as number | null, program = process.execPath } = {},
  ) {
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors += String(chunk);
    });
    if (killAfterMs !== null)
      child.stdout.once('data', () => setTimeout(() => child.kill('SIGKILL'), killAfterMs));
    child.stdout.resume();
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    return { code, signal, errors };
  }

  it.each([2, 25, 60])('at its %i. write to the log of the database applies each once', async (turn) => {
    const killedIn = join(folder, `killed-${turn}`);
    await cp(prepared, killedIn, { recursive: true });
    const file = join(killedIn, 'due.db');
    const apply = [CHILD, file, 'apply'];
    // Without strace the process is killed by the clock, at moments that differ as the turns do.
    const killed = HAS_STRACE
      ? await run(
          [
            '-f',
            '-qq',
            '-o',
            '/dev/null',
            '-e',
            `inject=pwrite64:signal=SIGKILL:when=${turn}`,
            process.execPath,
            ...apply,
          ],
          { program: 'strace' },
        )
      : await run(apply, { killAfterMs: turn });
    expect(killed).toMatchObject({ signal: 'SIGKILL', errors: '' });
    expect(await run(apply)).toEqual({ signal: null, code: 0, errors: '' });
    expect(await findContradictions(file)).toEqual([]);
    const log = readLog(file);
    const due = log.flatMap(({ request }) => (request?.to === 'ready' ? [request.id] : []));
    const applied = log.flatMap(({ operation, request }) =>
      operation === 'request.apply' && request?.to === 'applied' ? [request.id] : [],
    );
    expect(due).toHaveLength(COUNT);
    expect(applied.toSorted()).toEqual(due.toSorted());
    const versions = readVersions(file).filter(({ environment }) => environment === 'production');
    expect(versions.map(({ version }) => version).toSorted()).toEqual([
      ...Array(COUNT).fill(1),
      ...Array(COUNT).fill(2),
    ]);
  });
});

describe('a job that has more to do', () => {
  it('goes on at once, after the others had their turn, until it is stopped', async () => {
    vi.useFakeTimers();
    const ran: string[] = [];
    const hasMore = vi
      .fn(() => false)
      .mockReturnValueOnce(true)
      .mockReturnValueOnce(true);
    const jobs: ScheduledJob[] = [
      { name: 'a', writes: false, alone: false, run: async () => void ran.push('a'), hasMore },
      { name: 'b', writes: false, alone: false, run: async () => void ran.push('b') },
    ];
    const scheduler = createScheduler({
      jobs,
      writeRefusal: async () => null,
      isScheduler: async () => true,
      log: createLog('silent'),
    });
    scheduler.start();
    await vi.advanceTimersByTimeAsync(1000);
    expect(ran).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
    hasMore.mockReturnValue(true);
    vi.advanceTimersByTime(1000);
    await scheduler.stop();
    expect(ran).toHaveLength(8);
    vi.useRealTimers();
  });
});
