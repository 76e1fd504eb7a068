import type { Clock } from '../clock.ts';

/** All side effects of a command, so that tests can replace them. */
export interface Io {
  /** The result of the command; with `--json` exactly one document. */
  stdout(text: string): void;
  /** Everything else: progress, warnings and refusals. */
  stderr(text: string): void;
  readStdin(): Promise<string>;
  env: Readonly<NodeJS.ProcessEnv>;
  /** The home folder. */
  home: string;
  fetch: typeof globalThis.fetch;
  clock: Clock;
  /** Resolves after that many milliseconds; rejects with an AbortError when aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Prompts the person at the terminal and returns the input. Null without a terminal. */
  ask: ((question: string) => Promise<string>) | null;
  /** Tries to open an address in a browser. It MUST NOT throw. */
  openBrowser(url: URL): void;
  /** The width of the terminal that shows the result; null or absent without one. */
  columns?: number | null;
  /** Handles SIGINT and SIGTERM with a callback. Returns a function that removes the handler. */
  onStopSignal(listener: () => void): () => void;
  /** Handles SIGHUP with a callback. Returns a function that removes the handler. Absent: nobody sends one. */
  onReloadSignal?(listener: () => void): () => void;
  /** Ends the process immediately, even with work in flight. */
  exit(code: number): void;
}
