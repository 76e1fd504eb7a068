import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { createLog } from '../../src/logger.ts';
import { createRelay, type Relay, type RelayOptions } from '../../src/relay/relay.ts';
import { addressSource } from '../../src/relay/source.ts';
import type { NoteSigner } from '../../src/tree/note.ts';
import { createTestClock, type TestClock } from '../support/broker.ts';
import { NOW_MS } from '../support/forged-snapshots.ts';
import { authenticateSample, LAST, QUICK, readAt } from '../support/relay.ts';
import { type RelaySourceServer, startRelaySource } from '../support/relay-source.ts';

/** A source that says whatever a test wants, and the relay of a test at it. */
export interface Stage {
  source: RelaySourceServer;
  relay: Relay;
  clock: TestClock;
  /** The state folder. */
  folder: string;
  /** Starts a relay; the one before must have ended. */
  start(options?: Partial<RelayOptions>): Promise<void>;
  /** Starts one that tells who reads by the lists that are published. */
  startByLists(): Promise<void>;
  /** Ends it. */
  stop(): Promise<void>;
}

/** Sets up what each test of a file needs. */
export function relayStage(signer: NoteSigner) {
  let running: Relay | null = null;
  const stage = {
    startByLists: async () => {
      const { authenticate: _, ...options } = optionsOf({});
      running = await createRelay(options);
      stage.relay = running;
    },
    start: async (options = {}) => {
      running = await createRelay(optionsOf(options));
      stage.relay = running;
    },
    stop: async () => {
      await running?.close();
      running = null;
    },
  } as Stage;

  function optionsOf(options: Partial<RelayOptions>): RelayOptions {
    return {
      name: 'relay-1',
      listen: { host: '127.0.0.1', port: 0 },
      environments: ['production'],
      settings: { keys: [signer.verifier], staleness: LAST },
      folder: stage.folder,
      source: {
        kind: 'place',
        source: addressSource({ address: new URL(stage.source.url), headers: {}, fetch, answerMs: 300 }),
      },
      authenticate: authenticateSample,
      clock: stage.clock,
      log: createLog('silent'),
      pace: QUICK,
      ...options,
    };
  }

  beforeAll(async () => {
    stage.source = await startRelaySource();
  });
  afterAll(() => stage.source.close());
  beforeEach(async () => {
    stage.clock = createTestClock(NOW_MS);
    stage.folder = await mkdtemp(join(tmpdir(), 'relay-'));
    stage.source.answers.clear();
    stage.source.asked.clear();
  });
  afterEach(async () => {
    await stage.stop();
    await rm(stage.folder, { recursive: true, force: true });
  });

  const production = () => {
    const { production: of } = stage.relay.status().environments;
    if (of === undefined) throw new Error('the relay has no such environment');
    return of;
  };
  return {
    stage,
    production,
    codes: () => production().faults.map(({ code }) => code),
    valueNow: async (flag = 'colour') => (await readAt(stage.relay, flag)).body.value,
  };
}
