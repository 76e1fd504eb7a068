import type { RequestListener } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MAX_DOCUMENT_BYTES } from '../../src/issuers/fetch-document.ts';
import { createKeySets, type KeySource } from '../../src/issuers/key-sets.ts';
import {
  createEs256Key,
  createRsaKey,
  createTestClock,
  createTestLog,
  keySetAnswer,
  startServer,
} from '../identity/support.ts';

const key = createEs256Key('k1');
let server: Awaited<ReturnType<typeof startServer>>;
let bench: ReturnType<typeof open>;

function open() {
  const time = createTestClock();
  const logging = createTestLog();
  const keySets = createKeySets({ fetch, clock: time.clock, log: logging.log, timeoutMs: 200 });
  return { ...time, ...logging, keySets };
}

beforeEach(async () => {
  server = await startServer(keySetAnswer(key));
  bench = open();
});
afterEach(() => server.close());

function source(): KeySource {
  return { issuer: server.origin, jwks_uri: `${server.origin}/jwks`, allow_insecure_loopback: true };
}

async function find(kid: string, from: KeySource = source()): Promise<string> {
  const input = { payload: '', signature: '', header: {} };
  try {
    await bench.keySets.keysOf(from)({ alg: 'ES256', kid }, input);
    return 'found';
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    return error instanceof Error && 'reason' in error ? String(error.reason) : String(error);
  }
}

/** Whether something may be changed with tokens of the issuer. */
async function mayWrite(from: KeySource = source()): Promise<boolean> {
  return bench.keySets.assertNotWithdrawn(from).then(
    () => true,
    (error: { code?: string }) => {
      expect(error.code).toBe('issuer_unavailable');
      return false;
    },
  );
}

/** A body that never ends, as fast as it is read. */
const endless: RequestListener = (_request, response) => {
  const more = (): void => {
    while (!response.destroyed && response.write(' '.repeat(16 * 1024)));
  };
  response.on('drain', more);
  response.write('{"keys":[');
  more();
};

const FAULTS: [string, RequestListener][] = [
  ['hangs', () => undefined],
  [
    'sends its headers and then hangs',
    (_request, response) => void response.writeHead(200).write('{"keys":['),
  ],
  ['breaks the connection', (_request, response) => void response.destroy()],
  ['answers 500', (_request, response) => void response.writeHead(500).end('{}')],
  ['answers 204', (_request, response) => void response.writeHead(204).end()],
  ['sends no JSON', (_request, response) => void response.end('<html>')],
  ['sends an empty set', (_request, response) => void response.end('{"keys":[]}')],
  ['sends a list', (_request, response) => void response.end('[]')],
  ['sends keys that are strings', (_request, response) => void response.end('{"keys":["k1"]}')],
  ['sends a member twice', (_request, response) => void response.end('{"keys":[],"keys":[]}')],
  [
    'sends only keys that may not be used',
    (_request, response) => void response.end(JSON.stringify({ keys: [{ ...key.publicJwk, d: 'AAAA' }] })),
  ],
  ['sends without end', endless],
  [
    'sends too much',
    (_request, response) =>
      void response.end(JSON.stringify({ keys: [key.publicJwk], pad: 'x'.repeat(MAX_DOCUMENT_BYTES) })),
  ],
];

/** The faults in which the issuer itself states its keys, and none is usable. */
const WITHDRAWING = [
  'sends an empty set',
  'sends a list',
  'sends keys that are strings',
  'sends only keys that may not be used',
];

