import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { Relay, RelayOptions } from '../../src/relay/relay.ts';
import { claimsOf, revoke } from '../revocation/support.ts';
import type { TestBroker } from '../support/broker.ts';
import { TestEventSource } from '../support/event-source.ts';
import { applyChanges, createFlag } from '../support/flags.ts';
import { startTestRelay, until } from '../support/relay.ts';
import { logKeyOf, readerToken, startPublishingBroker } from '../support/snapshots.ts';

/* OFREP's event streams at a relay of a real broker. */

const SECRET = Buffer.alloc(32, 7);

let t: TestBroker;
let token: string;
const relays: Relay[] = [];
const sources: TestEventSource[] = [];

beforeAll(async () => {
  t = await startPublishingBroker();
  await createFlag(t, 'shown', { tier: 'informational' });
  await t.broker.scheduler.tick();
  token = await readerToken(t);
});
afterEach(async () => {
  for (const source of sources.splice(0)) source.close();
  for (const relay of relays.splice(0)) await relay.close();
});
afterAll(() => t.close());

async function start(options: Partial<RelayOptions>): Promise<Relay> {
  const relay = await startTestRelay(t, [await logKeyOf(t)], options);
  relays.push(relay);
  await until(
    () => relay.status().environments.production?.state,
    (state) => state === 'fresh',
  );
  return relay;
}

async function ask({ url }: Relay) {
  const answer = await fetch(`${url}/ofrep/v1/evaluate/flags`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  });
  return (await answer.json()) as {
    flags: { variant: string }[];
    eventStreams?: { endpoint: { requestUri: string } }[];
  };
}

function open(address: string) {
  const source = new TestEventSource(address);
  sources.push(source);
  const ids: string[] = [];
  source.addEventListener('message', ({ lastEventId }) => ids.push(lastEventId));
  return { source, ids };
}

it('a relay without a secret for tickets names no stream, and serves none', async () => {
  const relay = await start({});
  expect(await ask(relay)).not.toHaveProperty('eventStreams');
  const headers = { authorization: `Bearer ${token}` };
  expect((await fetch(`${relay.url}/ofrep/v1/events`, { headers })).status).toBe(404);
});

it('a relay tells of what it has verified, also to clients of another relay, until their token ends', async () => {
  const [one, other] = [await start({ ticketSecret: SECRET }), await start({ ticketSecret: SECRET })];
  const [{ eventStreams }, there] = [await ask(one), await ask(other)];
  expect(eventStreams).toHaveLength(1);
  expect(there.eventStreams).toEqual(eventStreams);
  const path = eventStreams?.[0]?.endpoint.requestUri ?? '';
  const followed = [open(one.url + path), open(other.url + path)];
  await expect.poll(() => followed.map(({ ids }) => ids.length)).toEqual([1, 1]);
  await applyChanges(t, [{ action: 'enable', flag: 'shown' }]);
  await t.broker.scheduler.tick();
  await expect.poll(() => followed.map(({ ids }) => ids.length), { timeout: 10_000 }).toEqual([2, 2]);
  expect(followed[0]?.ids).toEqual(followed[1]?.ids);
  // What was told of is there.
  expect((await ask(one)).flags).toMatchObject([{ variant: 'on' }]);

  const stranger = await start({ ticketSecret: Buffer.alloc(32, 8) });
  expect((await fetch(stranger.url + path)).status).toBe(401);

  await revoke(t, 'token', `${claimsOf(token).iss}#jti:${claimsOf(token).jti}`);
  await t.broker.scheduler.tick();
  for (const { source } of followed) {
    await expect.poll(() => source.readyState, { timeout: 10_000 }).toBe(TestEventSource.CLOSED);
    expect(source.statuses).toEqual([200, 401]);
  }
});
