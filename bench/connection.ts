import { connect, type Socket } from 'node:net';

/**
 * The client side of HTTP/1.1 as the load needs it, on a bare socket: requests are written as they are and answers are
 * cut by `Content-Length`, or at their last chunk. A full client costs more than what it would measure here, and would flatter the slower side
 * of each comparison.
 */
export interface Connection {
  /** Sends one request and resolves with its answer. One at a time. */
  call(request: string): Promise<HttpAnswer>;
  close(): void;
}

/** One answer. */
export interface HttpAnswer {
  status: number;
  head: string;
  body: Buffer;
}

interface Waiting {
  resolve: (answer: HttpAnswer) => void;
  reject: (error: Error) => void;
}

/** Opens one keep-alive connection. @throws Error when nobody listens */
export async function openConnection(url: string): Promise<Connection> {
  const { hostname, port } = new URL(url);
  const socket = await open(hostname, Number(port));
  let received: Buffer = Buffer.alloc(0);
  let waiting: Waiting | null = null;

  socket.on('data', (chunk) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const answer = cut(received);
    if (answer === null) return;
    const { resolve } = waiting ?? unexpected();
    received = Buffer.alloc(0);
    waiting = null;
    resolve(answer);
  });
  socket.on('error', (error) => waiting?.reject(error));
  socket.on('close', () => waiting?.reject(new Error('the server closed the connection')));

  return {
    call: (request) =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        socket.write(request);
      }),
    close: () => socket.destroy(),
  };
}

/** Sends one request on a connection of its own. */
export async function askOnce(url: string, request: string): Promise<HttpAnswer> {
  const connection = await openConnection(url);
  try {
    return await connection.call(request);
  } finally {
    connection.close();
  }
}

/** Writes one request as its bytes, a POST by default. Further headers end with a line break each. */
export function formRequest(options: {
  method?: string;
  path: string;
  token: string | null;
  body: unknown;
  headers?: string;
}): string {
  const { method = 'POST', path, token, headers = '' } = options;
  const body = options.body === undefined ? '' : JSON.stringify(options.body);
  const credential = token === null ? '' : `Authorization: Bearer ${token}\r\n`;
  const type = body === '' ? '' : 'Content-Type: application/json\r\n';
  return `${method} ${path} HTTP/1.1\r\nHost: bench\r\n${credential}${type}${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** Writes one request with a form as its bytes. */
export function formPost(path: string, form: URLSearchParams): string {
  const body = form.toString();
  return `POST ${path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

function open(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true }, () => {
      socket.off('error', reject);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

function cut(received: Buffer): HttpAnswer | null {
  const end = received.indexOf('\r\n\r\n');
  if (end === -1) return null;
  const head = received.toString('latin1', 0, end);
  const status = Number(head.slice(9, 12));
  const body = received.subarray(end + 4);
  return isWhole(status, head, body) ? { status, head, body } : null;
}

/** A body in chunks is left as it came: only those that nobody reads come so. */
function isWhole(status: number, head: string, body: Buffer): boolean {
  if (status === 304) return true;
  if (/\r\ntransfer-encoding: chunked/i.test(head)) return body.toString('latin1').endsWith(LAST_CHUNK);
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
  if (Number.isNaN(length)) throw new Error(`an answer without Content-Length:\n${head}`);
  return body.length >= length;
}

const LAST_CHUNK = '0\r\n\r\n';

function unexpected(): never {
  throw new Error('an answer that nobody asked for');
}
