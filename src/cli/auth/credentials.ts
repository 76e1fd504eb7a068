import { isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { shellWord } from '../output/text.ts';
import { proofKeySchema } from './dpop.ts';
import { NotPrivateError, readPrivateFile, replacePrivateFile, withFileLock } from './private-file.ts';

const signInSchema = z.object({
  /** The issuer's key at the broker. */
  issuer: z.string(),
  id_token: z.string(),
  expires_ms: z.number(),
  /** How the person signed in: a stronger sign-in is asked for in the same way. */
  flow: z.enum(['browser', 'device']).default('browser'),
});
const exchangeSchema = z.object({
  access_token: z.string(),
  expires_ms: z.number(),
  /** The key that the token is bound to, and the address that its proofs name; null for a bearer token. */
  bound: z.object({ key: proofKeySchema, issuer: z.string() }).nullable(),
});
const brokerSchema = z.object({
  sign_in: signInSchema.optional(),
  /** By the SHA-256 of the platform token that was exchanged: a platform token works only once. */
  exchanges: z.record(z.string(), exchangeSchema).optional(),
});
const fileSchema = z.object({ brokers: z.record(z.string(), brokerSchema) });

type Brokers = z.infer<typeof fileSchema>['brokers'];

/** The sign-in of a person, as it is kept. */
export type KeptSignIn = z.infer<typeof signInSchema>;
/** A token that was exchanged, as it is kept. */
export type KeptExchange = z.infer<typeof exchangeSchema>;
/** What is kept for one broker. */
export type StoredCredentials = z.infer<typeof brokerSchema>;

/** The tokens of this user, by broker. Short-lived ones only: nothing here can be refreshed. */
export interface Credentials {
  /** Where they are. */
  file: string;
  /** @throws CliError when the file is damaged, or others could read or replace it */
  load(broker: string): Promise<StoredCredentials>;
  /**
   * Replaces what is kept for the broker by what `change` makes of it; commands that do so at the same time wait for
   * each other. Only this user can read the file.
   *
   * @throws CliError as {@link Credentials.load}, or when it cannot be written
   */
  update(broker: string, change: (kept: StoredCredentials) => StoredCredentials): Promise<void>;
  /** Forgets the broker; false when nothing was kept for it. */
  remove(broker: string): Promise<boolean>;
}

/** The credentials in `countersign/credentials.json` of the user's configuration folder. */
export function createCredentials({ env, home }: Pick<Io, 'env' | 'home'>): Credentials {
  // A relative XDG_CONFIG_HOME is to be ignored (XDG Base Directory Specification, "Environment variables").
  const named = env.XDG_CONFIG_HOME ?? '';
  const folder = join(isAbsolute(named) ? named : join(home, '.config'), 'countersign');
  const file = join(folder, 'credentials.json');

  async function readAll(): Promise<Brokers> {
    try {
      const text = await readPrivateFile(file);
      return text === null ? {} : fileSchema.parse(JSON.parse(text)).brokers;
    } catch (error) {
      throw error instanceof NotPrivateError ? notPrivate(file, error) : unusable(file, error);
    }
  }

  /** Reads, lets `change` make of it what it will, and writes, while nobody else does. */
  async function changeAll(change: (brokers: Brokers) => Brokers): Promise<void> {
    try {
      await withFileLock(file, async () => {
        const brokers = change(await readAll());
        await replacePrivateFile(file, `${JSON.stringify({ brokers }, null, 2)}\n`);
      });
    } catch (error) {
      throw error instanceof CliError ? error : unwritable(file, error);
    }
  }

  return {
    file,
    load: async (broker) => (await readAll())[broker] ?? {},
    update: (broker, change) =>
      changeAll((brokers) => ({ ...brokers, [broker]: change(brokers[broker] ?? {}) })),
    remove: async (broker) => {
      if ((await readAll())[broker] === undefined) return false;
      await changeAll(({ [broker]: _, ...others }) => others);
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

function unwritable(file: string, cause: unknown): CliError {
  return new CliError(
    EXIT.error,
    {
      code: 'credentials_unwritable',
      title: 'The credentials cannot be kept',
      detail: `${file} cannot be written: ${(cause as Error).message}. Make its folder yours to write to, or name another one with XDG_CONFIG_HOME.`,
    },
    { cause },
  );
}

function notPrivate(file: string, cause: NotPrivateError): CliError {
  return new CliError(
    EXIT.error,
    {
      code: 'credentials_not_private',
      title: 'The stored credentials are not yours alone',
      detail: `${file} is not used: ${cause.message}. Its tokens may be known to others: remove it with "rm ${shellWord(file)}", and sign in again with: countersign login`,
    },
    { cause },
  );
}
