import type { ServerResponse } from 'node:http';
import type { BrokerError } from '../errors.ts';
import { PROBLEMS } from '../problems.ts';
import type { OfrepAnswer } from './answers.ts';
import type { BulkAnswer } from './bulk.ts';
import type { ContextFault } from './context.ts';

/**
 * The only writer of OFREP responses. Header lists are flat arrays, which Node writes without building an object.
 */

const ANY_ORIGIN = ['Access-Control-Allow-Origin', '*'];
const CORS = [...ANY_ORIGIN, 'Access-Control-Expose-Headers', 'ETag, Retry-After'];
const JSON_TYPE = ['Content-Type', 'application/json'];
const JSON_HEADERS = [...JSON_TYPE, ...CORS];

/** The content of an error response. `key` is omitted if the request names no flag. */
export interface OfrepError {
  key?: string;
  errorCode: ContextFault['errorCode'] | 'FLAG_NOT_FOUND' | 'GENERAL';
  errorDetails: string;
}

/** A string is written together with the head. ASCII is, as Latin-1, without being encoded. */
function encodingOf(isAscii: boolean): 'latin1' | 'utf8' {
  return isAscii ? 'latin1' : 'utf8';
}

/** Sends the response for one flag. */
export function sendAnswer(res: ServerResponse, { body, length, isAscii }: OfrepAnswer): void {
  res.writeHead(200, [...JSON_TYPE, ...ANY_ORIGIN, 'Content-Length', length]);
  res.end(body, encodingOf(isAscii));
}

/** Sends the response for all flags. The shared part is written without a copy. @param end in ASCII, what ends the body */
export function sendBulk(
  res: ServerResponse,
  tag: string,
  { fixed, rest, end }: BulkAnswer & { end: string },
): void {
  const length = String(fixed.length + rest.bytes + end.length);
  res.writeHead(200, [...JSON_HEADERS, 'Content-Length', length, 'ETag', tag]);
  res.cork();
  res.write(fixed);
  res.end(rest.text + end, encodingOf(rest.isAscii));
  res.uncork();
}

/** Sends 304 Not Modified. */
export function sendNotModified(res: ServerResponse, tag: string): void {
  res.writeHead(304, [...CORS, 'ETag', tag]);
  res.end();
}

/** The headers that browsers may send. The last three belong to tracing. @see W3C Trace Context, W3C Baggage */
const ALLOWED_HEADERS =
  'Authorization, Cache-Control, Content-Type, DPoP, If-None-Match, Last-Event-ID, X-API-Key, traceparent, tracestate, baggage';

/** The headers of a stream of events beside those that every stream has. */
export const STREAM_HEADERS: readonly string[] = CORS;

/** Answers a CORS preflight. Any origin is allowed, because every read requires a token. */
export function sendPreflight(res: ServerResponse, method: string): void {
  res.writeHead(204, [
    ...CORS,
    'Access-Control-Allow-Methods',
    `${method}, OPTIONS`,
    'Access-Control-Allow-Headers',
    ALLOWED_HEADERS,
    'Access-Control-Max-Age',
    '86400',
  ]);
  res.end();
}

/** Sends an error in OFREP's format. Both codes are always present, because clients reject a body without them. */
export function sendError(
  res: ServerResponse,
  status: number,
  error: OfrepError,
  headers: string[] = [],
): void {
  const body = JSON.stringify(error);
  res.writeHead(status, [...JSON_HEADERS, 'Content-Length', String(Buffer.byteLength(body)), ...headers]);
  res.end(body);
}

/** Whole seconds, at least one. Clients would misread a date as its year in seconds. */
function retryAfterSeconds(value: string | undefined, nowMs: number): string {
  if (value !== undefined && /^[1-9]\d{0,8}$/.test(value)) return value;
  const seconds = Math.ceil((Date.parse(value ?? '') - nowMs) / 1000);
  return String(Number.isFinite(seconds) ? Math.max(1, seconds) : 1);
}

function headersOf({ fields: { headers = {} } }: BrokerError, status: number, nowMs: number): string[] {
  const flat: string[] = [];
  let retryAfter: string | undefined;
  for (const [name, value] of Object.entries(headers)) {
    if (name.toLowerCase() === 'retry-after') retryAfter = value;
    else flat.push(name, value);
  }
  if (status === 401 && !flat.some((name) => name.toLowerCase() === 'www-authenticate')) {
    flat.push('WWW-Authenticate', 'Bearer');
  }
  if (status === 429 || status === 503) flat.push('Retry-After', retryAfterSeconds(retryAfter, nowMs));
  return flat;
}

/** Sends a refusal with its status from the table of problems, its detail and its headers. */
export function sendRefusal(
  res: ServerResponse,
  refusal: BrokerError,
  { key, nowMs }: { key: string | null; nowMs: number },
): void {
  const { status } = PROBLEMS[refusal.code];
  const error: OfrepError = { errorCode: 'GENERAL', errorDetails: refusal.message };
  sendError(res, status, key === null ? error : { key, ...error }, headersOf(refusal, status, nowMs));
}
