import { tmpdir } from 'node:os';
import type { Io } from '../../src/cli/io.ts';
import { runCli } from '../../src/cli/program.ts';
import { systemClock } from '../../src/clock.ts';
import type { Run } from './support.ts';

/** Runs a command line that needs no broker, in this process. `io` replaces parts of its surroundings. */
export async function runAlone(argv: readonly string[], io: Partial<Io> = {}): Promise<Run> {
  let out = '';
  let err = '';
  const code = await runCli(argv, {
    readStdin: async () => '',
    home: tmpdir(),
    fetch: () => Promise.reject(new Error('no broker is needed')),
    clock: systemClock,
    sleep: () => Promise.resolve(),
    ask: null,
    openBrowser: () => undefined,
    onStopSignal: () => () => undefined,
    exit: () => undefined,
    env: {},
    ...io,
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
  });
  return {
    code,
    out,
    err,
    get json() {
      return JSON.parse(out);
    },
  };
}
