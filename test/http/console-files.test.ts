import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONSOLE_PAGES } from '../../src/http/console-files.ts';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { listRoutes } from '../../src/routes.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';

const PAGE = '<!doctype html><title>console</title>';
const SCRIPT = 'export const answer = 42;\n'.repeat(100);

let folder: string;
let t: TestBroker;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-console-'));
  await mkdir(join(folder, 'assets'));
  await mkdir(join(folder, '.vite'));
  const manifest = {
    'index.html': {
      file: 'assets/main-abc.js',
      css: ['assets/main-def.css'],
      assets: ['assets/icon-ghi.svg'],
    },
  };
  await Promise.all([
    writeFile(join(folder, '.vite/manifest.json'), JSON.stringify(manifest)),
    writeFile(join(folder, 'index.html'), PAGE),
    writeFile(join(folder, 'assets/main-abc.js'), SCRIPT),
    writeFile(join(folder, 'assets/main-def.css'), 'body{}'),
    writeFile(join(folder, 'assets/icon-ghi.svg'), '<svg/>'),
    writeFile(join(folder, 'assets/not-listed.js'), 'secret'),
    writeFile(join(folder, 'secret.txt'), 'secret'),
  ]);
  t = await startTestBroker({ consoleFolder: folder });
});
afterAll(async () => {
  await t?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Sends a target exactly as it is written: `fetch` would tidy it. */
function send(target: string, { method = 'GET', headers = {} } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(t.url, { method, path: target, headers }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
      );
    });
    sent.on('error', reject).end();
  });
}

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

describe('the console', () => {
  it.each(['/', '/requests', '/requests/0190-x?view=json', '/flags/a.b', '/policy/a/b/c'])(
    'shows its page at %s, under a policy without exceptions, and never without asking again',
    async (path) => {
      const { status, headers, body } = await send(path);
      expect(status).toBe(200);
      expect(body.toString()).toBe(PAGE);
      expect(headers['content-type']).toBe('text/html; charset=utf-8');
      expect(headers['cache-control']).toBe('no-cache');
      expect(headers['content-security-policy']).toBe(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
      );
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['set-cookie']).toBeUndefined();
    },
  );

  it('keeps files whose names are hashes for good, whole or compressed', async () => {
    const plain = await send('/assets/main-abc.js');
    expect(plain.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect(plain.headers['content-type']).toBe('text/javascript; charset=utf-8');
    expect(plain.headers['content-encoding']).toBeUndefined();
    expect(plain.body.toString()).toBe(SCRIPT);
    const zipped = await send('/assets/main-abc.js', { headers: { 'accept-encoding': 'br, gzip' } });
    expect(zipped.headers['content-encoding']).toBe('gzip');
    expect(zipped.headers.vary).toBe('Accept-Encoding');
    expect(gunzipSync(zipped.body).toString()).toBe(SCRIPT);
    expect(zipped.headers.etag).not.toBe(plain.headers.etag);
    const refused = await send('/assets/main-abc.js', { headers: { 'accept-encoding': 'gzip;q=0, br' } });
    expect(refused.body.toString()).toBe(SCRIPT);
    expect((await send('/assets/main-def.css')).headers['content-type']).toBe('text/css; charset=utf-8');
    expect((await send('/assets/icon-ghi.svg')).headers['content-type']).toBe('image/svg+xml');
  });

  it('answers HEAD like GET without a body, and what is known with 304', async () => {
    const get = await send('/requests');
    const head = await send('/requests', { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(head.body).toHaveLength(0);
    for (const name of ['content-length', 'etag', 'content-security-policy', 'content-type']) {
      expect(head.headers[name], name).toEqual(get.headers[name]);
    }
    const again = await send('/requests', { headers: { 'if-none-match': String(get.headers.etag) } });
    expect(again.status).toBe(304);
    expect(again.body).toHaveLength(0);
    expect(again.headers['content-security-policy']).toBe(get.headers['content-security-policy']);
  });

  it.each([
    '/assets/',
    '/assets/nothing.js',
    '/assets/not-listed.js',
    '/assets/../secret.txt',
    '/assets/..%2fsecret.txt',
    '/assets/%2e%2e/secret.txt',
    '/assets/main-abc.js/',
    '/assets//main-abc.js',
    '/secret.txt',
    '/.vite/manifest.json',
    '/index.html',
    '//requests',
    '/Requests',
    '/request',
  ])('has nothing at %s', async (path) => {
    const { status, body, headers } = await send(path);
    expect(status).toBe(404);
    expect(body.toString()).not.toContain('secret\n');
    expect(headers['content-type']).toContain('application/problem+json');
  });

  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('is only read: %s is refused', async (method) => {
    for (const path of ['/requests', '/assets/main-abc.js']) {
      expect((await send(path, { method })).body.toString()).not.toContain('console');
    }
    expect((await send('/requests', { method })).status).not.toBe(200);
  });

  it('is refused for other hosts, as everything is', async () => {
    expect((await send('/', { headers: { host: 'evil.example' } })).status).toBe(421);
  });

  it('takes no path from the calls of the list, and leaves their policies alone', async () => {
    const first = (path: string) => path.split('/')[1] ?? '';
    const taken = listRoutes(requestKinds).filter(({ path }) =>
      (CONSOLE_PAGES as readonly string[]).includes(first(path)),
    );
    expect(taken.map(({ path }) => path)).toEqual([]);
    for (const path of ['/v1/whoami', '/auth/signed-out', '/openapi.json']) {
      expect((await send(path)).headers['content-security-policy'], path).not.toContain('trusted-types');
    }
  });
});

describe('without the console', () => {
  it('the first page is the one that needs no script', async () => {
    const bare = await startTestBroker();
    try {
      const page = await (await fetch(`${bare.url}/`)).text();
      expect(page).toContain('Feature flags by request');
      expect((await fetch(`${bare.url}/requests`)).status).toBe(404);
    } finally {
      await bare.close();
    }
  });
});
