import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { homedir } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { systemClock } from '../clock.ts';
import type { Io } from './io.ts';

/** The io of this process. */
export function createProcessIo(env: NodeJS.ProcessEnv): Io {
  const { stdin, stdout, stderr } = process;
  // A reader such as `| head` may close the pipe early, which is not an error.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    stdout: (output) => {
      stdout.write(output);
    },
    stderr: (output) => {
      stderr.write(output);
    },
    readStdin: () => text(stdin),
    env,
    home: homeFolder(),
    fetch,
    clock: systemClock,
    sleep: async (ms, signal) => setTimeout(ms, undefined, signal === undefined ? {} : { signal }),
    columns: stdout.isTTY ? stdout.columns : null,
    ask: stdin.isTTY && stderr.isTTY ? ask : null,
    openBrowser: (url) => openBrowser(url, process.platform),
    onStopSignal: (listener) => {
      const signals = ['SIGINT', 'SIGTERM'] as const;
      for (const signal of signals) process.on(signal, listener);
      return () => {
        for (const signal of signals) process.off(signal, listener);
      };
    },
    onReloadSignal: (listener) => {
      process.on('SIGHUP', listener);
      return () => process.off('SIGHUP', listener);
    },
    exit: (code) => process.exit(code),
  };
}

/** A user whom the system does not know, as in a container, has none: then a folder that nobody has. */
function homeFolder(): string {
  try {
    return homedir();
  } catch {
    return '/nonexistent';
  }
}

async function ask(question: string): Promise<string> {
  // On standard error, because standard output has only the result.
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  terminal.on('SIGINT', () => {
    // The terminal is given back first. Then the signal has its ordinary effect, and the shell sees an interrupt.
    terminal.close();
    process.kill(process.pid, 'SIGINT');
  });
  const answered = new AbortController();
  // The end of the input counts as no answer. What comes next begins a line of its own.
  const ended = once(terminal, 'close', { signal: answered.signal }).then(() => {
    process.stderr.write('\n');
    return '';
  });
  try {
    return await Promise.race([terminal.question(question).catch(() => ended), ended]);
  } finally {
    answered.abort();
    terminal.close();
  }
}

const OPENERS: Readonly<Record<string, readonly string[]>> = {
  darwin: ['open'],
  win32: ['rundll32', 'url.dll,FileProtocolHandler'],
};

/** Opens only web addresses, and without a shell: the address comes from an issuer's metadata. */
function openBrowser(url: URL, platform: string): void {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return;
  const [command = 'xdg-open', ...before] = OPENERS[platform] ?? ['xdg-open'];
  const child = spawn(command, [...before, url.href], { stdio: 'ignore', detached: true });
  // Without a browser, the person opens the printed address.
  child.on('error', () => undefined);
  child.unref();
}
