import type { Clock } from '../clock.ts';

/** Everything that a command touches outside its own memory, so that tests bring their own. */
export interface Io {
  /** What was asked for: with `--json` exactly one document. */
  stdout(text: string): void;
  /** Everything else: progress, warnings, refusals. */
  stderr(text: string): void;
  readStdin(): Promise<string>;
  env: Readonly<NodeJS.ProcessEnv>;
  /** The home folder. */
  home: string;
  fetch: typeof globalThis.fetch;
  clock: Clock;
  /** Resolves after that many milliseconds; rejects with an AbortError when the signal comes first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Asks the person at the terminal, and answers what they typed. Null when nobody is there. */
  ask: ((question: string) => Promise<string>) | null;
  /** Tries to show an address in a browser; it MUST NOT throw. */
  openBrowser(url: URL): void;
  /** Calls back for SIGINT and SIGTERM, instead of ending the process. Answers how to stop that. */
  onStopSignal(listener: () => void): () => void;
  /** Ends the process at once, whatever is under way. */
  exit(code: number): void;
}
