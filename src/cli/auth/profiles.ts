import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { didYouMean, nearestOf } from '../../unknown-name.ts';
import { CliError, usageError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { configFolder } from './config-folder.ts';
import { NotPrivateError, readPrivateFile, replacePrivateFile, withFileLock } from './private-file.ts';

/*
 * Profiles: one user of a machine can be several people at a broker. Each profile has a credentials file of its own, as
 * private as every other.
 */

/** The profile of who never names one. */
export const DEFAULT_PROFILE = 'default';

const NAME = /^[a-z0-9][a-z0-9_-]{0,31}$/;
const FILE = /^profile-(.+)\.json$/;

/** @throws CliError for a name that could not be a file, or is easily mistaken for another */
export function assertProfileName(name: string): void {
  if (NAME.test(name)) return;
  throw usageError(
    `"${name}" is not a name of a profile. Use up to 32 lower-case letters, digits, - and _, such as alex.`,
  );
}

/** Whether a command acts as a profile that somebody named, so that people should be told. */
export function isNamed({ profile }: { profile: string | null }): boolean {
  return profile !== null && profile !== DEFAULT_PROFILE;
}

/** The credentials file of a profile. */
export function credentialsFile(io: Pick<Io, 'env' | 'home'>, profile: string): string {
  const name = profile === DEFAULT_PROFILE ? 'credentials.json' : `profile-${profile}.json`;
  return join(configFolder(io), name);
}

/** The file with the name of the profile that `profiles use` chose. */
function chosenFile(io: Pick<Io, 'env' | 'home'>): string {
  return join(configFolder(io), 'profile');
}

/**
 * The profile of a command: by `--profile`, `COUNTERSIGN_PROFILE`, or the last `profiles use`.
 *
 * @throws CliError for a name that is none, and for a choice that others could have made
 */
export async function profileOf(io: Pick<Io, 'env' | 'home'>, option: string | undefined): Promise<string> {
  const name = option ?? (io.env.COUNTERSIGN_PROFILE || (await chosenProfile(io)));
  assertProfileName(name);
  return name;
}

async function chosenProfile(io: Pick<Io, 'env' | 'home'>): Promise<string> {
  const file = chosenFile(io);
  try {
    return (await readPrivateFile(file))?.trim() ?? DEFAULT_PROFILE;
  } catch (error) {
    if (!(error instanceof NotPrivateError)) throw error;
    throw new CliError(
      EXIT.error,
      {
        code: 'credentials_not_private',
        title: 'The choice of the profile is not private',
        detail: `${file} was not used: ${error.message}. Remove it, and choose again with: countersign profiles use NAME`,
      },
      { cause: error },
    );
  }
}

/** Makes a profile that of every later command which names none. @throws CliError `usage` if that cannot be kept */
export async function useProfile(io: Pick<Io, 'env' | 'home'>, profile: string): Promise<void> {
  assertProfileName(profile);
  const file = chosenFile(io);
  await replacePrivateFile(file, `${profile}\n`).catch((error: Error) => {
    throw usageError(
      `${file} cannot be written: ${error.message}. Make its folder writable, or name another one with XDG_CONFIG_HOME.`,
    );
  });
}

/** The profiles that have credentials, and the default one, by name. */
export async function listProfiles(io: Pick<Io, 'env' | 'home'>): Promise<string[]> {
  const files = await readdir(configFolder(io)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const names = files.flatMap((file) => {
    const name = FILE.exec(file)?.[1];
    return name !== undefined && NAME.test(name) && name !== DEFAULT_PROFILE ? [name] : [];
  });
  return [DEFAULT_PROFILE, ...names.toSorted()];
}

/** What is said of a profile that this machine does not have. */
export function noSuchProfile(name: string, known: readonly string[]): string {
  const hint = didYouMean(nearestOf(name, known)).replace(/^d/, ' D');
  return `There is no profile ${JSON.stringify(name)} on this machine.${hint}`;
}

/** Removes the credentials file of a profile, and the choice of it. @returns false if there was none */
export async function removeProfile(io: Pick<Io, 'env' | 'home'>, profile: string): Promise<boolean> {
  const file = credentialsFile(io, profile);
  const isKnown = (await readPrivateFile(file)) !== null;
  if (isKnown) await withFileLock(file, () => rm(file, { force: true }));
  const isChosen = (await chosenProfile(io)) === profile;
  if (isChosen) await rm(chosenFile(io), { force: true });
  return isKnown || isChosen;
}
