import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Io } from '../../src/cli/io.ts';
import { runCli } from '../../src/cli/program.ts';
import type { TestBroker } from '../support/broker.ts';

/** What a command line did. */
export interface Run {
  code: number;
  out: string;
  err: string;
  /** Standard output as the one JSON document that it must be. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into documents of every shape
  readonly json: any;
}

/** Runs command lines in this process, with a home folder of their own. */
export interface Terminal {
  home: string;
  run(...argv: string[]): Promise<Run>;
  /** Runs as a person of the cast (`dana`, `alex+mfa`). */
  as(who: string, ...argv: string[]): Promise<Run>;
}

/** Creates a terminal at a test broker. `io` replaces parts of it. */
export function createTerminal(t: TestBroker, io: Partial<Io> = {}): Terminal {
  const home = io.home ?? mkdtempSync(join(t.folder, 'home-'));
  const runWith = async (env: NodeJS.ProcessEnv, argv: string[]): Promise<Run> => {
    let out = '';
    let err = '';
    const code = await runCli(argv, {
      readStdin: async () => '',
      home,
      fetch,
      clock: t.clock,
      sleep: async (ms, signal) => setTimeout(ms, undefined, { ...(signal && { signal }), ref: false }),
      ask: null,
      openBrowser: () => undefined,
      onStopSignal: () => () => undefined,
      exit: () => undefined,
      ...io,
      stdout: (text) => {
        out += text;
      },
      stderr: (text) => {
        err += text;
        io.stderr?.(text);
      },
      env: { COUNTERSIGN_URL: t.url, ...io.env, ...env },
    });
    return {
      code,
      out,
      err,
      get json() {
        return JSON.parse(out);
      },
    };
  };
  return {
    home,
    run: (...argv) => runWith({}, argv),
    as: async (who, ...argv) => {
      const [person = '', factor] = who.split('+');
      return runWith({ COUNTERSIGN_TOKEN: await t.people.idToken(person, { mfa: factor === 'mfa' }) }, argv);
    },
  };
}
