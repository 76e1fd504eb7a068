import type { IncomingMessage } from 'node:http';
import { BrokerError } from '../errors.ts';
import { hasDuplicateMembers } from '../json-members.ts';
import { findInexactNumber, inexactNumber } from '../json-numbers.ts';
import { readBody } from './read-body.ts';

/** The maximum size of a JSON body on the control plane. */
const MAX_BODY_BYTES = 256 * 1024;

const decoder = new TextDecoder('utf-8', { fatal: true });

/** The spellings of the content type that nearly all clients send. */
const PLAIN_TYPES: ReadonlySet<string> = new Set([
  'application/json',
  'application/json; charset=utf-8',
  'application/json;charset=utf-8',
]);

/** The bytes of a body that a request announces: the empty text for none, `?` if their number is not known. */
function announced({ headers }: IncomingMessage): string {
  return headers['transfer-encoding'] === undefined ? (headers['content-length'] ?? '') : '?';
}

/** Whether a request has a body, or may have one. */
export function hasBody(req: IncomingMessage): boolean {
  const bytes = announced(req);
  return bytes === '?' || Number(bytes) > 0;
}

/** Whether the body of a request is JSON for certain. Other requests may be, in unusual spellings. */
export function isPlainJson(req: IncomingMessage): boolean {
  const type = req.headers['content-type'];
  return type === undefined ? announced(req) === '' : PLAIN_TYPES.has(type);
}

/** Asserts that no charset but UTF-8 is named. @throws BrokerError `unsupported_media_type` */
export function assertUtf8({ headers }: IncomingMessage): void {
  if (/charset(?!="?utf-8"?\s*(;|$))/i.test(headers['content-type'] ?? '')) {
    throw new BrokerError('unsupported_media_type', 'Send the body as UTF-8.');
  }
}

/**
 * Reads the body of a request whose content type is JSON: UTF-8, no compression, and nothing that two readers could
 * interpret differently: no duplicate members, and no numbers that a double cannot hold.
 *
 * @param options.keepsNumbers false where no number of a body is ever kept or compared: any is accepted
 * @returns an object or an array; an object without members for a body of no bytes; undefined for no body
 * @throws BrokerError `unsupported_media_type`, `body_too_large`, `malformed_json`, `invalid_request`
 */
export async function readJson(req: IncomingMessage, { keepsNumbers = true } = {}): Promise<unknown> {
  if (announced(req) === '') return undefined;
  const coding = req.headers['content-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'identity' && coding !== '') {
    throw new BrokerError('unsupported_media_type', 'Send the body without compression.');
  }
  const body = await readBody(req, MAX_BODY_BYTES);
  // A call without a body, from a client that sends the content type anyway.
  return body.length === 0 ? {} : parseJson(body, keepsNumbers);
}

function parseJson(body: Buffer, keepsNumbers: boolean): object {
  let text: string;
  let value: unknown;
  try {
    text = decoder.decode(body);
    value = JSON.parse(text);
  } catch {
    throw new BrokerError('malformed_json', 'The body is not valid JSON in UTF-8.');
  }
  if (hasDuplicateMembers(text)) throw new BrokerError('malformed_json', 'Duplicate object member.');
  const inexact = keepsNumbers ? findInexactNumber(text) : null;
  if (inexact !== null) throw new BrokerError('invalid_request', inexactNumber(inexact));
  if (typeof value !== 'object' || value === null) {
    throw new BrokerError('malformed_json', 'Send a JSON object.');
  }
  return value;
}
