import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { BrokerError } from '../errors.ts';
import { canonicalJson } from '../json.ts';
import { randomBytesOf } from '../random.ts';

/**
 * Encrypted positions in a list. A cursor is valid for one list with one filter, and shows nothing of the row that it
 * names.
 */
export interface Cursors {
  /** @param list the name of the list @param filter the list's filter @param place the position of the next page */
  seal(list: string, filter: unknown, place: string | number): string;
  /** @throws BrokerError `invalid_cursor` for a cursor that was altered, or of another list or filter */
  open(list: string, filter: unknown, cursor: string): string | number;
}

const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * AES-256-GCM with random nonces; the list and its filter are authenticated with each position.
 *
 * @param secret at least 32 random bytes that survive a restart
 * @see NIST SP 800-38D section 8.2.2
 */
export function createCursors(secret: Uint8Array): Cursors {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'countersign list cursors', 32));
  const boundTo = (list: string, filter: unknown) => Buffer.from(canonicalJson({ v: 2, list, filter }));

  return {
    seal: (list, filter, place) => {
      const iv = randomBytesOf(IV_BYTES);
      const cipher = createCipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES });
      cipher.setAAD(boundTo(list, filter));
      const sealed = [iv, cipher.update(JSON.stringify(place)), cipher.final(), cipher.getAuthTag()];
      return Buffer.concat(sealed).toString('base64url');
    },
    open: (list, filter, cursor) => {
      const bytes = Buffer.from(cursor, 'base64url');
      try {
        const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, IV_BYTES), {
          authTagLength: TAG_BYTES,
        });
        decipher.setAAD(boundTo(list, filter));
        decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
        const place = [decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()];
        return JSON.parse(Buffer.concat(place).toString('utf8')) as string | number;
      } catch (cause) {
        throw new BrokerError(
          'invalid_cursor',
          'Start again without a cursor, or use the same filters.',
          {},
          cause,
        );
      }
    },
  };
}
