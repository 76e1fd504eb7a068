import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Credentials, DataReader } from '../../src/data/credentials.ts';
import { BrokerError } from '../../src/errors.ts';
import { createLog } from '../../src/logger.ts';
import type { Pace } from '../../src/relay/pace.ts';
import { createRelay, type Relay, type RelayOptions } from '../../src/relay/relay.ts';
import type { StalenessPolicy } from '../../src/relay/staleness.ts';
import type { ExchangeToken } from '../../src/relay/tokens.ts';
import type { NoteVerifier } from '../../src/tree/note.ts';
import { exchange, type TestBroker } from './broker.ts';

/* Relays in the process of the test. */

/** A relay that asks often, so that tests need not wait. */
export const QUICK: Pace = {
  pollMs: 40,
  pollStreamingMs: 60,
  silenceMs: 200,
  retryMs: 20,
  maxRetryMs: 60,
  reportMs: 40,
  answerMs: 1000,
};

export const LAST: StalenessPolicy = {
  maxMs: 86_400_000,
  kinds: { release: 'last', entitlement: 'last', operational: 'safe', experiment: 'last' },
  flags: {},
};

/** Knows the token `good`, which reads all of production, and `only:<namespaces>`. */
export function authenticateSample({ authorization, apiKey }: Partial<Credentials>): DataReader {
  const token = apiKey ?? /^Bearer (.+)$/.exec(authorization ?? '')?.[1] ?? '';
  const principal = { id: `workload:${token}` };
  if (token === 'good') return { environment: 'production', namespaces: ['*'], principal };
  if (token.startsWith('only:'))
    return { environment: 'production', namespaces: token.slice('only:'.length).split(','), principal };
  throw new BrokerError('unauthenticated', 'Send a token of audience data:<environment>.');
}

/** Gets tokens of the broker as the service of the shipped policy. */
export function exchangeAt(t: TestBroker, url: () => string = () => t.url): ExchangeToken {
  return async (audience) => {
    const { status, body } = await exchange(url(), await t.ci.checkoutToken(), { audience });
    if (status !== 200) throw new Error(`status ${status}: ${body.error_description}`);
    return { value: body.access_token, expiresMs: t.clock() + body.expires_in * 1000 };
  };
}

/** Starts a relay of production at a broker. */
export async function startTestRelay(
  t: TestBroker,
  keys: readonly NoteVerifier[],
  options: Partial<RelayOptions> = {},
): Promise<Relay> {
  return createRelay({
    name: 'relay-1',
    listen: { host: '127.0.0.1', port: 0 },
    environments: ['production'],
    settings: { keys, staleness: LAST },
    folder: await mkdtemp(join(t.folder, 'relay-')),
    source: { kind: 'broker', broker: t.url, exchange: exchangeAt(t) },
    clock: t.clock,
    log: createLog('silent'),
    pace: QUICK,
    ...options,
  });
}

/** Evaluates a flag at a relay. */
export async function readAt(
  relay: { url: string },
  flag: string,
  context: object = {},
  token = 'good',
): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }> {
  const response = await fetch(`${relay.url}/ofrep/v1/evaluate/flags/${flag}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ context }),
  });
  return {
    status: response.status,
    body: (await response.json()) as Record<string, unknown>,
    headers: response.headers,
  };
}

const LONGEST_MS = 8000;

/** Waits until something holds. @throws Error with what it was last */
export async function until<T>(read: () => T | Promise<T>, holds: (value: T) => boolean): Promise<T> {
  const ends = Date.now() + LONGEST_MS;
  for (;;) {
    const value = await read();
    if (holds(value)) return value;
    if (Date.now() > ends) throw new Error(`it stayed ${JSON.stringify(value)}`);
    await setTimeout(5);
  }
}
