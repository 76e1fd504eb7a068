import { randomUUID } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Credentials } from '../../src/data/credentials.ts';
import { BrokerError } from '../../src/errors.ts';
import { createReaders, type Readers } from '../../src/relay/authenticate.ts';
import { openReaders, type ReadersClaims } from '../../src/snapshot/readers.ts';
import { liftRevocation } from '../../src/store/revocations.ts';
import type { NoteVerifier } from '../../src/tree/note.ts';
import { revoke as revokeAt } from '../revocation/support.ts';
import type { TestBroker } from '../support/broker.ts';
import { createProofKey, exchangeBound } from '../support/dpop.ts';
import { type EventClient, openEvents } from '../support/event-client.ts';
import { createFlag } from '../support/flags.ts';
import { fetchSnapshot, logKeyOf, readerToken, startPublishingBroker } from '../support/snapshots.ts';

/* A relay that the broker has told once who may read tells it by itself afterwards. Nothing here asks the broker again. */

const RELAY = 'https://relay.example';
let t: TestBroker;
let key: NoteVerifier;

beforeAll(async () => {
  t = await startPublishingBroker();
  key = await logKeyOf(t);
});
afterAll(() => t.close());

async function listNow(): Promise<{ text: string; claims: ReadersClaims }> {
  const { bytes, status } = await fetchSnapshot(t, await readerToken(t), 'readers.json');
  expect(status).toBe(200);
  const expected = { keys: [key], environment: 'production', nowMs: t.clock() };
  return { text: bytes.toString(), claims: await openReaders(bytes, expected) };
}

function newRelay(environments = ['production']): Readers & { warned: string[] } {
  const warned: string[] = [];
  const log = {
    info: () => undefined,
    warn: (fields: Record<string, unknown>) => warned.push(String(fields.reason)),
    error: () => undefined,
  };
  return { ...createReaders({ environments, publicUrl: RELAY, clock: t.clock, log }), warned };
}

const shown = (token: string, more: Partial<Credentials> = {}): Credentials => ({
  authorization: `Bearer ${token}`,
  apiKey: undefined,
  dpop: undefined,
  method: 'POST',
  target: '/ofrep/v1/evaluate/flags',
  connection: {},
  ...more,
});

/** Whom a token is at the relay, or the code of the refusal. */
async function whoIs(readers: Readers, token: string, more: Partial<Credentials> = {}): Promise<unknown> {
  try {
    const { environment, namespaces, principal } = await readers.authenticate(shown(token, more));
    return { environment, namespaces, id: principal.id };
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return error.code;
  }
}

const revoke = async (kind: string, value: string, fields: Record<string, unknown> = {}) => {
  const { status, body } = await revokeAt(t, kind, value, fields);
  expect(status, JSON.stringify(body)).toBe(201);
};

/** The ids of the keys in the text of a list. */
const keysIn = (text: string): string[] =>
  decodeJwt<ReadersClaims>(JSON.parse(text).readers[0]).tokens.jwks.keys.map(({ kid }) => String(kid));

const SERVICE = { environment: 'production', namespaces: ['*'] };

