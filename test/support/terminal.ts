import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHILD_ENV } from './child-env.ts';
import { MAIN } from './serving.ts';
import { loadTool } from './tools.ts';

/* A real terminal: a shell on a pseudo-terminal, and the screen that a person would see. */

interface Pty {
  onData(listener: (data: string) => void): void;
  onExit(listener: (exit: { exitCode: number }) => void): void;
  write(data: string): void;
  kill(signal: string): void;
}
interface NodePty {
  spawn(
    file: string,
    words: string[],
    options: { cols: number; rows: number; cwd: string; env: Record<string, string> },
  ): Pty;
}
interface Line {
  /** Whether it goes on a line before it, which was too long for the terminal. */
  isWrapped: boolean;
  translateToString(trimRight: boolean): string;
}
interface Xterm {
  write(data: string, done: () => void): void;
  buffer: { active: { length: number; getLine(at: number): Line | undefined } };
}
interface XtermModule {
  Terminal: new (options: {
    cols: number;
    rows: number;
    scrollback: number;
    allowProposedApi: boolean;
  }) => Xterm;
}

/** A shell in a terminal. */
export interface Shell {
  /** The lines on the screen and above it, without the empty ones at the end. */
  lines(): string[];
  /** The lines that were too long for the terminal. */
  wrapped(): string[];
  /** Everything that was written to the terminal, with its control sequences. */
  raw(): string;
  type(keys: string): void;
  /** Resolves once the screen shows that. @returns what matched */
  until(shown: RegExp): Promise<RegExpExecArray>;
  /** Resolves once that was written, after so many characters. @returns what matched */
  untilWritten(text: RegExp, from: number): Promise<RegExpExecArray>;
  /** Empties the line that is being typed, without running it, and waits for the prompt. */
  abandonLine(): Promise<void>;
  /** Types a command, and waits for the next prompt. @returns its exit status, and the lines that it printed */
  run(command: string): Promise<{ status: number; lines: string[] }>;
  close(): Promise<void>;
}

const ENTER = '\r';
const CTRL_U = '\u0015';
export const CTRL_C = '\u0003';
export const TAB = '\t';

/** How long one thing may take to show, on a machine that is busy with other tests. */
const SHOWN_WITHIN_MS = 120_000;

/** Loads what makes a terminal, and installs it the first time, which takes a while. */
export function loadTerminal(): Promise<[NodePty, XtermModule]> {
  return Promise.all([
    loadTool<NodePty>('terminal', '@lydell/node-pty'),
    loadTool<XtermModule>('terminal', '@xterm/headless'),
  ]);
}

/** Starts bash, in which `countersign` is the command line of this repository. @param folder an empty one, its home */
export async function startShell(
  folder: string,
  { columns = 80, env = {} }: { columns?: number; env?: Record<string, string> } = {},
): Promise<Shell> {
  const [pty, { Terminal }] = await loadTerminal();
  const bin = join(folder, 'bin');
  await mkdir(bin, { recursive: true });
  await writeFile(join(bin, 'countersign'), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`, {
    mode: 0o755,
  });
  const screen = new Terminal({ cols: columns, rows: 50, scrollback: 5000, allowProposedApi: true });
  const child = pty.spawn('bash', ['--noprofile', '--norc', '-i'], {
    cols: columns,
    rows: 50,
    cwd: folder,
    env: {
      ...CHILD_ENV,
      PATH: `${bin}:${process.env.PATH ?? ''}`,
      HOME: folder,
      TERM: 'xterm-256color',
      LANG: 'C.UTF-8',
      // The status of the last command is part of the prompt.
      PS1: '[$?]> ',
      ...env,
    },
  });
  let raw = '';
  let onShown = () => {};
  const ended = new Promise<void>((resolve) => child.onExit(() => resolve()));
  child.onData((data) => {
    raw += data;
    screen.write(data, () => onShown());
  });

  const all = (): Line[] => {
    const { active } = screen.buffer;
    return Array.from({ length: active.length }, (_, at) => active.getLine(at)).filter(
      (line) => line !== undefined,
    );
  };
  const lines = () =>
    all()
      .map((line) => line.translateToString(true))
      .join('\n')
      .trimEnd()
      .split('\n');
  const untilFound = async (awaited: RegExp, search: () => string): Promise<RegExpExecArray> => {
    const late = AbortSignal.timeout(SHOWN_WITHIN_MS);
    for (;;) {
      const found = awaited.exec(search());
      if (found !== null) return found;
      if (late.aborted) {
        throw new Error(`The terminal does not show ${awaited}. It shows:\n${lines().join('\n')}`);
      }
      await new Promise<void>((resolve) => {
        onShown = resolve;
        late.onabort = () => resolve();
      });
    }
  };
  const until = (shown: RegExp) => untilFound(shown, () => lines().join('\n'));
  await until(/\[0\]>$/);
  return {
    lines,
    wrapped: () =>
      all()
        .filter(({ isWrapped }) => isWrapped)
        .map((line) => line.translateToString(true)),
    raw: () => raw,
    type: (keys) => child.write(keys),
    until,
    untilWritten: (text, from) => untilFound(text, () => raw.slice(from)),
    abandonLine: async () => {
      // Not by Ctrl-C: a signal that arrives while bash draws the line waits there for the next key.
      child.write(CTRL_U);
      await until(/(?:^|\n)\[\d+\]>$/);
    },
    run: async (command) => {
      const before = lines().length;
      child.write(`${command}${ENTER}`);
      const prompts = new RegExp(`^(?:[^\\n]*\\n){${before}}(?:(?:.|\\n)*\\n)?\\[(\\d+)\\]>$`);
      const [, status] = await until(prompts);
      return { status: Number(status), lines: lines().slice(before, -1) };
    },
    close: async () => {
      // A hangup, too, would wait for the next key. When bash is gone, the terminal hangs up on whatever it runs.
      child.kill('SIGKILL');
      await ended;
    },
  };
}
