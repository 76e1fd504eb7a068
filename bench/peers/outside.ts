import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Usage } from '../child.ts';
import type { Server } from '../measure.ts';

/** Where what is not of the project is kept. */
export const CACHE = fileURLToPath(new URL('../../.cache/peers/', import.meta.url));

const READY_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 50;
/** How much of what a process has said is told when it fails. */
const SAID_CHARACTERS = 2000;

/** How such a process is started. */
export interface OutsideProcess {
  command: string;
  args: readonly string[];
  env?: Record<string, string>;
  /** Who it runs as, if not as this process. */
  owner?: { uid: number; gid: number };
  /** How it is asked to end. */
  signal?: NodeJS.Signals;
  url: string;
  /** Whether it answers. May throw while it does not. */
  isReady(): Promise<boolean>;
}

/**
 * Starts a server that is a program of its own, such as one that is not of the project, and resolves once it answers.
 *
 * @throws Error with the last that it has said, if it ends before that or does not answer in time
 */
export async function startOutside(options: OutsideProcess): Promise<Server> {
  const begunMs = performance.now();
  const child = spawn(options.command, options.args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...options.owner,
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      said = `${said}${chunk}`.slice(-SAID_CHARACTERS);
    });
  }
  // What fails here must not leave a server behind that holds the port and the processor.
  const endWithThis = () => child.kill('SIGKILL');
  process.once('exit', endWithThis);
  let fault: Error | null = null;
  child.once('error', (error) => {
    fault = error;
  });
  while (!(await options.isReady().catch(() => false))) {
    const isLate = performance.now() - begunMs > READY_WITHIN_MS;
    if (fault !== null || isLate || child.exitCode !== null) {
      child.kill('SIGKILL');
      throw new Error(`${options.command} does not answer: ${fault ?? said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  const startedMs = performance.now() - begunMs;
  return {
    startedMs,
    ask: async () => ({ url: options.url, ...usageOf(child.pid ?? 0) }),
    end: async () => {
      await endOf(child, options.signal ?? 'SIGTERM');
      process.off('exit', endWithThis);
    },
  };
}

function endOf(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill(signal);
  });
}

/** Several processes that answer together, as one server: the last one is asked. */
export function together(servers: readonly Server[]): Server {
  const asked = servers.at(-1);
  if (asked === undefined) throw new Error('nothing was started');
  return {
    startedMs: servers.reduce((sum, { startedMs }) => sum + startedMs, 0),
    ask: async (question) => {
      const all = await Promise.all(servers.map((server) => server.ask(question)));
      return {
        url: (await asked.ask(question)).url,
        rssBytes: all.reduce((sum, { rssBytes }) => sum + rssBytes, 0),
        cpuUs: all.reduce((sum, { cpuUs }) => sum + cpuUs, 0),
      };
    },
    end: async () => {
      for (const server of servers.toReversed()) await server.end();
    },
  };
}

/** A port of loopback that nobody uses now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Linux counts processor time for programs in ticks, 100 a second on every architecture. */
const TICK_US = 10_000;

/** What a process and all that it started use, as Linux tells it; not a number where it tells nothing. */
function usageOf(pid: number): Usage {
  try {
    const stats = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name) => statOf(Number(name)));
    const used = descendants(pid, stats);
    return {
      cpuUs: used.reduce((sum, { ticks }) => sum + ticks * TICK_US, 0),
      rssBytes: used.reduce((sum, each) => sum + memoryOf(each.pid), 0),
    };
  } catch {
    return { cpuUs: Number.NaN, rssBytes: Number.NaN };
  }
}

interface Stat {
  pid: number;
  parent: number;
  ticks: number;
}

/** @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function statOf(pid: number): Stat[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name before may contain spaces.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [user, system, childrenUser, childrenSystem] = fields.slice(11, 15).map(Number);
    const ticks = (user ?? 0) + (system ?? 0) + (childrenUser ?? 0) + (childrenSystem ?? 0);
    return [{ pid, parent: Number(fields[1]), ticks }];
  } catch {
    // It has ended since.
    return [];
  }
}

function descendants(pid: number, stats: readonly Stat[]): Stat[] {
  return [
    ...stats.filter((each) => each.pid === pid),
    ...stats.filter(({ parent }) => parent === pid).flatMap((each) => descendants(each.pid, stats)),
  ];
}

/** Pages that several processes share count once altogether. */
function memoryOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Pss: +(\d+) kB/m.exec(text)?.[1]) * 1024;
}
