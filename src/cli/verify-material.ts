import { createReadStream } from 'node:fs';
import { open, readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { type KeptDecisions, type OpenPolicy, readKeptDecisions } from '../audit/verify/kept-decisions.ts';
import { readServedFlag, type ServedFlag } from '../audit/verify/served-flags.ts';
import type { PublishedBodies } from '../audit/verify/snapshots.ts';
import { parseExactly } from '../json-numbers.ts';
import { readStoredBundle } from '../policy/bundle.ts';
import { inputVersions } from '../policy/input-versions.ts';
import { createPolicy, type Policy } from '../policy/policies.ts';
import { REQUEST_KINDS } from '../requests/kinds/kinds.ts';
import { parseBodyFile } from '../snapshot/body.ts';
import { usageError } from './cli-error.ts';
import type { Client } from './client.ts';
import { readText } from './log-source.ts';

/*
 * What a verification can be given besides the log: inputs with the bundles of their policies, and the flags that are
 * served. Nothing of it is believed.
 */

/** How many compiled policies are kept at once. */
const MAX_POLICIES = 4;

/** The name of a bundle's file beside the inputs. */
export function bundleFileName(hash: string): string {
  return `${hash.replace(/^sha256:/, '')}.tar.gz`;
}

/** Reads inputs from a file of JSON lines, and bundles from files beside it. @throws CliError `usage` */
export async function readInputsFile(file: string): Promise<KeptDecisions> {
  await open(file)
    .then((handle) => handle.close())
    .catch((error: Error) => {
      throw usageError(`--inputs: ${file} cannot be read: ${error.message}`);
    });
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY });
  return readKeptDecisions(lines[Symbol.asyncIterator](), bundlesIn(dirname(file)));
}

function bundlesIn(folder: string): OpenPolicy {
  const opened = new Map<string, Awaited<ReturnType<OpenPolicy>>>();
  return async (hash) => {
    const known = opened.get(hash);
    if (known !== undefined) return known;
    const policy = await openBundle(join(folder, bundleFileName(hash)), hash);
    for (const oldest of [...opened.keys()].slice(0, opened.size - MAX_POLICIES + 1)) opened.delete(oldest);
    opened.set(hash, policy);
    return policy;
  };
}

async function openBundle(
  file: string,
  hash: string,
): Promise<Policy | 'bundle_missing' | 'bundle_unusable'> {
  // A hash of another form could name a file anywhere.
  if (!/^sha256:[0-9a-f]{64}$/.test(hash)) return 'bundle_missing';
  const archive = await readFile(file).catch(() => null);
  if (archive === null) return 'bundle_missing';
  try {
    return await createPolicy(await readStoredBundle(archive), { inputs: inputVersions(REQUEST_KINDS) });
  } catch {
    return 'bundle_unusable';
  }
}

/** Reads served flags from a file: one flag a line, as `flags KEY --json` prints it, or one document. */
export async function readFlagsFile(file: string): Promise<ServedFlag[]> {
  const text = await readText(file);
  return documentsIn(text).map(readServedFlag);
}

function documentsIn(text: string): unknown[] {
  try {
    return [parseExactly(text)].flat();
  } catch {
    // Several documents.
  }
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      try {
        return parseExactly(line);
      } catch {
        return null;
      }
    });
}

/**
 * Reads a folder with published snapshots, as `publish --to` writes it: a folder for each environment. Pointers are verified by
 * `verify-snapshot`.
 *
 * @throws CliError `usage`
 */
export async function readSnapshotsFolder(folder: string): Promise<PublishedBodies> {
  const unreadable = (error: Error) => {
    throw usageError(`--snapshots: ${folder} cannot be read: ${error.message}`);
  };
  const files: { environment: string; file: string }[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(unreadable)) {
    if (!entry.isDirectory()) continue;
    const names = await readdir(join(folder, entry.name)).catch(unreadable);
    for (const file of names) if (parseBodyFile(file) !== null) files.push({ environment: entry.name, file });
  }
  return {
    files,
    read: async (environment, file) => {
      // The name of an environment that leaves this folder is none of a folder in it.
      if (environment !== basename(environment) || environment === '..') return null;
      return readFile(join(folder, environment, file)).catch(() => null);
    },
  };
}

/** Reads the flags that a broker serves, in the environments that a log names. */
export async function readFlagsOf(client: Client, environments: Iterable<string>): Promise<ServedFlag[]> {
  type Listed = { key: string; state: object | null; version: number; [member: string]: unknown };
  const flags = new Map<string, ServedFlag>();
  for (const environment of environments) {
    const query = { environment };
    const { items } = await client.list<Listed>({ path: '/v1/flags', query, all: true });
    for (const { state, version, ...definition } of items) {
      const flag = flags.get(definition.key) ?? readServedFlag({ ...definition, states: {} });
      if (state !== null) flag.states[environment] = { ...state, version };
      flags.set(flag.key, flag);
    }
  }
  return [...flags.values()];
}
