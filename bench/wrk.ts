import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { askOnce } from './connection.ts';
import { type Latencies, mergeLatencies } from './latency.ts';
import type { Measurement, Run } from './load.ts';
import type { Load } from './measure.ts';

const run = promisify(execFile);
const SCRIPT = fileURLToPath(new URL('wrk.lua', import.meta.url));

/** An answer that differs by more from the first one was not the one that is measured. */
const MAX_BYTES_BESIDE = 0.1;

/** The program: `WRK`, or what the path has. @returns null if there is none */
export async function findWrk(): Promise<string | null> {
  const program = process.env.WRK ?? 'wrk';
  // It prints its version with its usage, and fails.
  const said = await run(program, ['--version']).catch((error: { stdout?: string }) => error);
  return said.stdout?.startsWith('wrk ') === true ? program : null;
}

/**
 * Fixed requests by `wrk`, a generator in C on one thread. It has no warm-up of its own, measures whole seconds, and
 * counts a late answer also for the requests that it kept from being sent.
 */
export function createWrk(program: string): Load {
  return {
    ask: async (job) => {
      const expected = await sizeOfAnswer(job);
      const folder = await mkdtemp(join(tmpdir(), 'countersign-wrk-'));
      try {
        const file = join(folder, 'requests');
        await writeFile(file, job.requests.map((each) => `${Buffer.byteLength(each)}\n${each}`).join(''));
        return read(await runOn(program, job, file), job, expected);
      } finally {
        await rm(folder, { recursive: true });
      }
    },
  };
}

/** `wrk` only knows whether a status is an error. @returns the size of an answer */
async function sizeOfAnswer({ url, requests, status }: Run): Promise<number> {
  const answer = await askOnce(url, requests[0] ?? '');
  if (answer.status !== status) throw new Error(`expected ${status}: ${answer.head}`);
  return answer.head.length + 4 + answer.body.length;
}

/** Has the shell take the processor time, because Node tells that of no other process. */
async function runOn(program: string, { url, clients, measureMs }: Run, file: string): Promise<Spent> {
  const seconds = Math.max(1, Math.round(measureMs / 1000));
  const command = 'TIMEFORMAT="%U %S"; time "$@"';
  const options = ['-t1', `-c${clients}`, `-d${seconds}s`, '-s', SCRIPT, url, '--', file];
  const { stdout, stderr } = await run('bash', ['-c', command, 'wrk', program, ...options]);
  const [user = Number.NaN, system = Number.NaN] = stderr.trim().split(' ').map(Number);
  return { stdout, busy: (user + system) / seconds };
}

interface Spent {
  stdout: string;
  busy: number;
}

function read({ stdout, busy }: Spent, { scenario, url }: Run, expected: number): Measurement {
  const numbers = (word: string) =>
    stdout
      .split('\n')
      .filter((line) => line.startsWith(`${word} `))
      .map((line) => line.split(' ').slice(1).map(Number));
  const [[units = 0, us = 0, bytes = 0, failed = 0] = []] = numbers('counted');
  if (units === 0 || failed > 0)
    throw new Error(`${failed} of ${units} ${scenario} failed at ${url}\n${stdout}`);
  const each = bytes / units;
  if (Math.abs(each / expected - 1) > MAX_BYTES_BESIDE) {
    throw new Error(`an answer of ${url} has ${each} bytes, not ${expected} as the first one`);
  }
  const latencies: Latencies = numbers('latency').map(([value = 0, count = 0]) => [value, count]);
  return {
    perSecond: (units * 1e6) / us,
    latencies: mergeLatencies([latencies]),
    units,
    loadBusy: busy,
  };
}
