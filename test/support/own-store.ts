import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { CHILD_ENV } from './child-env.ts';

const CHILD = fileURLToPath(new URL('./store-child.ts', import.meta.url));

/** Whether the system lets this user mount file systems in a space of its own. */
export const HAS_MOUNTS = spawnSync('unshare', ['-rm', 'true']).status === 0;
/** Whether system calls can be made to fail. */
export const HAS_STRACE = spawnSync('strace', ['-e', 'trace=none', 'true']).status === 0;

/** A store in a process of its own. */
export interface OwnStore {
  pid: number;
  /** What it said first: that it is open, or why not. */
  opened: string;
  /** Gives an order, and returns the answer. */
  ask(order: 'write' | 'read' | 'refusal' | 'stop' | 'close'): Promise<string>;
  /** Resolves when the process has ended, with its status. */
  end(): Promise<number | null>;
}

/** A process that runs inside what an order of the shell has prepared. */
export function within(order: string): string[] {
  return ['unshare', '-rm', 'sh', '-c', `${order} && exec "$0" "$@"`];
}

/** Opens a store in a process of its own. @param options.inside the command that runs it, with its arguments */
export async function openOwn(
  file: string,
  { inside = [], env = {} }: { inside?: string[]; env?: Record<string, string> } = {},
): Promise<OwnStore> {
  const [command = '', ...words] = [...inside, process.execPath, CHILD, file];
  const child = spawn(command, words, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...CHILD_ENV, ...env },
  });
  const exit = new Promise<number | null>((resolve) => child.on('close', resolve));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => String((await lines.next()).value ?? 'ended');
  return {
    pid: child.pid ?? 0,
    opened: await next(),
    ask: (order) => {
      child.stdin.write(`${order}\n`);
      return next();
    },
    end: () => {
      child.stdin.end();
      return exit;
    },
  };
}

/** What a second process says that opens the file and closes it again. */
export async function openBriefly(file: string, inside: string[] = []): Promise<string> {
  const own = await openOwn(file, { inside });
  if (own.opened === 'opened') await own.ask('close');
  await own.end();
  return own.opened;
}
