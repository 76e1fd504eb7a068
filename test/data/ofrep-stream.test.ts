import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createLog } from '../../src/logger.ts';
import { claimsOf, revoke } from '../revocation/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { TestEventSource } from '../support/event-source.ts';
import { applyChanges, creation } from '../support/flags.ts';

/* OFREP's event streams of a real broker, read by an `EventSource` that knows only the standard. */

const ALL = '/ofrep/v1/evaluate/flags';

let t: TestBroker;
const lines: string[] = [];
const sources: TestEventSource[] = [];

/** The shipped policy, with developers who may change flags in every namespace. */
function withWideDevelopers(data: unknown): unknown {
  const edited = data as {
    config: { role_bindings: { groups: Record<string, Record<string, { namespaces: string[] }[]>> } };
  };
  for (const groups of Object.values(edited.config.role_bindings.groups)) {
    for (const binding of groups['payments-developers'] ?? []) binding.namespaces = ['*'];
  }
  return edited;
}

beforeAll(async () => {
  t = await startTestBroker({
    editData: withWideDevelopers,
    log: createLog('trace', { write: (line: string) => lines.push(line) }),
    config: (defaults) => ({ ...defaults, public_url: 'https://flags.example' }),
  });
  for (const [flag, namespace] of [
    ['of-payments', 'payments'],
    ['of-platform', 'platform'],
  ] as const) {
    await applyChanges(t, [creation(flag, { namespace, tier: 'informational' }), { action: 'enable', flag }]);
  }
});

afterEach(() => {
  for (const source of sources.splice(0)) source.close();
});

afterAll(async () => {
  await t.close();
});

const token = () => t.workloadToken('checkout', { audience: 'data:production' });
const toggle = (() => {
  const off = new Set<string>();
  return async (flag: string) => {
    const wasOff = off.delete(flag);
    if (!wasOff) off.add(flag);
    await applyChanges(t, [{ action: wasOff ? 'enable' : 'disable', flag }]);
  };
})();

async function ask(who: string, headers: Record<string, string> = {}, query = '') {
  return t.call(who, 'POST', `${ALL}${query}`, { context: { organization: 'acme' } }, headers);
}

/** The address of the stream that an answer names. */
async function addressFor(who: string): Promise<string> {
  const { body } = await ask(who);
  return t.url + body.eventStreams[0].endpoint.requestUri;
}

function open(address: string) {
  const source = new TestEventSource(address);
  sources.push(source);
  const events: { id: string; data: { type: string; etag: string } }[] = [];
  source.addEventListener('message', ({ data, lastEventId }) =>
    events.push({ id: lastEventId, data: JSON.parse(data) }),
  );
  return { source, events, until: (count: number) => expect.poll(() => events.length).toBe(count) };
}

describe('an answer for all flags', () => {
  it('names a stream at the origin that was asked, which has no path before it', async () => {
    const { body } = await ask(await token());
    expect(body.eventStreams).toEqual([
      {
        type: 'sse',
        endpoint: { requestUri: expect.stringMatching(/^\/ofrep\/v1\/events\?ticket=[\w-]+$/) },
        inactivityDelaySec: 120,
      },
    ]);
  });

  it('has the same stream and the same tag for the same token, at every broker that the database has had', async () => {
    const who = await token();
    const first = await ask(who);
    const again = await ask(who, { 'if-none-match': first.headers.get('etag') ?? '' });
    expect(again.status).toBe(304);
    await t.restart();
    const { requestUri } = first.body.eventStreams[0].endpoint;
    const { until } = open(t.url + requestUri);
    await until(1);
    const there = await ask(who);
    expect(there.body.eventStreams).toEqual(first.body.eventStreams);
    expect(there.headers.get('etag')).toBe(first.headers.get('etag'));
  });

  it('has another tag for another token, so that no answer without a body hides a new stream', async () => {
    const [one, other] = [await token(), await token()];
    const first = await ask(one);
    const second = await ask(other, { 'if-none-match': first.headers.get('etag') ?? '' });
    expect(second.status).toBe(200);
    expect(second.body.flags).toEqual(first.body.flags);
    expect(second.body.eventStreams).not.toEqual(first.body.eventStreams);
  });
});