describe('at a relay, with a list of the broker', () => {
  it('tokens of the broker read, and so do those of the platform by their rule, as the same principal', async () => {
    const readers = newRelay();
    readers.take((await listNow()).claims);
    const own = await readerToken(t);
    const id = decodeJwt(own).sub;
    expect(await whoIs(readers, own)).toEqual({ ...SERVICE, id });
    expect(await whoIs(readers, own, { authorization: undefined, apiKey: own })).toEqual({ ...SERVICE, id });
    expect(await whoIs(readers, await t.ci.checkoutToken())).toEqual({ ...SERVICE, id });
  });

  it('nobody else reads', async () => {
    const readers = newRelay();
    readers.take((await listNow()).claims);
    const refused = [
      await readerToken(t, 'data:staging'),
      await t.workloadToken('payments'),
      await t.people.idToken('dana'),
      // Its rule may do more than read.
      await t.ci.token(),
      await t.ci.checkoutToken({ ref: 'refs/heads/other' }),
      await t.ci.checkoutToken({ aud: 'another' }),
      await t.ci.checkoutToken({ exp: Math.floor(t.clock() / 1000) - 60 }),
      'not.a.token',
    ];
    for (const token of refused) expect(await whoIs(readers, token)).toBe('token_invalid');
    const [head, payload] = (await readerToken(t)).split('.');
    expect(await whoIs(readers, `${head}.${payload}.${'A'.repeat(86)}`)).toBe('token_invalid');
  });

  it('a refused token is refused again without being verified, until a new list comes', async () => {
    const readers = newRelay();
    const { claims } = await listNow();
    readers.take({ ...claims, rules: [] });
    const token = await t.ci.checkoutToken();
    for (let at = 0; at < 3; at += 1) expect(await whoIs(readers, token)).toBe('token_invalid');
    readers.take(claims);
    expect(await whoIs(readers, token)).toMatchObject(SERVICE);
  });

  it('a bound token needs a proof of its key for the relay, and each proof works once', async () => {
    const bound = await createProofKey(t.clock);
    const proof = await bound.proof({ method: 'POST', url: 'https://flags.example/oauth/token' });
    const { body } = await exchangeBound(t.url, await t.ci.checkoutToken(), {
      proofs: [proof],
      form: { audience: 'data:production' },
    });
    const token = body.access_token;
    const readers = newRelay();
    readers.take((await listNow()).claims);
    expect(await whoIs(readers, token)).toBe('token_invalid');
    const url = `${RELAY}/ofrep/v1/evaluate/flags`;
    const authorization = `DPoP ${token}`;
    const dpop = await bound.proof({ method: 'POST', url, token });
    expect(await whoIs(readers, token, { authorization, dpop })).toMatchObject(SERVICE);
    expect(await whoIs(readers, token, { authorization, dpop })).toBe('token_invalid');
    const elsewhere = await bound.proof({ method: 'POST', url: url.replace('relay', 'flags'), token });
    expect(await whoIs(readers, token, { authorization, dpop: elsewhere })).toBe('token_invalid');
  });

  it('is no step back for who had a list that another broker signed between two of equal contents', async () => {
    const { claims: former } = await listNow();
    const { body } = await revokeAt(t, 'subject', 'workload:checkout-service:nobody');
    // What a broker does that lifts it.
    await t.broker.store.writer.write(async (tx) => {
      const lifted = { lifted_ms: t.clock(), lifted_by: 'a test', epoch: randomUUID() };
      expect(await liftRevocation(tx, body.id, lifted)).toBe(true);
    }, 'scheduled');
    const { claims: now } = await listNow();
    expect(now.digest).toBe(former.digest);
    expect(now.sequence).toBeGreaterThan(former.sequence);
  });

  it('before it and after its end the answer is 503, never 401', async () => {
    const readers = newRelay();
    for (const token of [await readerToken(t), await t.ci.checkoutToken(), 'not.a.token'])
      expect(await whoIs(readers, token)).toBe('flags_not_loaded');
    const { claims } = await listNow();
    const token = await readerToken(t);
    readers.take({ ...claims, exp: Math.floor(t.clock() / 1000) + 60 });
    expect(await whoIs(readers, token)).toMatchObject(SERVICE);
    const now = t.clock();
    t.clock.set(now + 61_000);
    expect(await whoIs(readers, token)).toBe('flags_not_loaded');
    expect(await whoIs(readers, await t.ci.checkoutToken())).toBe('flags_not_loaded');
    t.clock.set(now);
  });

  it('a token of the platform that could read two environments reads none of them', async () => {
    const readers = newRelay(['production', 'staging']);
    const { claims } = await listNow();
    readers.take(claims);
    expect(await whoIs(readers, await readerToken(t, 'data:staging'))).toBe('flags_not_loaded');
    readers.take({ ...claims, environment: 'staging' });
    expect(await whoIs(readers, await t.ci.checkoutToken())).toBe('token_invalid');
    expect(await whoIs(readers, await readerToken(t))).toMatchObject(SERVICE);
  });

  it('goes on with the keys of an issuer that the broker does not reach at the moment', async () => {
    const readers = newRelay();
    const { claims } = await listNow();
    const unknown = { ...claims, issuers: claims.issuers.map((each) => ({ ...each, jwks: null })) };
    readers.take(unknown);
    expect(await whoIs(readers, await t.ci.checkoutToken())).toBe('flags_not_loaded');
    readers.take(claims);
    readers.take(unknown);
    expect(await whoIs(readers, await t.ci.checkoutToken())).toMatchObject(SERVICE);
    readers.take({ ...claims, issuers: claims.issuers.map((each) => ({ ...each, jwks: { keys: [] } })) });
    expect(await whoIs(readers, await t.ci.checkoutToken())).toBe('token_invalid');
  });

  it.each<[string, (token: string, platform: string) => string, boolean]>([
    ['token', (token) => `https://flags.example#jti:${decodeJwt(token).jti}`, false],
    ['subject', (token) => decodeJwt(token).sub ?? '', true],
    ['trust_rule', () => 'checkout-service', true],
    ['issuer', () => t.ci.issuer, true],
    ['class', () => 'workload', true],
    ['class', () => 'all', true],
  ])('whoever is revoked by %s reads no more, and the list does not name it', async (kind, named, both) => {
    const [own, platform] = [await readerToken(t), await t.ci.checkoutToken()];
    const before = await listNow();
    t.clock.advance(1000);
    const value = named(own, platform);
    await revoke(kind, value, kind === 'token' ? {} : { issued_before: t.clock() });
    t.clock.advance(1000);
    const { text, claims } = await listNow();
    expect(claims.sequence).toBeGreaterThan(before.claims.sequence);
    if (kind === 'token')
      expect(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()).not.toContain(value);
    const readers = newRelay();
    readers.take(claims);
    expect(await whoIs(readers, own)).toBe('token_invalid');
    expect(await whoIs(readers, platform)).toEqual(both ? 'token_invalid' : expect.objectContaining(SERVICE));
    // What is issued from now on is not revoked.
    expect(await whoIs(readers, await readerToken(t))).toMatchObject(SERVICE);
  });
});

