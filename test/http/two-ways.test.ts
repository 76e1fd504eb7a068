import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createLog } from '../../src/logger.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { countRows, createFlag } from '../support/flags.ts';
import { askRaw, sendRaw } from '../support/raw.ts';
import {
  anySent,
  BODIES,
  FIXED_ID,
  get,
  HEADS,
  json,
  type Sent,
  TARGETS,
  toggle,
  UNKNOWN,
} from './sent-requests.ts';

/*
 * Plain requests are served before Express, all others by Express. Two brokers with the same data get the same bytes, one
 * of them with Express alone: answers, log lines, metrics and rows must be the same but for ids and times.
 */

interface Way {
  t: TestBroker;
  token: string;
  lines: string[];
  /** The targets that Express has seen. */
  routed: string[];
}

let direct: Way;
let routed: Way;

async function openWay(onlyExpress: boolean): Promise<Way> {
  const lines: string[] = [];
  const seen: string[] = [];
  const t = await startTestBroker({
    onlyExpress,
    log: createLog('info', { write: (line: string) => lines.push(line) }),
    observe: (req: IncomingMessage & { originalUrl?: string }, res) => {
      res.once('close', () => {
        if (req.originalUrl !== undefined) seen.push(req.originalUrl);
      });
    },
  });
  await createFlag(t, 'checkout');
  return { t, token: await t.people.idToken('dana'), lines, routed: seen };
}

beforeAll(async () => {
  direct = await openWay(false);
  routed = await openWay(true);
});

afterAll(async () => {
  await direct.t.close();
  await routed.t.close();
});

let held = { direct: '', routed: '' };

async function ask(way: Way, { method, target, headers = [], body = '', cutOff }: Sent): Promise<string> {
  const { t, token } = way;
  // Ids begin with their time, and lists are in their order.
  t.clock.advance(1);
  const fill = (text: string) =>
    text
      .replaceAll('{token}', token)
      .replaceAll('{host}', new URL(t.url).host)
      .replaceAll('{request}', way === direct ? held.direct : held.routed);
  const head = [`${method} ${target} HTTP/1.1`, 'Host: {host}', 'Connection: close', ...headers, '', ''];
  const bytes = Buffer.concat([Buffer.from(head.map(fill).join('\r\n'), 'latin1'), Buffer.from(body)]);
  return alike((cutOff === true ? sendRaw : askRaw)(t.url, bytes));
}

/** Puts names in the place of what is chosen at random, told by the clock of the machine, or bound to a port. */
async function alike(answer: Promise<string> | string): Promise<string> {
  const names = new Map<string, string>();
  const named = (kind: string) => (found: string) => {
    if (found === FIXED_ID || found === UNKNOWN) return found;
    if (!names.has(found)) names.set(found, `<${kind} ${names.size}>`);
    return names.get(found) ?? '';
  };
  return (await answer)
    .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, named('id'))
    .replaceAll(/sha256:[0-9a-f]{64}/g, named('digest'))
    .replaceAll(/127\.0\.0\.1:\d+/g, '<host>')
    .replaceAll(/^Date: .*$/gm, 'Date: <now>')
    .replaceAll(/^ETag: .*$/gm, 'ETag: <tag>\r')
    .replaceAll(/^Countersign-Log-Place: .*$/gm, (line) => line.replace(/epoch=.*/, 'epoch=<epoch>'))
    .replaceAll(/("cursor":|cursor=|next_cursor":)"?[\w.~-]+/g, '$1<cursor>');
}

/** Expects the same answer both ways. @returns it */
async function expectAlike(sent: Sent): Promise<string> {
  const answer = await ask(direct, sent);
  expect(await ask(routed, sent), `${sent.method} ${sent.target}`).toBe(answer);
  return answer;
}