describe('a stream', () => {
  it('tells at once to ask again, in the form of the protocol', async () => {
    const { source, events, until } = open(await addressFor(await token()));
    await until(1);
    expect(events).toEqual([
      { id: expect.stringMatching(/^[\w-]{43}$/), data: { type: 'refetchEvaluation', etag: events[0]?.id } },
    ]);
    expect(source.retryMs).toBeGreaterThanOrEqual(1000);
  });

  it('tells of a change in the namespaces of its reader, and of no other', async () => {
    const { events, until } = open(await addressFor(await token()));
    await until(1);
    await toggle('of-platform');
    await toggle('of-platform');
    await toggle('of-payments');
    await until(2);
    expect(events[1]?.id).not.toBe(events[0]?.id);
    await toggle('of-payments');
    await until(3);
    // Wide enough for one that came late.
    await toggle('of-platform');
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(events).toHaveLength(3);
  });

  it('tells again after a lost connection only what its client has not seen', async () => {
    const { source, events, until } = open(await addressFor(await token()));
    await until(1);
    const opened = source.next('open');
    source.cut();
    await opened;
    await toggle('of-payments');
    await until(2);
    const closed = source.next('error');
    source.cut();
    await closed;
    await toggle('of-payments');
    await until(3);
    expect(new Set(events.map(({ id }) => id)).size).toBe(3);
  });

  it('tells who comes with an unknown Last-Event-ID', async () => {
    const address = await addressFor(await token());
    const res = await fetch(address, { headers: { 'Last-Event-ID': 'of-another-time' } });
    let text = '';
    for await (const chunk of res.body ?? []) {
      text += Buffer.from(chunk).toString();
      if (text.includes('\n\nid: ')) break;
    }
    expect(text).toContain('event: message\ndata: {"type":"refetchEvaluation"');
  });

  it('ends when its token is revoked, and cannot be opened again', async () => {
    const who = await token();
    const { source, until } = open(await addressFor(who));
    await until(1);
    await revoke(t, 'token', `${claimsOf(who).iss}#jti:${claimsOf(who).jti}`);
    await expect.poll(() => source.readyState, { timeout: 5000 }).toBe(TestEventSource.CLOSED);
    expect(source.statuses).toEqual([200, 401]);
  });

  it('ends with its token, not before, and not only to be opened again', async () => {
    const who = await token();
    const { source, until } = open(await addressFor(who));
    await until(1);
    const { exp } = claimsOf(who) as unknown as { exp: number };
    // The tolerance for clocks that differ, as for every other use of a token.
    t.clock.advance(exp * 1000 + 30_000 - 1 - t.clock());
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(source.readyState).toBe(TestEventSource.OPEN);
    t.clock.advance(1);
    await expect.poll(() => source.readyState, { timeout: 5000 }).toBe(TestEventSource.CLOSED);
    expect(source.statuses).toEqual([200, 401]);
  });
});

