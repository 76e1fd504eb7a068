import { createHmac, timingSafeEqual } from 'node:crypto';
import { BrokerError } from '../errors.ts';
import { canonicalJson } from '../json.ts';

/** Signed, opaque positions in a list. A cursor is valid for one list with one filter. */
export interface Cursors {
  /** @param list the name of the list @param filter the list's filter @param place the position of the next page */
  sign(list: string, filter: unknown, place: string | number): string;
  /** @throws BrokerError `invalid_cursor` when the signature is invalid, or the list or filter differs */
  open(list: string, filter: unknown, cursor: string): string | number;
}

/** @param secret at least 32 random bytes that survive a restart */
export function createCursors(secret: Uint8Array): Cursors {
  function tagOf(list: string, filter: unknown, place: string | number): Buffer {
    return createHmac('sha256', secret)
      .update(canonicalJson({ v: 1, list, filter, place }))
      .digest()
      .subarray(0, 16);
  }

  return {
    sign: (list, filter, place) => {
      const tag = tagOf(list, filter, place).toString('base64url');
      return Buffer.from(JSON.stringify([place, tag])).toString('base64url');
    },
    open: (list, filter, cursor) => {
      const invalid = new BrokerError(
        'invalid_cursor',
        'Start again without a cursor, or use the same filters.',
      );
      let place: unknown;
      let tag: unknown;
      try {
        [place, tag] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')) as unknown[];
      } catch {
        throw invalid;
      }
      if ((typeof place !== 'string' && typeof place !== 'number') || typeof tag !== 'string') throw invalid;
      const given = Buffer.from(tag, 'base64url');
      const expected = tagOf(list, filter, place);
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw invalid;
      return place;
    },
  };
}
