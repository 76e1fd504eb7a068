import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { CompactEncrypt, calculateJwkThumbprint, compactDecrypt, decodeProtectedHeader } from 'jose';

/** The length of a master key. */
const MASTER_KEY_BYTES = 32;

/**
 * 32 bytes as hex, base64 or base64url, with or without padding. Hex is tried first: 64 digits are not the base64 of 32
 * bytes.
 */
const WRITTEN = { hex: /^[0-9a-f]{64}$/i, base64: /^([A-Za-z0-9+/]{43}|[\w-]{43})=?$/ } as const;

/** The algorithms of sealed text: AES-256-GCM under the master key itself. @see RFC 7518 sections 4.5 and 5.3 */
const ALGORITHM = 'dir';
const ENCRYPTION = 'A256GCM';

/** Sealed text that the current master key cannot open. */
export class SealError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'SealError';
  }
}

/** The key that seals every secret in the database. It is never stored in the database. */
export interface MasterKey {
  /** Identifies the key: its RFC 7638 thumbprint, which reveals nothing about 256 random bits (section 7). */
  kid: string;
  /**
   * Seals a text as compact JWE. `use` names its purpose, such as `cursor_secret`. The purpose is bound to the text, so
   * one sealed text cannot replace another.
   */
  seal(text: string, use: string): Promise<string>;
  /** @throws SealError for text that was sealed under another key or for another use, or was modified */
  unseal(sealed: string, use: string): Promise<string>;
}

/** Wraps the key. @param key 32 random bytes */
export async function createMasterKey(key: KeyObject): Promise<MasterKey> {
  const kid = await calculateJwkThumbprint(key, 'sha256');
  return {
    kid,
    seal: (text, use) =>
      new CompactEncrypt(Buffer.from(text))
        .setProtectedHeader({ alg: ALGORITHM, enc: ENCRYPTION, kid, use })
        .encrypt(key),
    unseal: async (sealed, use) => {
      const { plaintext, protectedHeader } = await compactDecrypt(sealed, key, {
        keyManagementAlgorithms: [ALGORITHM],
        contentEncryptionAlgorithms: [ENCRYPTION],
      }).catch((error: unknown) => {
        throw new SealError(
          `${use} cannot be unsealed: it is damaged or was sealed under another master key`,
          error,
        );
      });
      if (protectedHeader.use !== use) throw new SealError(`${use} was sealed for another use`);
      return Buffer.from(plaintext).toString('utf8');
    },
  };
}

/** The id of the master key that a text is sealed under, according to its header; null for unsealed text. */
export function sealedUnder(text: string): string | null {
  try {
    const { kid, enc } = decodeProtectedHeader(text);
    return enc === ENCRYPTION && typeof kid === 'string' ? kid : null;
  } catch {
    return null;
  }
}

/** Reads 32 bytes as hex, base64 or base64url; null for anything else. */
export function parseMasterKey(text: string): KeyObject | null {
  const written = text.trim();
  if (WRITTEN.hex.test(written)) return createSecretKey(Buffer.from(written, 'hex'));
  if (WRITTEN.base64.test(written)) return createSecretKey(Buffer.from(written, 'base64'));
  return null;
}

/** A new master key in its text form. */
export function newMasterKeyText(): string {
  return randomBytes(MASTER_KEY_BYTES).toString('base64url');
}
