import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { parseMasterKey } from './master-key.ts';
import { MASTER_KEY_FORM, readMasterKeyFile } from './master-key-file.ts';

/** The master key from the configuration. Key objects do not reveal their content in logs. */
export interface MasterKeyConfig {
  /** Null when there is none yet. The first start generates one in the file `from`. */
  key: KeyObject | null;
  /** The variable or the file that it comes from. */
  from: string;
  /** The key before the last rotation, while secrets may still be sealed under it. */
  previous: KeyObject | null;
}

/** A fault, with its configuration key or variable. */
export interface MasterKeyFault {
  path: readonly string[];
  detail: string;
}

/** The environment variables with a master key, and the keys of the configuration that they take the place of. */
export const MASTER_KEY_VARIABLES = {
  COUNTERSIGN_MASTER_KEY: 'master_key_file',
  COUNTERSIGN_PREVIOUS_MASTER_KEY: 'previous_master_key_file',
} as const;

/** A source of a master key: a variable, or a file that a configuration key names. */
interface Place {
  variable: keyof typeof MASTER_KEY_VARIABLES;
  file: string | undefined;
}

/**
 * Reads the master keys. The files are absolute paths.
 *
 * @param options.defaultFile the file to use if none is configured
 * @returns all faults; a fault never contains the content of a variable or a file
 */
export function readMasterKeys(options: {
  env: NodeJS.ProcessEnv;
  file: string | undefined;
  previousFile: string | undefined;
  defaultFile: string;
}): { master_key: MasterKeyConfig; faults: MasterKeyFault[] } {
  const { env, defaultFile } = options;
  const faults: MasterKeyFault[] = [];
  const read = ({ variable, file }: Place): { key: KeyObject; from: string } | null => {
    const key = MASTER_KEY_VARIABLES[variable];
    const text = env[variable] ?? '';
    if (text !== '' && file !== undefined) {
      faults.push({ path: [key], detail: `the master key is also set in ${variable}; use only one of them` });
      return null;
    }
    if (text !== '') return readVariable(variable, text, faults);
    return file === undefined ? null : readFile(key, file, faults);
  };

  const isNamed = options.file !== undefined || (env.COUNTERSIGN_MASTER_KEY ?? '') !== '';
  const usesDefault = !isNamed && existsSync(defaultFile);
  const found = read({
    variable: 'COUNTERSIGN_MASTER_KEY',
    file: usesDefault ? defaultFile : options.file,
  });
  const former = read({ variable: 'COUNTERSIGN_PREVIOUS_MASTER_KEY', file: options.previousFile });
  return {
    master_key: { key: found?.key ?? null, from: found?.from ?? defaultFile, previous: former?.key ?? null },
    faults,
  };
}

function readVariable(
  variable: string,
  text: string,
  faults: MasterKeyFault[],
): { key: KeyObject; from: string } | null {
  const key = parseMasterKey(text);
  if (key !== null) return { key, from: variable };
  faults.push({ path: [variable], detail: `expected ${MASTER_KEY_FORM}` });
  return null;
}

function readFile(
  key: string,
  file: string,
  faults: MasterKeyFault[],
): { key: KeyObject; from: string } | null {
  try {
    return { key: readMasterKeyFile(file), from: file };
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const detail = isMissing
      ? `${file} does not exist; it must contain ${MASTER_KEY_FORM}`
      : (error as Error).message;
    faults.push({ path: [key], detail });
    return null;
  }
}
