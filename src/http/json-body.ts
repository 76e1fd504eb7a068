import express, { type RequestHandler } from 'express';
import { BrokerError } from '../errors.ts';
import { hasDuplicateMembers } from '../json-members.ts';
import { findInexactNumber, inexactNumber } from '../json-numbers.ts';

/** The maximum size of a JSON body on the control plane. */
const MAX_BODY_BYTES = 256 * 1024;

const decoder = new TextDecoder('utf-8', { fatal: true });

const JSON_TYPE = 'application/json';

/**
 * Reads JSON bodies: UTF-8, no compression, and nothing that two readers could interpret differently: no duplicate
 * members, and no numbers that a double cannot hold.
 *
 * @param types the accepted media types
 * @param options.keepsNumbers false where no number of a body is ever kept or compared: any is accepted
 * @throws BrokerError `unsupported_media_type`, `malformed_json`, `invalid_request`; the parser's own errors pass through
 *   `problem.ts`
 */
export function jsonBody(
  types: readonly string[] = [JSON_TYPE],
  { keepsNumbers = true } = {},
): RequestHandler {
  const read = express.json({
    type: [...types],
    limit: MAX_BODY_BYTES,
    inflate: false,
    strict: true,
    verify: (_req, _res, body) => assertWellFormed(body, keepsNumbers),
  });
  return (req, res, next) => {
    const hasBody =
      req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
    if (hasBody && req.is([...types]) === false) {
      throw new BrokerError('unsupported_media_type', `Send the body as ${types[0] ?? JSON_TYPE}.`);
    }
    // The parser would decode any named utf-* charset, and could read another document than the one checked here.
    if (/charset(?!="?utf-8"?\s*(;|$))/i.test(req.headers['content-type'] ?? '')) {
      throw new BrokerError('unsupported_media_type', 'Send the body as UTF-8.');
    }
    read(req, res, next);
  };
}

function assertWellFormed(body: Buffer, keepsNumbers: boolean): void {
  // A call without a body, from a client that sends the content type anyway.
  if (body.length === 0) return;
  let text: string;
  try {
    text = decoder.decode(body);
    JSON.parse(text);
  } catch {
    throw new BrokerError('malformed_json', 'The body is not valid JSON in UTF-8.');
  }
  if (hasDuplicateMembers(text)) throw new BrokerError('malformed_json', 'Duplicate object member.');
  const inexact = keepsNumbers ? findInexactNumber(text) : null;
  if (inexact !== null) throw new BrokerError('invalid_request', inexactNumber(inexact));
}
