import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto';

/*
 * A stream of events is opened by an address alone, because a browser's `EventSource` sends no headers. The ticket in it is
 * the reader's token, sealed: it opens streams here and nothing anywhere, it ends with the token, and an address that is
 * seen by others shows nothing of the token.
 */

/** Makes and opens tickets. */
export interface StreamTickets {
  /** The ticket of a token: always the same one, so that an unchanged answer has an unchanged address. */
  seal(token: string): string;
  /** The token of a ticket; null if it was not sealed under the same secret. Whether the token holds is not its matter. */
  open(ticket: string): string | null;
}

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Creates the tickets of one secret. Processes with the same secret open each other's. The nonce is derived from the
 * token, so that equal tokens have equal tickets, and different ones never share a nonce.
 *
 * @param secret at least 32 bytes that nobody else has
 */
export function createStreamTickets(secret: Buffer): StreamTickets {
  const derive = (use: string) =>
    Buffer.from(hkdfSync('sha256', secret, '', `countersign stream ticket ${use}`, KEY_BYTES));
  const sealing = derive('sealing');
  const numbering = derive('nonce');

  return {
    seal(token) {
      const nonce = createHmac('sha256', numbering).update(token).digest().subarray(0, NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, sealing, nonce);
      const sealed = Buffer.concat([
        nonce,
        cipher.update(token, 'utf8'),
        cipher.final(),
        cipher.getAuthTag(),
      ]);
      return sealed.toString('base64url');
    },
    open(ticket) {
      if (!/^[\w-]+$/.test(ticket)) return null;
      const sealed = Buffer.from(ticket, 'base64url');
      // Two spellings of one ticket would be two addresses.
      if (sealed.length <= NONCE_BYTES + TAG_BYTES || sealed.toString('base64url') !== ticket) return null;
      const decipher = createDecipheriv(CIPHER, sealing, sealed.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
      try {
        const token = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES));
        return Buffer.concat([token, decipher.final()]).toString('utf8');
      } catch {
        return null;
      }
    },
  };
}
