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
    home: homedir(),
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
    exit: (code) => process.exit(code),
  };
}

async function ask(question: string): Promise<string> {
  // On standard error, because standard output has only the result.
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    // The end of the input counts as no answer.
    const closed = once(terminal, 'close').then(() => '');
    return await Promise.race([terminal.question(question), closed]);
  } finally {
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
