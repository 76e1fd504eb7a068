import { hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { appendTo } from '../support/entries.ts';
import { createTerminal, type Terminal } from './support.ts';

/* A log that is published to an address: a server that keeps files, as an object store does. */

const SECRET = 'Bearer of-the-bucket';

let t: TestBroker;
let terminal: Terminal;
let folder: string;
let server: Server;
let url: string;
let headers: string;
/** What was sent, in order. */
let puts: string[];
/** Takes a request in the place of the store. @returns the status of its answer, or null */
let instead: (method: string, path: string) => number | null;

async function keep(method: string, path: string, match: string | undefined, body: Buffer) {
  const file = join(folder, path);
  const present = await readFile(file).catch(() => null);
  const etag = present === null ? null : `"${hash('sha256', present, 'hex')}"`;
  if (method === 'GET') return { status: present === null ? 404 : 200, etag, body: present ?? Buffer.of() };
  if (match !== undefined && match !== etag) return { status: 412, etag, body: Buffer.of() };
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, body);
  puts.push(path);
  return { status: 201, etag: null, body: Buffer.of() };
}

beforeAll(async () => {
  t = await startTestBroker({ config: { public_url: 'https://flags.example' } });
  terminal = createTerminal(t);
  for (let turn = 0; turn < 260; turn += 1) await appendTo(t.broker.store);
  headers = join(t.folder, 'bucket.headers');
  await writeFile(headers, `# the bucket\n\nAuthorization: ${SECRET}\n`);
  server = createServer(async (request, response) => {
    const { method = '', url: target = '' } = request;
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const path = target.replace(/^\/bucket\/|\?sig=1$/g, '');
    const known = request.headers.authorization === SECRET && target.endsWith('?sig=1');
    const status = known ? instead(method, path) : 401;
    const answer =
      status === null
        ? await keep(method, path, request.headers['if-match'], Buffer.concat(parts))
        : { status, etag: null, body: Buffer.of() };
    response.writeHead(answer.status, answer.etag === null ? {} : { etag: answer.etag }).end(answer.body);
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/bucket/?sig=1`;
});
afterAll(async () => {
  server.close();
  await t.close();
});
beforeEach(async () => {
  folder = await mkdtemp(join(t.folder, 'bucket-'));
  puts = [];
  instead = () => null;
});

const publish = (...more: string[]) =>
  terminal.as('avery', 'publish', '--log', url, '--header-file', headers, '--json', ...more);

async function verified(): Promise<number> {
  const key = (await terminal.as('avery', 'audit', 'key')).out.trim();
  const { code, json } = await terminal.run('verify', folder, '--key', key, '--json');
  expect(code).toBe(0);
  return json.size;
}

async function grow(): Promise<void> {
  await appendTo(t.broker.store);
  t.clock.advance(1000);
}

describe('publish to an address', () => {
  it('sends plain files that are a valid log, the checkpoint last, and then what is new', async () => {
    const first = await publish();
    expect(first.code).toBe(0);
    expect(puts.at(-1)).toBe('checkpoint');
    expect(puts).toHaveLength(first.json.files);
    expect(await verified()).toBe(first.json.size);
    expect((await publish()).json.files).toBe(0);
    puts = [];
    await grow();
    expect((await publish()).json.size).toBe(first.json.size + 1);
    expect(puts).toHaveLength(3);
    expect(await verified()).toBe(first.json.size + 1);
  });

  it('continues what was interrupted at any file', async () => {
    let left = 0;
    const whole = (await publish()).json.files;
    for (let after = 0; after < whole; after += 1) {
      await rm(folder, { recursive: true });
      puts = [];
      left = after;
      instead = (method) => {
        if (method !== 'PUT') return null;
        left -= 1;
        return left < 0 ? 503 : null;
      };
      const { code, json } = await publish();
      expect([code, json.detail]).toEqual([1, expect.stringContaining('status 503')]);
      expect(await readdir(folder).catch(() => [])).not.toContain('checkpoint');
      instead = () => null;
      expect((await publish()).json.files).toBe(whole - after);
      await verified();
    }
  });

  it('never overwrites a longer log, or what another process published meanwhile', async () => {
    await grow();
    const file = join(folder, 'checkpoint');
    await publish();
    const present = await readFile(file, 'utf8');
    const [, size] = present.split('\n');
    const longer = present.replace(`\n${size}\n`, `\n${Number(size) + 5}\n`);
    await writeFile(file, longer);
    const { code, json } = await publish();
    expect([code, json.detail]).toEqual([6, expect.stringContaining('cut off')]);
    expect(await readFile(file, 'utf8')).toBe(longer);

    await writeFile(file, present);
    await grow();
    instead = (method, path) => {
      // Between its look and its own checkpoint.
      if (method === 'PUT' && path.startsWith('tile/0')) writeFileSync(file, longer);
      return null;
    };
    const raced = await publish();
    expect([raced.code, raced.json.detail]).toEqual([1, expect.stringContaining('Somebody else published')]);
    expect(await readFile(file, 'utf8')).toBe(longer);
  });

  it('says what to do, and repeats no secret', async () => {
    instead = () => 403;
    const denied = await publish();
    expect([denied.code, denied.json.code]).toEqual([1, 'publish_refused']);
    expect(denied.out).toContain('answered with 404');
    expect(denied.out + denied.err).not.toMatch(/of-the-bucket|sig=1/);
    await writeFile(headers, `Authorization: ${SECRET}\nno header: at all: \u0000\n`);
    const malformed = await publish();
    expect([malformed.code, malformed.json.detail]).toEqual([2, expect.stringContaining('line 2')]);
    await writeFile(headers, `Authorization: ${SECRET}\n`);
    for (const [place, why] of [
      ['s3://bucket/log', 'https://'],
      ['http://bucket.example/log', 'must begin with https://'],
      ['https://me:word@bucket.example/log', '--header-file'],
      [folder, 'is a folder'],
    ] as const) {
      const argv = ['publish', '--log', place, '--header-file', headers];
      const { code, err } = await terminal.as('avery', ...argv);
      expect([code, err]).toEqual([2, expect.stringContaining(why)]);
    }
    server.closeAllConnections();
    const nowhere = await terminal.as('avery', 'publish', '--log', 'http://127.0.0.1:9/x');
    expect([nowhere.code, nowhere.err]).toEqual([
      1,
      expect.stringContaining('127.0.0.1:9/x did not respond'),
    ]);
  });
});
