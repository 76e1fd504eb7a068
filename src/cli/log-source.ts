import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LogView } from '../audit/log-routes.ts';
import { COSIGNED, QuorumMissing } from '../audit/verify/cosigned.ts';
import { FAULTS, MeaningFault } from '../audit/verify/fault.ts';
import { type Cosigner, parseCosigner } from '../tree/cosignature.ts';
import { LogFault, UnreadableFile } from '../tree/fault.ts';
import { type NoteVerifier, parseVerifier } from '../tree/note.ts';
import { CliError, usageError } from './cli-error.ts';
import { type Client, toCliError } from './client.ts';
import type { Io } from './io.ts';
import { notABroker } from './not-a-broker.ts';
import { EXIT } from './output/exit-codes.ts';
import { ANSWER_TIMEOUT_MS, arrived, unreachable } from './unreachable.ts';

/** Where a log is read from: the files below `/log`, by their paths. */
export interface LogSource {
  read(path: string): Promise<Buffer>;
}

/** A published log in a folder. */
export function logInFolder(folder: string): LogSource {
  return {
    read: async (path) => {
      try {
        return await readFile(join(folder, path));
      } catch (error) {
        throw new UnreadableFile(`the file ${path} cannot be read: ${(error as Error).message}`);
      }
    },
  };
}

/** A published log at an address. Nothing is sent that identifies the reader. */
export function logAtUrl(io: Io, url: string): LogSource {
  const base = url.replace(/\/+$/, '');
  return {
    read: async (path) => {
      const response = await io
        .fetch(`${base}/${path}`, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })
        .catch((error: unknown) => {
          throw unreachable(base, error);
        });
      if (!response.ok)
        throw new UnreadableFile(
          `the file ${path} cannot be read: ${base} answers with status ${response.status}`,
        );
      return Buffer.from(await arrived(base, response.arrayBuffer()));
    },
  };
}

/** The log of a broker. */
export function logOfBroker(client: Client): LogSource {
  return {
    read: async (path) => {
      if (path !== COSIGNED) return client.download(`/log/${path}`);
      const { body } = await client.call<LogView>({ method: 'GET', path: '/v1/log' });
      const note = body.cosigned?.checkpoint ?? null;
      if (note === null)
        throw new UnreadableFile('no quorum of witnesses has cosigned the log of the broker');
      return Buffer.from(note);
    },
  };
}

/** The name and the key of a broker's log, which everybody may read. @throws CliError with the broker's problem */
export async function describeLog(io: Io, broker: string): Promise<LogView> {
  const response = await io
    .fetch(`${broker}/v1/log`, { redirect: 'error', signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })
    .catch((error: unknown) => {
      throw unreachable(broker, error);
    });
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) throw toCliError(response, body);
  if (typeof (body as Partial<LogView> | null)?.key !== 'string')
    throw notABroker(broker, 'which key verifies its log');
  return body as LogView;
}

/**
 * The key of `--key`: a file, or the key itself.
 *
 * @throws CliError `usage`
 */
export function readLogKey(given: string, option = '--key'): Promise<NoteVerifier> {
  return readKey(given, option, parseVerifier);
}

/** The key of a witness: a file, or the key itself. @throws CliError `usage` */
export function readWitnessKey(given: string): Promise<Cosigner> {
  return readKey(given, '--witness', parseCosigner);
}

async function readKey<Key>(given: string, option: string, parse: (text: string) => Key): Promise<Key> {
  // A key has a plus sign before and after its id; files seldom do.
  const text = /^[^+]+\+[0-9a-f]{8}\+/.test(given) ? given : await readText(given);
  try {
    return parse(text);
  } catch (error) {
    throw usageError(`${option}: ${(error as Error).message}`);
  }
}

/** Reads a text that an argument names. @throws CliError `usage` */
export async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw usageError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

/** Turns a fault of a log into the failure of a command. */
export async function failOnFault<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof LogFault)) throw error;
    const isQuorumMissing = error instanceof QuorumMissing;
    // A path stays as it is.
    const detail = `${error.message.replace(/^[a-z]+ /, (word) => word.charAt(0).toUpperCase() + word.slice(1))}.`;
    const problem = {
      ...(isQuorumMissing
        ? { code: 'quorum_missing', title: 'Too few witnesses have cosigned the log' }
        : { code: 'log_fault', title: 'The log or the proof is not valid' }),
      detail: error instanceof MeaningFault ? `${detail} ${FAULTS[error.code]}` : detail,
      ...(error instanceof MeaningFault ? { fault: error.code, place: error.place } : {}),
    };
    throw new CliError(isQuorumMissing ? EXIT.unwitnessed : EXIT.different, problem, { cause: error });
  }
}
