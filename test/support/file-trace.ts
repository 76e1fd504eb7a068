import { spawn, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';

/*
 * What a process does to files, in order, as strace sees it.
 */

export const HAS_STRACE = spawnSync('strace', ['-e', 'trace=none', 'true']).status === 0;

/** One call of the system. */
export interface FileCall {
  /** The thread that made it. */
  thread: number;
  name: string;
  /** The file. */
  path: string;
  /** What was written, and where. */
  data: Buffer;
  offset: number;
  /** Whether it did what it should. */
  succeeded: boolean;
  /** Its place in the order of all beginnings and ends. */
  began: number;
  ended: number;
}

const CALLS = 'pwrite64,write,fsync,fdatasync,ftruncate';

/**
 * Runs a program until it ends, or has printed enough.
 *
 * @param options.log where strace writes
 * @param options.isEnough called with all of its output; the program is killed once it says so
 */
export async function traceFiles(
  command: readonly string[],
  options: { log: string; isEnough: (output: string) => boolean },
): Promise<{ calls: FileCall[]; main: number; errors: string }> {
  const quiet = ['-f', '-qq', '-y', '-xx', '-s', '100000', '-e', 'signal=none', '-e', `trace=${CALLS}`];
  const child = spawn('strace', [...quiet, '-o', options.log, ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: without strace the program would go on.
    detached: true,
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
    if (options.isEnough(output) && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  });
  child.stderr.on('data', (chunk) => {
    errors += String(chunk);
  });
  await new Promise((resolve) => child.on('close', resolve));
  const lines = (await readFile(options.log, 'latin1')).split('\n');
  return { calls: readCalls(lines), main: Number.parseInt(lines[0] ?? '', 10), errors };
}

function readCalls(lines: readonly string[]): FileCall[] {
  const calls: FileCall[] = [];
  const begun = new Map<number, { text: string; at: number }>();
  for (const [at, line] of lines.entries()) {
    const [, id = '', text = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    const thread = Number(id);
    const unfinished = text.indexOf(' <unfinished ...>');
    if (unfinished !== -1) {
      begun.set(thread, { text: text.slice(0, unfinished), at });
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text);
    const start = begun.get(thread);
    const whole = resumed === null ? text : `${start?.text}${resumed[1]}`;
    const call = readCall(whole);
    const began = resumed === null ? at : (start?.at ?? at);
    if (call !== null) calls.push({ ...call, thread, began, ended: at });
  }
  return calls;
}

function readCall(text: string): Omit<FileCall, 'thread' | 'began' | 'ended'> | null {
  const [, name, place, rest = '', result] = /^(\w+)\(\d+<([^>]*)>(.*)\)\s+= (-?\d+)/.exec(text) ?? [];
  if (name === undefined || place === undefined) return null;
  const [, written = '', numbers = ''] = /^, "([^"]*)"(?:\.\.\.)?(.*)$/.exec(rest) ?? ['', '', rest];
  const offset = Number(numbers.split(', ').at(-1) ?? 0);
  return { name, path: readable(place), data: bytesOf(written), offset, succeeded: Number(result) >= 0 };
}

function readable(text: string): string {
  return text.includes('\\x') ? bytesOf(text).toString() : text;
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex');
}
