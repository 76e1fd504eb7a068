import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** How a command ended, and what was on the screen. */
export interface Ended {
  code: number;
  output: string;
}

/** A shell in a real terminal. */
export interface Terminal {
  /** Types a command, and waits until it has ended. */
  run(command: string): Promise<Ended>;
  /** Types a command that goes on until the terminal is closed, and waits until it has printed a word. */
  startUntil(command: string, word: string): Promise<void>;
  /** Types on. */
  type(text: string): void;
  /** Interrupts what runs, and ends the shell. */
  close(): Promise<void>;
}

/** The prompt of the shell: the status of the last command between two of these. No command prints them. */
const MARK = '\u001e';
const PROMPT = '\\036$?\\036';

/**
 * Opens a terminal, as wide as the longest line of a page.
 *
 * @param onOutput is given what is on the screen since the command was typed, whenever there is more
 */
export async function openTerminal({
  cwd,
  env,
  onOutput,
}: {
  cwd: string;
  env: Record<string, string>;
  onOutput(screen: string): void;
}): Promise<Terminal> {
  const shell = 'bash --norc --noprofile --noediting';
  const words =
    process.platform === 'darwin' ? ['-q', '/dev/null', ...shell.split(' ')] : ['-qefc', shell, '/dev/null'];
  const child = spawn('script', words, {
    cwd,
    env: { ...env, TERM: 'dumb' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let screen = '';
  let waiting: (() => void) | null = null;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
    if (!screen.includes(MARK)) onOutput(readable(screen));
    waiting?.();
  });
  const closed = once(child, 'close');
  const type = (text: string) => child.stdin.write(text);

  async function prompt(): Promise<Ended> {
    for (;;) {
      const [, output = '', code] = new RegExp(`^([^${MARK}]*)${MARK}(\\d+)${MARK}`).exec(screen) ?? [];
      if (code !== undefined) {
        screen = '';
        return { code: Number(code), output: readable(output) };
      }
      await moreOutput();
    }
  }

  async function moreOutput(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting = resolve;
    await Promise.race([promise, closed]);
    if (child.exitCode !== null) throw new Error(`the shell has ended:\n${screen}`);
  }

  // What is typed is not on the screen: only what commands print is looked at.
  type(`stty -echo cols 250; PS2=; PS1='${PROMPT}'\n`);
  await prompt();
  return {
    type,
    startUntil: async (command, word) => {
      screen = '';
      type(`${command}\n`);
      while (!screen.includes(word)) {
        if (screen.includes(MARK)) throw new Error(`it has ended:\n${readable(screen)}`);
        await moreOutput();
      }
    },
    run: async (command) => {
      screen = '';
      type(`${command}\n`);
      return prompt();
    },
    close: async () => {
      if (child.exitCode !== null) return;
      type('\u0003\nexit\n');
      await closed;
    },
  };
}

function readable(text: string): string {
  return text.replaceAll('\r', '');
}
