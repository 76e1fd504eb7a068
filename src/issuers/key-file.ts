import { readFile, stat } from 'node:fs/promises';
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '../clock.ts';
import { type IdentityLog, TokenRefused } from '../identity/refusal.ts';
import { canonicalJson } from '../json.ts';
import { hasDuplicateMembers } from '../json-members.ts';
import { MAX_DOCUMENT_BYTES } from './fetch-document.ts';
import { type KeyUse, reasonsOf, UnusableKeySet, type UsableKeys, usableKeys } from './key-filter.ts';

/** The minimum time between two checks of a file, in milliseconds. */
export const FILE_CHECK_MS = 5_000;

/** What {@link createFileKeySet} needs. */
export interface FileKeySetParts {
  issuer: string;
  file: string;
  use: KeyUse;
  clock: Clock;
  log: IdentityLog;
  /** Called when the keys have changed. */
  notify: () => void;
}

/** The keys of one issuer, fetched or from a file. */
export interface IssuerKeys {
  find: JWTVerifyGetKey;
  /** Whether the newest key set was empty or unusable. Looks again, with a cooldown, while it was. */
  isWithdrawn(): Promise<boolean>;
  /** The keys that are believed now: none after they were withdrawn, null if they were never known. Fetches those that are not known yet. */
  published(): Promise<JSONWebKeySet | null>;
}

/** The keys of a file. */
export interface FileKeySet extends IssuerKeys {
  /** Reads the file now. @throws Error with a message for the operator */
  read(): Promise<void>;
}

/**
 * Keys from a file, for unreachable issuers. A change of the file is detected within {@link FILE_CHECK_MS}. An unusable
 * file is logged, and the last valid keys stay in use. They do not become stale, because the operator provides them.
 * A complete file without usable keys withdraws all keys for writes.
 */
export function createFileKeySet({ issuer, file, use, clock, log, notify }: FileKeySetParts): FileKeySet {
  let known: { find: JWTVerifyGetKey; text: string } | null = null;
  let seen = '';
  let checkedMs = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | null = null;
  let isWithdrawn = false;

  async function read(): Promise<void> {
    checkedMs = clock();
    seen = await stampOf(file);
    const { keys, skipped } = await readKeyFile(file, use);
    const text = canonicalJson(keys);
    isWithdrawn = false;
    if (known?.text === text) return;
    const isChange = known !== null;
    known = { find: createLocalJWKSet(keys), text };
    if (skipped.length > 0) log.info({ issuer, skipped }, 'issuer keys skipped');
    if (isChange) notify();
  }

  async function readIfChanged(): Promise<void> {
    if (Math.abs(clock() - checkedMs) < FILE_CHECK_MS) return;
    checkedMs = clock();
    try {
      if (known === null || (await stampOf(file)) !== seen) await read();
    } catch (error) {
      isWithdrawn ||= error instanceof UnusableKeySet;
      log.warn({ issuer, file, cause: (error as Error).message }, 'key file not usable');
    }
  }

  const refresh = async (): Promise<void> => {
    reading ??= readIfChanged().finally(() => {
      reading = null;
    });
    await reading;
  };

  return {
    read,
    isWithdrawn: async () => {
      await refresh();
      return isWithdrawn;
    },
    published: async () => {
      await refresh();
      if (isWithdrawn) return { keys: [] };
      return known === null ? null : (JSON.parse(known.text) as JSONWebKeySet);
    },
    find: async (header, token) => {
      await refresh();
      try {
        if (known === null) throw new Error('the key file has never been usable');
        return await known.find(header, token);
      } catch (error) {
        throw new TokenRefused('key_not_found', undefined, error);
      }
    },
  };
}

/** Changes when the file is replaced or written to. */
async function stampOf(file: string): Promise<string> {
  const { mtimeMs, size, ino } = await stat(file);
  return `${mtimeMs} ${size} ${ino}`;
}

/** @throws Error with a message for the operator */
async function readKeyFile(file: string, use: KeyUse): Promise<UsableKeys> {
  const { size } = await stat(file);
  if (size > MAX_DOCUMENT_BYTES) throw new Error(`it exceeds ${MAX_DOCUMENT_BYTES} bytes`);
  const usable = usableKeys(parseKeySet(await readFile(file, 'utf8')), use);
  const secret = usable.skipped.find(({ reason }) => reason === 'private_key' || reason === 'symmetric_key');
  if (secret !== undefined) {
    const name = secret.kid === null ? '' : ` (kid ${secret.kid})`;
    throw new UnusableKeySet(
      `it contains a private key${name}: store only public keys here, and replace that key`,
    );
  }
  if (usable.keys.keys.length === 0) {
    const wanted = use === 'jwt-svid' ? 'with "use": "jwt-svid"' : 'for signatures';
    throw new UnusableKeySet(
      `none of its keys is usable (${reasonsOf(usable)}): it requires a public key ${wanted}`,
    );
  }
  return usable;
}

function parseKeySet(text: string): unknown {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    // The parser's message would quote the file.
    throw new Error('it is not valid JSON');
  }
  if (hasDuplicateMembers(text)) throw new Error('it has a duplicate object member');
  return document;
}