describe('the keys of an issuer', () => {
  it('are fetched once for any number of callers at the same time', async () => {
    expect(await Promise.all(Array.from({ length: 50 }, () => find('k1')))).toEqual(Array(50).fill('found'));
    expect(server.requests()).toBe(1);
  });

  it('are read again for unknown key ids at most once in each cooldown', async () => {
    await find('k1');
    bench.advance(30_000);
    for (let n = 0; n < 1000; n += 1) {
      expect(await find(`random-${n}`)).toBe('key_not_found');
      bench.advance(10);
    }
    expect(server.requests()).toBe(2);
  });

  it('include a key that was added, after the cooldown', async () => {
    await find('k1');
    server.answer(keySetAnswer(key, createEs256Key('k2')));
    expect(await find('k2')).toBe('key_not_found');
    bench.advance(30_000);
    expect(await find('k2')).toBe('found');
  });

  it('no longer include a key that was removed, ten minutes later, and listeners are told', async () => {
    let changes = 0;
    bench.keySets.onChange(() => {
      changes += 1;
    });
    await find('k1');
    server.answer(keySetAnswer(createEs256Key('k2')));
    await bench.keySets.refreshDue();
    expect(await find('k1')).toBe('found');
    bench.advance(10 * 60_000 + 1);
    await bench.keySets.refreshDue();
    expect(await find('k1')).toBe('key_not_found');
    expect(changes).toBe(1);
  });

  it('keep no token waiting for an issuer that hangs, when its key is known', async () => {
    await find('k1');
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    server.answer(async (request, response) => {
      asked.resolve();
      await answer.promise;
      keySetAnswer(createEs256Key('k2'))(request, response);
    });
    bench.advance(10 * 60_000 + 1);
    // Each would wait for ever: the issuer answers after them.
    for (let n = 0; n < 3; n += 1) expect(await find('k1')).toBe('found');
    await asked.promise;
    expect(await find('k1')).toBe('found');
    expect(server.requests()).toBe(2);
    const refreshed = bench.keySets.refreshDue();
    answer.resolve();
    await refreshed;
    expect(await find('k1')).toBe('key_not_found');
    expect(await find('k2')).toBe('found');
  });

  it.each(FAULTS)(
    'that were never there while the issuer %s are unavailable, without a storm of fetches',
    async (_name, answer) => {
      server.answer(answer);
      expect(await Promise.all(Array.from({ length: 20 }, () => find('k1')))).toEqual(
        Array(20).fill('issuer_unavailable'),
      );
      expect(await find('k1')).toBe('issuer_unavailable');
      expect(server.requests()).toBe(1);
      server.answer(keySetAnswer(key));
      bench.advance(5_000);
      expect(await find('k1')).toBe('found');
    },
  );

  it.each(FAULTS)('are used for an hour and no longer while the issuer %s', async (_name, answer) => {
    await find('k1');
    server.answer(answer);
    bench.advance(60 * 60_000);
    expect(await find('k1')).toBe('found');
    bench.advance(1);
    expect(await find('k1')).toBe('issuer_unavailable');
    expect(bench.lines.at(-1)).toMatchObject({ level: 'warn', message: 'issuer keys not fetched' });
  });

  it('are withdrawn at once by a valid set without them', async () => {
    server.answer(keySetAnswer(key, createEs256Key('k2')));
    expect(await find('k1')).toBe('found');
    server.answer(keySetAnswer(createEs256Key('k3')));
    bench.advance(30_000);
    // Whatever is the reason to look again.
    expect(await find('k3')).toBe('found');
    expect(await find('k1')).toBe('key_not_found');
    expect(await find('k2')).toBe('key_not_found');
    expect(await mayWrite()).toBe(true);
  });

  it.each(FAULTS.filter(([name]) => WITHDRAWING.includes(name)))(
    'change nothing any more once the issuer %s, but are found for reads for an hour',
    async (_name, answer) => {
      expect(await find('k1')).toBe('found');
      expect(await mayWrite()).toBe(true);
      server.answer(answer);
      bench.advance(30_000);
      expect(await find('unknown')).toBe('key_not_found');
      expect(await mayWrite()).toBe(false);
      expect(await find('k1')).toBe('found');
      // Nor when it cannot be reached afterwards.
      server.answer((_request, response) => void response.destroy());
      bench.advance(5_000);
      expect(await mayWrite()).toBe(false);
      expect(await find('k1')).toBe('found');
      bench.advance(60 * 60_000);
      expect(await find('k1')).toBe('issuer_unavailable');
      server.answer(keySetAnswer(key));
      bench.advance(5_000);
      expect(await mayWrite()).toBe(true);
      expect(await find('k1')).toBe('found');
    },
  );

  it.each(FAULTS.filter(([name]) => !WITHDRAWING.includes(name)))(
    'change things for an hour while the issuer %s, because it states nothing about its keys',
    async (_name, answer) => {
      expect(await find('k1')).toBe('found');
      server.answer(answer);
      bench.advance(11 * 60_000);
      expect(await find('k1')).toBe('found');
      expect(await mayWrite()).toBe(true);
    },
  );

  it('of an issuer that withdrew them are asked for again at most once in each cooldown', async () => {
    await find('k1');
    server.answer((_request, response) => void response.end('{"keys":[]}'));
    bench.advance(30_000);
    await find('unknown');
    const asked = server.requests();
    await Promise.all(Array.from({ length: 100 }, () => mayWrite()));
    expect(server.requests()).toBe(asked);
    bench.advance(5_000);
    await Promise.all(Array.from({ length: 100 }, () => mayWrite()));
    expect(server.requests()).toBe(asked + 1);
  });

  it('are not fetched from where a redirect points', async () => {
    const target = await startServer(keySetAnswer(key));
    server.answer(
      (_request, response) => void response.writeHead(302, { location: `${target.origin}/jwks` }).end(),
    );
    expect(await find('k1')).toBe('issuer_unavailable');
    expect(target.requests()).toBe(0);
    await target.close();
  });

  it('leave out those that nobody should publish, and the log names them', async () => {
    const weak = createRsaKey('weak', 1024);
    server.answer(keySetAnswer(key, weak));
    expect(await find('k1')).toBe('found');
    expect(await find('weak')).toBe('key_not_found');
    expect(bench.lines).toContainEqual({
      level: 'info',
      fields: { issuer: server.origin, skipped: [{ kid: 'weak', reason: 'weak' }] },
      message: 'issuer keys skipped',
    });
  });

  it('of an issuer that sends without end are not downloaded to the end', async () => {
    let sent = 0;
    server.answer((request, response) => {
      endless(request, response);
      response.on('close', () => {
        sent = response.socket?.bytesWritten ?? request.socket.bytesWritten;
      });
    });
    expect(await find('k1')).toBe('issuer_unavailable');
    await expect.poll(() => sent).toBeGreaterThan(0);
    expect(sent).toBeLessThan(64 * MAX_DOCUMENT_BYTES);
  });

  it('are not fetched over plain http without permission', async () => {
    expect(await find('k1', { ...source(), allow_insecure_loopback: false })).toBe('issuer_unavailable');
    expect(server.requests()).toBe(0);
  });
});

