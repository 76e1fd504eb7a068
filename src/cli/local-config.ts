import { type Config, ConfigError, loadConfig } from '../config.ts';
import { usageError } from './cli-error.ts';
import type { Io } from './io.ts';

/** The configuration of the broker on this machine, for a command that works on its files. @throws CliError if it is unusable */
export function readConfig(io: Io, file: string | undefined): Config {
  try {
    return loadConfig({ file, env: io.env });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw usageError(error.message);
  }
}