describe('a ticket', () => {
  it('is good for nothing else, and nothing else is a ticket', async () => {
    const who = await token();
    const address = await addressFor(who);
    const ticket = new URL(address).searchParams.get('ticket') ?? '';
    for (const [method, path] of [
      ['POST', ALL],
      ['GET', '/flagd/v1/production.json'],
      ['GET', '/v1/flags?environment=production'],
      ['GET', '/ofrep/v1/events'],
    ] as const) {
      expect((await t.call(`${ticket}..`, method, path)).status).toBe(401);
      expect((await t.call(null, method, path, undefined, { 'X-API-Key': ticket })).status).toBe(401);
    }
    const flipped = `${ticket.slice(0, 40)}${ticket[40] === 'A' ? 'B' : 'A'}${ticket.slice(41)}`;
    for (const forged of [who, flipped, ticket.slice(0, -4), `${ticket}AAAA`, `${ticket}=`, '', 'x', '%00']) {
      const answer = await fetch(`${t.url}/ofrep/v1/events?ticket=${forged}`);
      expect([forged.length, answer.status]).toEqual([forged.length, 401]);
      const { errorDetails, ...body } = (await answer.json()) as { errorDetails: string };
      expect(body).toEqual({ errorCode: 'GENERAL' });
      if (forged.length > 20) expect(errorDetails).not.toContain(forged);
    }
  });

  it('shows nothing of its token, and is never logged', async () => {
    const who = await token();
    const address = await addressFor(who);
    const ticket = new URL(address).searchParams.get('ticket') ?? '';
    const parts = who.split('.').flatMap((part) => [part, Buffer.from(part, 'base64url').toString('latin1')]);
    for (const part of parts) {
      for (let at = 0; at + 12 < part.length; at += 12)
        expect(Buffer.from(ticket, 'base64url').toString('latin1')).not.toContain(part.slice(at, at + 12));
    }
    const { until } = open(address);
    await until(1);
    await fetch(`${address}x`);
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) expect(line).not.toContain(ticket.slice(0, 20));
  });

  it('may be left out by who sends a token, but not contradicted', async () => {
    const who = await token();
    const address = await addressFor(who);
    const headers = { authorization: `Bearer ${who}` };
    const own = await fetch(`${t.url}/ofrep/v1/events`, { headers });
    expect(own.status).toBe(200);
    await own.body?.cancel();
    expect((await fetch(address, { headers })).status).toBe(401);
    expect((await fetch(`${t.url}/ofrep/v1/events`)).status).toBe(401);
  });
});

describe('pages of other origins', () => {
  it('may open streams and read what the answers tell', async () => {
    const who = await token();
    const address = await addressFor(who);
    const res = await fetch(address, { headers: { origin: 'https://app.example' } });
    await res.body?.cancel();
    expect(res.headers.get('access-control-allow-origin')).toBe('*');
    const preflight = await fetch(`${t.url}/ofrep/v1/events`, { method: 'OPTIONS' });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-methods')).toBe('GET, OPTIONS');
    for (const name of ['Last-Event-ID', 'Cache-Control'])
      expect(preflight.headers.get('access-control-allow-headers')).toContain(name);
    const bulk = await ask(who);
    expect(bulk.headers.get('access-control-expose-headers')).toBe('ETag, Retry-After');
    const refused = await fetch(`${t.url}/ofrep/v1/events`, { method: 'POST' });
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, OPTIONS']);
  });
});

describe('an answer to what an event told', () => {
  it('is 304 if the flags are those of the event, and the sender has them', async () => {
    const who = await token();
    const { events, until } = open(await addressFor(who));
    await until(1);
    const tag = (await ask(who)).headers.get('etag') ?? '';
    const query = `?flagConfigEtag=${events[0]?.id}&flagConfigLastModified=1771622898`;
    expect((await ask(who, { 'if-none-match': tag }, query)).status).toBe(304);
    expect((await ask(who, { 'if-none-match': '"other"' }, query)).status).toBe(200);
  });

  it('has a body if they differ, whatever the sender has', async () => {
    const who = await token();
    const tag = (await ask(who)).headers.get('etag') ?? '';
    for (const told of ['of-another-time', '', '%22x%22'])
      expect((await ask(who, { 'if-none-match': tag }, `?flagConfigEtag=${told}`)).status).toBe(200);
    // No condition at all.
    for (const query of ['?flagConfigLastModified=2026-02-20T21:28:18Z', '?flagConfigLastModified=never'])
      expect((await ask(who, { 'if-none-match': tag }, query)).status).toBe(304);
  });
});

it('a stop of the broker ends the streams, and they come back', async () => {
  const who = await token();
  const { source, events, until } = open(await addressFor(who));
  await until(1);
  const error = source.next('error');
  await t.restart();
  await error;
  expect(events).toHaveLength(1);
});
