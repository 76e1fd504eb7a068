import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { CHILD_ENV } from './child-env.ts';

/** The command line. */
export const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** A broker, or a relay, in a process of its own. */
export interface Serving {
  child: ChildProcessByStdio<null, Readable, Readable>;
  /** What it has printed for people so far. */
  err(): string;
  /** Resolves once that text is there, or the process has ended. */
  until(text: string): Promise<void>;
  exit: Promise<number | null>;
}

/**
 * Serves in a folder.
 *
 * @param options.command what serves: the broker, unless it is given
 * @param options.before what the shell does first
 * @param options.within the command that runs it all, with its arguments
 */
export function serveIn(
  folder: string,
  {
    command = 'serve',
    env = {},
    words = [],
    before = '',
    within = [],
  }: {
    command?: 'serve' | 'relay';
    env?: Record<string, string | undefined>;
    words?: string[];
    before?: string;
    within?: string[];
  } = {},
): Serving {
  const line = `${before} exec "$0" "$@"`;
  const [program = '', ...rest] = [...within, 'sh', '-c', line, process.execPath, MAIN, command, ...words];
  const child = spawn(program, rest, {
    cwd: folder,
    env: { ...CHILD_ENV, COUNTERSIGN_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  child.stdout.resume();
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  const exit = once(child, 'close').then(([code]) => code as number | null);
  return {
    child,
    err: () => printed,
    exit,
    until: async (text) => {
      while (!printed.includes(text)) {
        const ended = await Promise.race([
          once(child.stderr, 'data').then(() => false),
          exit.then(() => true),
        ]);
        if (ended) throw new Error(`it ended without "${text}":\n${printed}`);
      }
    },
  };
}

/** The address that it listens on, once it does. */
export async function listening(serving: Serving): Promise<string> {
  await serving.until('listening');
  await serving.until('\n');
  return /listening\s+([^\s,]+)/.exec(serving.err())?.[1] ?? '';
}

/** Stops it, and lets it finish. @returns its exit status */
export async function stop(serving: Serving): Promise<number | null> {
  serving.child.kill('SIGTERM');
  return serving.exit;
}
