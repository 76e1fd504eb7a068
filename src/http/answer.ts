import type { ServerResponse } from 'node:http';

/** An answer, before it is sent. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The content type of the body, unless the headers have one. */
  readonly type: string;
  /** Undefined: none. */
  readonly body: string | Buffer | undefined;
}

/**
 * Sends an answer whose body is text or absent. With its length known, head and body leave in one write.
 *
 * @param answer.headers without a content type
 */
export function sendText(res: ServerResponse, { status, headers, type, body }: Answer): void {
  res.statusCode = status;
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  if (body === undefined) {
    res.end();
    return;
  }
  res.setHeader('Content-Type', `${type}; charset=utf-8`);
  res.setHeader('Content-Length', Buffer.byteLength(body));
  res.end(body);
}
