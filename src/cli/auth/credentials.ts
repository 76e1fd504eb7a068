import { z } from 'zod';
import { sha256Hex } from '../../json.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { shellWord } from '../output/text.ts';
import { proofKeySchema } from './dpop.ts';
import { runExclusively } from './exclusive.ts';
import { NotPrivateError, readPrivateFile, replacePrivateFile, withFileLock } from './private-file.ts';
import { credentialsFile, DEFAULT_PROFILE } from './profiles.ts';

const signInSchema = z.object({
  /** The issuer's key at the broker. */
  issuer: z.string(),
  id_token: z.string(),
  expires_ms: z.number(),
  /** How the person signed in. A step-up uses the same flow. */
  flow: z.enum(['browser', 'device']).default('browser'),
  /** When the person signed in, by the provider; null when it does not say. */
  auth_time_ms: z.number().nullable().optional(),
  /** When policy ends the sign-in, however often it is renewed; null without a limit. */
  ends_ms: z.number().nullable().optional(),
  /** What renews the sign-in, and the client of the provider that may. */
  refresh: z
    .object({
      token: z.string(),
      /** The key that the provider bound the token to, or null. */
      key: proofKeySchema.nullable(),
      /** The provider that gave it. It is shown to no other, whatever the broker names later. */
      provider: z.object({
        issuer: z.string(),
        client_id: z.string(),
        client_secret: z.string().optional(),
      }),
    })
    .optional(),
});
const exchangeSchema = z.object({
  access_token: z.string(),
  expires_ms: z.number(),
  /** The key that the token is bound to, and the address in its proofs; null for a bearer token. */
  bound: z.object({ key: proofKeySchema, issuer: z.string() }).nullable(),
});
const brokerSchema = z.object({
  sign_in: signInSchema.optional(),
  /** Keyed by the SHA-256 of the exchanged platform token. A platform token works only once. */
  exchanges: z.record(z.string(), exchangeSchema).optional(),
});
const fileSchema = z.object({ brokers: z.record(z.string(), brokerSchema) });

type Brokers = z.infer<typeof fileSchema>['brokers'];

/** A stored sign-in of a person. */
export type KeptSignIn = z.infer<typeof signInSchema>;
/** A stored token from an exchange. */
export type KeptExchange = z.infer<typeof exchangeSchema>;
/** What is stored for one broker. */
export type StoredCredentials = z.infer<typeof brokerSchema>;

/** The user's tokens, by broker. */
export interface Credentials {
  /** The path of the credentials file. */
  file: string;
  /**
   * Runs `work` while no other command of this user does the same for the broker. It must end by itself, in much less
   * than {@link import('./exclusive.ts').ABANDONED_MS}.
   *
   * @throws CliError when another command does not end, or the folder cannot be written
   */
  exclusively<T>(broker: string, work: () => Promise<T>): Promise<T>;
  /** @throws CliError when the file is damaged, or others could read or replace it */
  load(broker: string): Promise<StoredCredentials>;
  /** What is stored, by broker. @throws CliError as {@link Credentials.load} */
  loadAll(): Promise<Readonly<Record<string, StoredCredentials>>>;
  /**
   * Replaces the broker's stored credentials with the result of `change`. Concurrent commands wait for each other. Only
   * this user can read the file.
   *
   * @throws CliError as {@link Credentials.load}, or when it cannot be written
   */
  update(broker: string, change: (kept: StoredCredentials) => StoredCredentials): Promise<void>;
  /** Removes the broker's credentials. Returns false when there were none. */
  remove(broker: string): Promise<boolean>;
}

/** The credentials of a profile, in a file of the user's configuration folder. */
export function createCredentials(
  io: Pick<Io, 'env' | 'home'>,
  profile: string = DEFAULT_PROFILE,
): Credentials {
  const file = credentialsFile(io, profile);

  async function readAll(): Promise<Brokers> {
    try {
      const text = await readPrivateFile(file);
      return text === null ? {} : fileSchema.parse(JSON.parse(text)).brokers;
    } catch (error) {
      throw error instanceof NotPrivateError ? notPrivate(file, error) : unusable(file, error);
    }
  }

  /** Reads the file, applies `change` and writes the result, under an exclusive lock. */
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
    exclusively: (broker, work) => runExclusively(`${file}.${sha256Hex(broker).slice(0, 16)}`, work),
    loadAll: readAll,
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
      detail: `${file} is not a valid credentials file. Remove it, and sign in again.`,
    },
    { cause, login: [] },
  );
}

function unwritable(file: string, cause: unknown): CliError {
  return new CliError(
    EXIT.error,
    {
      code: 'credentials_unwritable',
      title: 'The credentials cannot be stored',
      detail: `${file} cannot be written: ${(cause as Error).message}. Make its folder writable, or name another one with XDG_CONFIG_HOME.`,
    },
    { cause },
  );
}

function notPrivate(file: string, cause: NotPrivateError): CliError {
  return new CliError(
    EXIT.error,
    {
      code: 'credentials_not_private',
      title: 'The stored credentials are not private',
      detail: `${file} was not used: ${cause.message}. Others may have read its tokens. Remove it with "rm ${shellWord(file)}", and sign in again.`,
    },
    { cause, login: [] },
  );
}
