import { connect } from 'node:net';

/** Writes lines or bytes to a new connection, ends it, and reads until the broker closes it. A reset is an answer, too. */
export function sendRaw(url: string, lines: readonly string[] | Buffer): Promise<string> {
  return exchangeBytes(url, lines, { endsAtOnce: true });
}

/** An interim answer (RFC 9110, section 15.2) and nothing behind it yet. */
const INTERIM = /^HTTP\/1\.1 1\d\d [^\r\n]*\r\n\r\n$/;

/** The same, but ends the connection only after the broker has begun its final answer. */
export function askRaw(url: string, lines: readonly string[] | Buffer): Promise<string> {
  return exchangeBytes(url, lines, { endsAtOnce: false });
}

function exchangeBytes(
  url: string,
  lines: readonly string[] | Buffer,
  { endsAtOnce }: { endsAtOnce: boolean },
): Promise<string> {
  const { port } = new URL(url);
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect(Number(port), '127.0.0.1', () => {
      socket.write(Buffer.isBuffer(lines) ? lines : lines.join('\r\n'));
      if (endsAtOnce) socket.end();
    });
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      if (!INTERIM.test(Buffer.concat(chunks).toString('latin1'))) socket.end();
    });
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('utf8')));
    socket.on('error', () => socket.destroy());
  });
}

/** The answers of {@link sendRaw} and {@link askRaw}: statuses, in order. */
export function statusesOf(answers: string): number[] {
  return [...answers.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
}
