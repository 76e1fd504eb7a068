import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';

const execute = promisify(execFile);

/** Older ones write another module at each build. */
const MIN_VERSION = [1, 18] as const;

/** The version that the shipped policy is compiled with. */
const PINNED = '1.22.0';

const HOW_TO_GET = `Get it from https://www.openpolicyagent.org/docs#1-download-opa, with \`brew install opa\`, or with \`go install github.com/open-policy-agent/opa@v${PINNED}\`; or name it with --opa FILE.`;

/** A usable opa. */
export interface Opa {
  version: string;
  /**
   * Runs it.
   *
   * @param cwd the folder that paths are relative to; the module contains them
   * @throws CliError `opa_failed` with what it printed
   */
  run(args: readonly string[], cwd: string): Promise<string>;
}

/**
 * Finds opa.
 *
 * @param named the file that the person named; otherwise the one on the path
 * @returns null if none was named, and there is none on the path
 * @throws CliError `opa_missing`, `opa_unusable` or `opa_too_old`, each with how to get it
 */
export async function findOpa(named: string | undefined, env: NodeJS.ProcessEnv): Promise<Opa | null> {
  const file = named ?? 'opa';
  const own = scrubbed(env);
  let told: string;
  try {
    ({ stdout: told } = await execute(file, ['version'], { env: own }));
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (named === undefined && isMissing) return null;
    throw refusal(
      isMissing ? 'opa_missing' : 'opa_unusable',
      `${printable(file)} ${isMissing ? 'does not exist' : `does not run: ${printable((error as Error).message)}`}. ${HOW_TO_GET}`,
    );
  }
  const version = /^Version: (\d+\.\d+\.\d+)/m.exec(told)?.[1];
  if (version === undefined) throw refusal('opa_unusable', `${printable(file)} is not opa. ${HOW_TO_GET}`);
  if (isOlder(version)) {
    throw refusal(
      'opa_too_old',
      `${printable(file)} is opa ${version}; ${MIN_VERSION.join('.')} or later is needed, because older ones write another module at each build. ${HOW_TO_GET}`,
    );
  }
  return {
    version,
    run: async (args, cwd) => {
      try {
        return (await execute(file, [...args], { env: own, cwd, maxBuffer: 64 * 1024 * 1024 })).stdout;
      } catch (error) {
        const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string };
        const output = [stderr, stdout].map((text) => text.trim()).filter((text) => text !== '');
        throw refusal(
          'opa_failed',
          `opa ${args[0]} says:\n${printable(output.join('\n') || message).slice(0, 20_000)}`,
        );
      }
    },
  };
}

/** What to do without opa, for a command that cannot do without it. */
export function opaMissing(why: string): CliError {
  return refusal(
    'opa_missing',
    `${why} needs opa ${MIN_VERSION.join('.')} or later, which is not installed. ${HOW_TO_GET}`,
  );
}

/** Every flag of opa can also be set in the environment, and optimization would change the module. */
function scrubbed(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(?:OPA_|REGAL_|EXPERIMENTAL_WASM_OPT)/i.test(name)),
  );
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < MIN_VERSION[0] || (major === MIN_VERSION[0] && minor < MIN_VERSION[1]);
}

function refusal(code: string, detail: string): CliError {
  return new CliError(EXIT.error, { code, title: 'opa cannot be used', detail });
}