describe('discovery', () => {
  const discovered = (): KeySource => ({ issuer: server.origin, allow_insecure_loopback: true });
  const serve = (metadata: object): void => {
    server.answer((request, response) => {
      if (request.url === '/.well-known/openid-configuration') response.end(JSON.stringify(metadata));
      else if (request.url === '/keys') keySetAnswer(key)(request, response);
      else response.writeHead(404).end();
    });
  };

  it('finds the key set on the host of the issuer', async () => {
    serve({ issuer: server.origin, jwks_uri: `${server.origin}/keys` });
    expect(await find('k1', discovered())).toBe('found');
  });

  it('is refused when it names another issuer', async () => {
    serve({ issuer: `${server.origin}/`, jwks_uri: `${server.origin}/keys` });
    expect(await find('k1', discovered())).toBe('issuer_unavailable');
  });

  it.each(['file:///etc/passwd', 'not a url', '/keys'])(
    'is refused when the keys are at %s',
    async (jwksUri) => {
      serve({ issuer: server.origin, jwks_uri: jwksUri });
      expect(await find('k1', discovered())).toBe('issuer_unavailable');
    },
  );

  it('does not go to another host', async () => {
    const other = await startServer(keySetAnswer(key));
    serve({ issuer: server.origin, jwks_uri: `${other.origin}/keys` });
    expect(await find('k1', discovered())).toBe('issuer_unavailable');
    expect(other.requests()).toBe(0);
    await other.close();
  });
});
