import { randomBytes } from 'node:crypto';
import { findMeta, removeMeta, setMeta, setMetaOnce } from '../store/installation.ts';
import {
  CURSOR_SECRET,
  listSecrets,
  REWRITE_DUE,
  replaceSecret,
  type StoredSecret,
} from '../store/secrets.ts';
import type { Store } from '../store/store.ts';
import { sealedLogKeyUse } from './log-key.ts';
import { createMasterKey, type MasterKey, SealError, sealedUnder } from './master-key.ts';
import type { MasterKeyConfig } from './master-key-config.ts';
import { makeMasterKeyFile } from './master-key-file.ts';
import { sealedKeyUse } from './signing-keys.ts';

/** The outcome of opening the master key at the start. */
export interface MasterKeyReport {
  kind: 'made' | 'loaded';
  /** The variable or the file with the key. */
  from: string;
  /** The number of resealed secrets, which were sealed under the previous key or not at all. */
  sealed: number;
  /** True when a previous key is configured but no longer needed. */
  isPreviousIdle: boolean;
}

/**
 * Opens every secret of the database with the master key, before anything is served. Secrets under the previous key, or
 * in the form of older versions, are resealed under the current key in one transaction. Then the file is rewritten, so
 * that the previous text does not remain in it. An installation without a master key gets one.
 *
 * @throws Error with a message for the operator when the key is missing or wrong, or a secret is damaged; nothing has
 *   changed then
 */
export async function openSecrets(
  store: Store,
  config: MasterKeyConfig,
): Promise<{ masterKey: MasterKey; report: MasterKeyReport }> {
  const secrets = await listSecrets(store.read);
  const sealers = secrets.flatMap(({ text }) => sealedUnder(text) ?? []);
  if (config.key === null && sealers.length > 0) throw missing(config, sealers);
  const key = config.key ?? makeMasterKeyFile(config.from);
  const masterKey = await createMasterKey(key);
  const previous = config.previous === null ? null : await createMasterKey(config.previous);

  const due: { secret: StoredSecret; fresh: string }[] = [];
  for (const secret of secrets) {
    const fresh = await sealedAnew(secret, {
      masterKey,
      previous,
      from: config.from,
      isFirst: sealers.length === 0,
    });
    if (fresh !== secret.text) due.push({ secret, fresh });
  }
  if (due.length > 0) {
    await store.writer.write(async (tx) => {
      for (const { secret, fresh } of due) await replaceSecret(tx, secret, fresh);
      await setMeta(tx, REWRITE_DUE, '1');
    });
  }
  await rewriteIfDue(store);
  return {
    masterKey,
    report: {
      kind: config.key === null ? 'made' : 'loaded',
      from: config.from,
      sealed: due.length,
      isPreviousIdle: previous !== null && !sealers.includes(previous.kid),
    },
  };
}

interface SealContext {
  masterKey: MasterKey;
  previous: MasterKey | null;
  from: string;
  /**
   * Whether nothing in the database is sealed yet. All secrets are sealed in one write, so a mix with plaintext is a
   * fault.
   */
  isFirst: boolean;
}

/** The secret in the form to store: unchanged if the master key opens it. */
async function sealedAnew(secret: StoredSecret, sealing: SealContext): Promise<string> {
  const { text } = secret;
  const { masterKey, previous } = sealing;
  const use = useOf(secret);
  const sealer = sealedUnder(text);
  if (secret.isUseless) return '';
  if (sealer === masterKey.kid) {
    await masterKey.unseal(text, use);
    return text;
  }
  if (sealer === null) {
    if (!sealing.isFirst || !isInTheClear(secret)) throw new SealError(`${use} is damaged: it is not sealed`);
    return masterKey.seal(text, use);
  }
  if (sealer !== previous?.kid) throw wrongKey(sealer, sealing);
  return masterKey.seal(await previous.unseal(text, use), use);
}

function useOf({ kind, id }: StoredSecret): string {
  if (kind === 'signing_key') return sealedKeyUse(id);
  return kind === 'log_key' ? sealedLogKeyUse(id) : id;
}

/** Whether this is a complete secret in the form of older versions. */
function isInTheClear({ kind, id, text }: StoredSecret): boolean {
  // No version stored a log key in the clear.
  if (kind === 'log_key') return false;
  if (kind === 'meta') return /^[\w-]{43}$/.test(text);
  try {
    const { kid, d } = JSON.parse(text) as { kid?: unknown; d?: unknown };
    return kid === id && typeof d === 'string';
  } catch {
    return false;
  }
}

/**
 * Rewrites the database file without its previous content. After a crash the mark remains, and the next start retries.
 */
async function rewriteIfDue(store: Store): Promise<void> {
  if ((await findMeta(store.read, REWRITE_DUE)) === null) return;
  await store.rewrite();
  await store.writer.write((tx) => removeMeta(tx, REWRITE_DUE));
}

const NOTHING_CHANGED = 'Nothing was changed.';

function missing({ from }: MasterKeyConfig, sealers: readonly string[]): Error {
  const kids = [...new Set(sealers)].join(', ');
  return new Error(
    `the secrets in the database are sealed under the master key ${kids}, but ${from} is missing. ` +
      `Restore it, or configure the key with master_key_file or COUNTERSIGN_MASTER_KEY. ${NOTHING_CHANGED}`,
  );
}

function wrongKey(sealer: string, { masterKey, from }: SealContext): Error {
  return new Error(
    `a secret in the database is sealed under the master key ${sealer}, but ${from} contains another one, ${masterKey.kid}. ` +
      'Configure the right one. If the master key was rotated, also configure the previous one with previous_master_key_file or ' +
      `COUNTERSIGN_PREVIOUS_MASTER_KEY. ${NOTHING_CHANGED}`,
  );
}

/** The secret that list cursors are encrypted with, generated once. */
export async function cursorSecret(store: Store, masterKey: MasterKey): Promise<Buffer> {
  const sealed = await masterKey.seal(randomBytes(32).toString('base64url'), CURSOR_SECRET);
  const kept =
    (await findMeta(store.read, CURSOR_SECRET)) ??
    (await store.writer.write((tx) => setMetaOnce(tx, CURSOR_SECRET, sealed)));
  return Buffer.from(await masterKey.unseal(kept, CURSOR_SECRET), 'base64url');
}
