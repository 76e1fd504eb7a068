import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { CliError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';
import type { Io } from './io.ts';

const signInSchema = z.object({
  /** The issuer's key at the broker. */
  issuer: z.string(),
  id_token: z.string(),
  expires_ms: z.number(),
});
const exchangedSchema = z.object({
  /** SHA-256 of the platform token that it was exchanged for: a platform token works only once. */
  subject_digest: z.string(),
  access_token: z.string(),
  expires_ms: z.number(),
});
const fileSchema = z.object({
  brokers: z.record(
    z.string(),
    z.object({ sign_in: signInSchema.optional(), exchanged: exchangedSchema.optional() }),
  ),
});

/** What is kept for one broker. */
export type StoredCredentials = z.infer<typeof fileSchema>['brokers'][string];

/** The tokens of this user, by broker. Short-lived ones only: nothing here can be refreshed. */
export interface Credentials {
  /** Where they are. */
  file: string;
  /** @throws CliError when the file is damaged */
  load(broker: string): Promise<StoredCredentials>;
  /** Adds to what is kept for the broker. Only this user can read the file. */
  save(broker: string, credentials: StoredCredentials): Promise<void>;
  /** Forgets the broker; false when nothing was kept for it. */
  remove(broker: string): Promise<boolean>;
}

/** The credentials in `countersign/credentials.json` of the user's configuration folder. */
export function createCredentials({ env, home }: Pick<Io, 'env' | 'home'>): Credentials {
  // A relative XDG_CONFIG_HOME is to be ignored (XDG Base Directory Specification, "Environment variables").
  const named = env.XDG_CONFIG_HOME ?? '';
  const folder = join(isAbsolute(named) ? named : join(home, '.config'), 'countersign');
  const file = join(folder, 'credentials.json');

  async function readAll(): Promise<z.infer<typeof fileSchema>> {
    try {
      const all = fileSchema.parse(JSON.parse(await readFile(file, 'utf8')));
      // A copy from elsewhere may have come with looser permissions.
      await chmod(file, 0o600);
      return all;
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return { brokers: {} };
      throw unusable(file, error);
    }
  }

  async function writeAll(all: z.infer<typeof fileSchema>): Promise<void> {
    await mkdir(dirname(folder), { recursive: true });
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
    // A whole new file, renamed: a reader sees the former one or this one, and neither was ever readable by others.
    const fresh = `${file}.${randomUUID()}`;
    try {
      await writeFile(fresh, `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
      await rename(fresh, file);
    } catch (error) {
      await rm(fresh, { force: true });
      throw error;
    }
  }

  return {
    file,
    load: async (broker) => (await readAll()).brokers[broker] ?? {},
    save: async (broker, credentials) => {
      const { brokers } = await readAll();
      await writeAll({ brokers: { ...brokers, [broker]: { ...brokers[broker], ...credentials } } });
    },
    remove: async (broker) => {
      const { [broker]: kept, ...brokers } = (await readAll()).brokers;
      if (kept === undefined) return false;
      await writeAll({ brokers });
      return true;
    },
  };
}

function unusable(file: string, cause: unknown): CliError {
  return new CliError(
    EXIT.error,
    {
      code: 'credentials_unusable',
      title: 'The stored credentials cannot be read',
      detail: `${file} cannot be read as credentials. Remove it and sign in again with: countersign login`,
    },
    { cause },
  );
}
