import { findMeta } from './installation.ts';
import { listLogKeys } from './log-keys.ts';
import { listSigningKeys } from './signing-keys.ts';
import type { Db, Tx } from './statement.ts';

/** The meta key that is set while previous forms of secrets may remain in the files of the database. */
export const REWRITE_DUE = 'rewrite_due';
/** The secret that list cursors are encrypted with. */
export const CURSOR_SECRET = 'cursor_secret';

/** A secret in its stored form: sealed, or as older versions wrote it. */
export interface StoredSecret {
  kind: 'signing_key' | 'log_key' | 'meta';
  /** The `kid`, the public part of a log key, or the key in `meta`. */
  id: string;
  text: string;
  /** A retired key signs nothing, so its private part need not be kept. */
  isUseless: boolean;
}

/** All secrets of this installation. */
export async function listSecrets(db: Db): Promise<StoredSecret[]> {
  const keys = await listSigningKeys(db);
  const logKeys = await listLogKeys(db);
  const cursorSecret = await findMeta(db, CURSOR_SECRET);
  return [
    ...keys.map(({ kid, private_jwk, retires_ms }) => ({
      kind: 'signing_key' as const,
      id: kid,
      text: private_jwk,
      isUseless: retires_ms !== null,
    })),
    // A key that retires still signs until then, and loses its private part at that time.
    ...logKeys.map(({ vkey, private_key }) => ({
      kind: 'log_key' as const,
      id: vkey,
      text: private_key,
      isUseless: false,
    })),
    ...(cursorSecret === null
      ? []
      : [{ kind: 'meta' as const, id: CURSOR_SECRET, text: cursorSecret, isUseless: false }]),
  ].filter(({ text }) => text !== '');
}

/**
 * Replaces the stored form of a secret.
 *
 * @throws Error if it has changed since it was read
 */
export async function replaceSecret(tx: Tx, { kind, id, text }: StoredSecret, fresh: string): Promise<void> {
  const { numUpdatedRows } = await updateOf(tx, { kind, id, text }, fresh);
  if (numUpdatedRows !== 1n)
    throw new Error(`another broker has changed ${id} since; start this broker again`);
}

function updateOf(tx: Tx, { kind, id, text }: Omit<StoredSecret, 'isUseless'>, fresh: string) {
  switch (kind) {
    case 'signing_key':
      return tx
        .updateTable('signing_keys')
        .set({ private_jwk: fresh })
        .where('kid', '=', id)
        .where('private_jwk', '=', text)
        .executeTakeFirst();
    case 'log_key':
      return tx
        .updateTable('log_keys')
        .set({ private_key: fresh })
        .where('vkey', '=', id)
        .where('private_key', '=', text)
        .executeTakeFirst();
    case 'meta':
      return tx
        .updateTable('meta')
        .set({ value: fresh })
        .where('key', '=', id)
        .where('value', '=', text)
        .executeTakeFirst();
  }
}
