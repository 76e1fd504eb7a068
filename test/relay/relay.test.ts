import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OpenFeature } from '@openfeature/server-sdk';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Relay } from '../../src/relay/relay.ts';
import type { NoteVerifier } from '../../src/tree/note.ts';
import type { TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag } from '../support/flags.ts';
import { readAt, startTestRelay, until } from '../support/relay.ts';
import { logKeyOf, readerToken, startPublishingBroker } from '../support/snapshots.ts';

/* A relay at a real broker: what it serves, and from when on. */

let t: TestBroker;
let key: NoteVerifier;
let relay: Relay;
let token: string;

beforeAll(async () => {
  t = await startPublishingBroker();
  await createFlag(t, 'shown', { tier: 'informational' });
  key = await logKeyOf(t);
  token = await readerToken(t);
});
afterAll(() => t.close());
afterEach(() => relay.close());

const production = () => {
  const { production: of } = relay.status().environments;
  if (of === undefined) throw new Error('the relay has no such environment');
  return of;
};

describe('a relay', () => {
  it('answers 503 before it has anything, to whomever, and is not ready', async () => {
    relay = await startTestRelay(t, [key]);
    const early = await readAt(relay, 'shown', {}, token);
    expect([early.status, early.headers.get('retry-after')]).toEqual([503, '1']);
    const stranger = await fetch(`${relay.url}/ofrep/v1/evaluate/flags`, { method: 'POST' });
    expect([stranger.status, stranger.headers.get('retry-after')]).toEqual([503, '1']);
    const document = await fetch(`${relay.url}/flagd/v1/production.json`);
    expect([document.status, await document.json()]).toMatchObject([503, { code: 'flags_not_loaded' }]);
    expect((await fetch(`${relay.url}/readyz`)).status).toBe(503);
    expect((await fetch(`${relay.url}/healthz`)).status).toBe(200);
    await until(production, ({ faults }) => faults.some(({ code }) => code === 'source_busy'));
    expect((await readAt(relay, 'shown', {}, token)).status).toBe(503);
  });

  it('serves what it has verified to an OpenFeature SDK, and follows each version', async () => {
    await t.broker.scheduler.tick();
    relay = await startTestRelay(t, [key]);
    await until(production, ({ state }) => state === 'fresh');
    const headers: [string, string][] = [['Authorization', `Bearer ${token}`]];
    const provider = new OFREPProvider({ baseUrl: relay.url, headers });
    await OpenFeature.setProviderAndWait(provider);
    const flags = OpenFeature.getClient();
    expect(await flags.getBooleanDetails('shown', true)).toMatchObject({ value: false, reason: 'DISABLED' });
    const { version } = production();
    await applyChanges(t, [{ action: 'enable', flag: 'shown' }]);
    await t.broker.scheduler.tick();
    await until(production, (now) => now.version === (version ?? 0) + 1);
    expect(production().connection.state).toBe('streaming');
    expect(await flags.getBooleanDetails('shown', false)).toMatchObject({ value: true });
    expect(await flags.getBooleanDetails('unknown', true)).toMatchObject({ errorCode: 'FLAG_NOT_FOUND' });
    await OpenFeature.close();
    expect((await fetch(`${relay.url}/readyz`)).status).toBe(200);
    const stranger = await fetch(`${relay.url}/ofrep/v1/evaluate/flags`, { method: 'POST' });
    expect(stranger.status).toBe(401);
    const relays = () => t.call('dana', 'GET', '/v1/relays');
    const { body } = await until(relays, ({ body: { items } }) => items[0]?.version === production().version);
    expect(body.items).toMatchObject([{ relay: 'relay-1', environment: 'production' }]);
    await until(
      () => production().reports,
      (reports) => reports?.waiting === 0,
    );
    expect(production().faults).toEqual([]);
  });
});