describe('the stream of an environment', () => {
  const clients: EventClient[] = [];
  afterAll(() => {
    for (const client of clients) client.close();
  });
  const open = async (token: string, environment = 'production') => {
    const client = await openEvents(`${t.url}/snapshots/${environment}/events`, token);
    clients.push(client);
    return client;
  };

  it('tells the texts of both files at once, with a pause before the next connection', async () => {
    await t.broker.scheduler.tick();
    const token = await readerToken(t);
    const client = await open(token);
    const latest = await client.next(({ event }) => event === 'latest');
    const readers = await client.next(({ event }) => event === 'readers');
    expect(latest.data).toBe((await fetchSnapshot(t, token, 'latest.json')).bytes.toString());
    expect(readers.data).toBe((await fetchSnapshot(t, token, 'readers.json')).bytes.toString());
    expect(client.retryMs()).toBeGreaterThanOrEqual(1000);
  });

  it('tells every client of a new version, with one text', async () => {
    const all = [await open(await readerToken(t)), await open(await readerToken(t))];
    const before = await Promise.all(all.map((each) => each.next(({ event }) => event === 'latest')));
    await createFlag(t, 'checkout.streamed', { tier: 'informational' });
    await t.broker.scheduler.tick();
    const after = await Promise.all(
      all.map((each) => each.next(({ event, data }) => event === 'latest' && data !== before[0]?.data)),
    );
    expect(after[0]?.data).toBe(after[1]?.data);
  });

  it('tells of a revocation, and ends for whoever is revoked', async () => {
    // riley signs in anew: everybody was revoked before.
    t.clock.advance(61_000);
    const [mine, other] = [await readerToken(t), await readerToken(t)];
    const [client, witness] = [await open(mine), await open(other)];
    const { data } = await witness.next(({ event }) => event === 'readers');
    await revoke('token', `https://flags.example#jti:${decodeJwt(mine).jti}`);
    await client.ended;
    await witness.next(({ event, data: now }) => event === 'readers' && now !== data);
  });

  it('tells of a new key of tokens, with which tokens are verified from then on', async () => {
    const client = await open(await readerToken(t));
    const { data } = await client.next(({ event }) => event === 'readers');
    expect((await t.call('morgan+mfa', 'POST', '/v1/keys/rotate')).status).toBe(201);
    const token = await readerToken(t);
    const kid = decodeProtectedHeader(token).kid ?? '';
    const { data: next } = await client.next(
      (received) =>
        received.event === 'readers' && received.data !== data && keysIn(received.data).includes(kid),
    );
    expect(keysIn(data)).not.toContain(kid);
    const readers = newRelay();
    const expected = { keys: [key], environment: 'production', nowMs: t.clock() };
    readers.take(await openReaders(Buffer.from(data), expected));
    expect(await whoIs(readers, token)).toBe('token_invalid');
    readers.take(await openReaders(Buffer.from(next), expected));
    expect(await whoIs(readers, token)).toMatchObject(SERVICE);
  });

  it('tells of a list that was signed again at half of its life, with the same contents', async () => {
    const client = await open(await readerToken(t));
    const { data } = await client.next(({ event }) => event === 'readers');
    const before = decodeJwt(JSON.parse(data).readers[0]);
    t.clock.advance(4 * 86_400_000);
    // The stream ends with its token.
    await client.ended;
    const again = await open(await readerToken(t));
    const { data: next } = await again.next(({ event }) => event === 'readers');
    const after = decodeJwt(JSON.parse(next).readers[0]);
    expect(after.exp).toBeGreaterThan(Number(before.exp) + 3 * 86_400);
    expect(next).not.toBe(data);
  });

  it('ends when its token expires', async () => {
    const client = await open(await readerToken(t));
    expect(client.status).toBe(200);
    t.clock.advance(700_000);
    await client.ended;
  });

  it('is only for who reads all namespaces of the environment', async () => {
    expect((await open('not.a.token')).status).toBe(401);
    expect((await open(await readerToken(t, 'data:staging'))).status).toBe(404);
    expect((await open(await readerToken(t, 'data:staging'), 'staging')).status).toBe(404);
    const response = await fetch(`${t.url}/snapshots/production/events`, { method: 'POST' });
    expect(response.status).toBe(405);
  });
});