describe('a plain request', () => {
  it('is served before Express, and answered the same', async () => {
    direct.routed.length = 0;
    const proposed = await expectAlike(json('/v1/requests', toggle('enable')));
    expect(proposed).toMatch(/^HTTP\/1\.1 201 /);
    expect(proposed).toMatch(/\r\nETag: /);
    expect(await expectAlike(json('/v1/requests', toggle('disable')))).toMatch(/^HTTP\/1\.1 201 /);

    const pending = json('/v1/requests', toggle('enable', { environment: 'production' }), [
      'Idempotency-Key: k-1',
    ]);
    expect(await expectAlike(pending)).toMatch(/"state":"pending"/);
    expect(await expectAlike(pending)).toMatch(/\r\nIdempotent-Replayed: true\r\n/);
    const other = json('/v1/requests', toggle('disable'), ['Idempotency-Key: k-1']);
    expect(await expectAlike(other)).toMatch(/idempotency_key_reused/);
    const listed = (way: Way) => way.t.call('dana', 'GET', '/v1/requests?state=pending');
    held = {
      direct: (await listed(direct)).body.items[0].id,
      routed: (await listed(routed)).body.items[0].id,
    };

    expect(await expectAlike(get('/v1/requests/{request}'))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await expectAlike(get('/v1/requests?limit=1'))).toMatch(/\r\nLink: </);
    expect(await expectAlike(get('/v1/requests?state=open&environment=production'))).toMatch(
      /^HTTP\/1\.1 200 /,
    );
    const patch = json('/v1/requests/{request}', { reason: 'another' }, ['If-Match: "x"'], 'PATCH');
    expect(await expectAlike(patch)).toMatch(/^HTTP\/1\.1 412 /);
    for (const call of ['approve', 'reject', 'withdraw', 'apply', 'schedule', 'rebase']) {
      for (const id of ['{request}', UNKNOWN, 'x']) {
        await expectAlike(json(`/v1/requests/${id}/${call}`, { digest: `sha256:${'0'.repeat(64)}` }));
        await expectAlike(json(`/v1/requests/${id}/${call}`, {}));
      }
    }
    expect(await expectAlike(get('/healthz', `X-Request-Id: ${FIXED_ID}`))).toMatch(/"status":"ok"/);
    for (const path of ['/v1/flags/checkout', '/v1/freezes', '/v1/whoami', '/openapi.json']) {
      expect(await expectAlike(get(path))).toMatch(/^HTTP\/1\.1 200 /);
    }
    expect(direct.routed).toEqual([]);
  });
});

describe('any other request is answered the same, with', () => {
  it.each(BODIES)('%s as its body', async (_name, sent) => {
    await expectAlike(sent);
  });

  it.each(HEADS)('%s', async (_name, sent) => {
    await expectAlike(sent);
  });

  it.each(TARGETS)('the target %s', async (target) => {
    for (const method of ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'PROPFIND']) {
      await expectAlike({
        method,
        target,
        headers: ['Authorization: Bearer {token}', 'Content-Length: 0'],
      });
    }
  });

  it('a tag that holds', async () => {
    const answers: string[] = [];
    for (const way of [direct, routed]) {
      const id = way === direct ? held.direct : held.routed;
      const { headers } = await way.t.call('dana', 'GET', `/v1/requests/${id}`);
      answers.push(await ask(way, get(`/v1/requests/${id}`, `If-None-Match: ${headers.get('etag')}`)));
    }
    expect(answers[0]).toMatch(/^HTTP\/1\.1 304 /);
    expect(answers[0]).toBe(answers[1]);
  });
});

it('whatever is sent, both ways answer the same', async () => {
  await fc.assert(
    fc.asyncProperty(anySent, async (sent) => {
      await expectAlike(sent);
    }),
    { numRuns: 200 },
  );
});

it('both have logged, counted and stored the same', async () => {
  const logged = async ({ lines }: Way) =>
    (await alike(lines.join(''))).replaceAll(/"(time|ms|pid)":[\d.e-]+/g, '"$1":<number>').split('\n');
  await vi.waitFor(async () => expect(await logged(direct)).toEqual(await logged(routed)), {
    timeout: 10_000,
  });
  expect(await countRows(direct.t)).toEqual(await countRows(routed.t));
  const counted = async ({ t }: Way) =>
    (await (await fetch(`${t.url}/metrics`)).text())
      .split('\n')
      .filter((line) =>
        /^countersign_(http_request_duration_seconds_count|unauthenticated|decisions)/.test(line),
      );
  const counts = await counted(direct);
  expect(counts.length).toBeGreaterThan(5);
  expect(counts).toEqual(await counted(routed));
});
