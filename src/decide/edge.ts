import type { Request, Response } from 'express';
import { z } from 'zod';
import { parse } from '../http/body.ts';
import type { Cursors } from '../http/cursor.ts';
import type { Caller, RequestCredentials } from '../identity/credential.ts';
import type { Call, ControlDeps } from './control.ts';
import { type IdempotencyKey, parseIdempotencyKey } from './idempotency.ts';

/** The dependencies of the routes of the control and audit planes. */
export interface Edge {
  control: ControlDeps;
  /** @throws BrokerError `unauthenticated`, `token_invalid`, `issuer_unavailable` */
  authenticate(presented: RequestCredentials): Promise<Caller>;
  cursors: Cursors;
}

/** The authenticated caller of this HTTP request. */
export async function callOf(edge: Edge, req: Request): Promise<Call> {
  return { ...(await edge.authenticate(presentedBy(req))), http_request_id: req.id };
}

/** The credentials in an HTTP request. */
export function presentedBy(req: Request): RequestCredentials {
  return {
    authorization: req.headers.authorization,
    dpop: req.headersDistinct.dpop ?? [],
    cookie: req.headers.cookie,
    method: req.method,
    target: req.originalUrl,
    origin: req.headers.origin,
    fetch_site: req.get('Sec-Fetch-Site'),
  };
}

/** The `Idempotency-Key` of a POST and the digest of its request, or null. @throws BrokerError `invalid_request` */
export function idempotencyKeyOf(req: Request): IdempotencyKey | null {
  const { method, path, body = null } = req;
  return parseIdempotencyKey(req.get('Idempotency-Key'), { method, path, body });
}

/** The query parameters of every list. */
export const pageShape = {
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(2000).optional(),
};

/** Parses a query string; repeated and unknown parameters are refused. */
export function parseQuery<T>(schema: z.ZodType<T>, req: Request): T {
  return parse(schema, { ...req.query }, 'The query');
}

/**
 * Answers one page of a list, newest first, with a signed cursor to the next page.
 *
 * @param page.rows one row more than `limit` if there is a next page
 * @see RFC 8288 for the Link header
 */
export function sendPage<Row>(
  req: Request,
  res: Response,
  page: {
    rows: readonly Row[];
    limit: number;
    /** Omits rows that the caller may not see. */
    visible?: (row: Row) => boolean;
    view: (row: Row) => unknown;
    next: (row: Row) => string;
  },
): void {
  const items = page.rows.slice(0, page.limit);
  const last = items.at(-1);
  const nextCursor = page.rows.length > page.limit && last !== undefined ? page.next(last) : null;
  if (nextCursor !== null) {
    const url = new URL(req.originalUrl, 'http://localhost');
    url.searchParams.set('cursor', nextCursor);
    res.set('Link', `<${url.pathname}${url.search}>; rel="next"`);
  }
  const visible = page.visible === undefined ? items : items.filter(page.visible);
  res.json({ items: visible.map(page.view), next_cursor: nextCursor });
}
