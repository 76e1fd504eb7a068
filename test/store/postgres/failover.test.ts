import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { createFlag, proposal } from '../../support/flags.ts';
import { findContradictions, readLog } from '../../support/log-oracle.ts';
import { type PostgresPair, startPair } from '../../support/postgres-pair.ts';
import { hasPostgres } from '../../support/postgres-server.ts';
import { copyToFile } from '../../support/sqlite/from-postgres.ts';

/*
 * The primary of two PostgreSQL servers is killed while clients write, and its synchronous standby takes its place. `make
 * test-cluster` does it many times.
 */

const FAILOVERS = process.env.COUNTERSIGN_TEST_CLUSTER === undefined ? 1 : 10;
const CLIENTS = 6;
/** Generous: what is tried is that it goes on by itself, not how fast this machine is. */
const WITHIN = { timeout: 60_000 };

describe.skipIf(!hasPostgres('failover of PostgreSQL'))('a primary that is killed', () => {
  let pair: PostgresPair;
  let t: TestBroker;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-failover-'));
    pair = await startPair();
    t = await startTestBroker({ config: { database: pair.address } });
  });

  afterAll(async () => {
    try {
      await t.close();
    } finally {
      await pair.close();
      await rm(folder, { recursive: true });
    }
  });

  it(
    `loses no acknowledged write, nothing is written twice, and flags are served (${FAILOVERS} times)`,
    async () => {
      const clients = await Promise.all(
        Array.from({ length: CLIENTS }, async (_, number) => startClient(t, `written.by-${number}`)),
      );
      const reader = startReader(
        t,
        'written.by-0',
        await t.workloadToken('checkout', { audience: 'data:development' }),
      );
      /** Every client has had more writes acknowledged, and none has met an answer that it did not expect. */
      const allWrote = (more: number) => {
        const goals = clients.map(({ written }) => written.length + more);
        const missing = () =>
          clients.filter(({ written }, at) => written.length < (goals[at] ?? 0)).map(({ state }) => state());
        return expect.poll(missing, WITHIN).toEqual([]);
      };

      for (let failover = 1; failover <= FAILOVERS; failover += 1) {
        if (failover > 1) await pair.addStandby();
        await allWrote(3);
        await pair.killPrimary();
        pair.switchAddress();
        // A standby takes no writes, and what it shows may be old.
        await expect
          .poll(async () => (await t.call(null, 'GET', '/readyz?for=writes')).status, WITHIN)
          .toBe(503);
        await pair.promote();
        await allWrote(3);
      }

      const refusals = (await Promise.all(clients.map((client) => client.stop()))).flat();
      const answers = await reader.stop();
      expect(refusals.filter(({ code, retry }) => !UNDONE_OR_UNKNOWN.has(code) || retry === null)).toEqual(
        [],
      );
      expect(answers.length).toBeGreaterThan(10);
      expect(answers.filter((status) => status !== 200)).toEqual([]);

      const file = join(folder, 'copy.db');
      await copyToFile(pair.address, file);
      expect(await findContradictions(file)).toEqual([]);
      const log = readLog(file);
      for (const { flag, written } of clients) {
        // What created the flag is not the client's.
        const isOwn = (move: FlagMove) =>
          move.flag === flag && move.environment === 'development' && move.version_before > 0;
        const moved = log.filter(({ flags }) => flags.some(isOwn));
        // Each once, in the order of the answers.
        expect(moved.map(({ request }) => request?.id)).toEqual(written);
      }
    },
    120_000 * FAILOVERS,
  );
});

type FlagMove = ReturnType<typeof readLog>[number]['flags'][number];

/** What a caller may be told of a write while there is no primary. */
const UNDONE_OR_UNKNOWN = new Set(['not_recorded', 'outcome_unknown', 'store_unreachable']);

interface Client {
  flag: string;
  /** The request of each acknowledged write, in their order. */
  written: string[];
  /** What it has met last. */
  state(): string;
  /** Stops after the present write. @returns the refusals that it met */
  stop(): Promise<{ code: string; retry: string | null }[]>;
}

/** Switches a flag on and off, and repeats each refused call with its key until it is acknowledged. */
async function startClient(t: TestBroker, flag: string): Promise<Client> {
  await createFlag(t, flag);
  const written: Client['written'] = [];
  const refusals: { code: string; retry: string | null }[] = [];
  let isOver = false;
  let last = '';

  async function write(number: number): Promise<void> {
    const change = { action: number % 2 === 0 ? 'enable' : 'disable', flag };
    const body = proposal([change], { environment: 'development' });
    for (;;) {
      const answer = await t.call('dana', 'POST', '/v1/requests', body, {
        'idempotency-key': `${flag}-${number}`,
      });
      last = `${answer.status} ${JSON.stringify(answer.body)}`;
      if (answer.status === 201) {
        if (answer.body.state !== 'applied') throw new Error(JSON.stringify(answer.body));
        written.push(answer.body.id);
        return;
      }
      if (answer.status !== 503) throw new Error(JSON.stringify(answer.body));
      refusals.push({ code: answer.body.code, retry: answer.headers.get('retry-after') });
      await setTimeout(50);
    }
  }

  const running = (async () => {
    for (let number = 0; !isOver; number += 1) await write(number);
  })();
  // Awaited at the end; until then, a client that fails must not end the run.
  running.catch((error: Error) => {
    last = error.message;
  });
  return {
    flag,
    written,
    state: () => last,
    stop: async () => {
      isOver = true;
      await running;
      return refusals;
    },
  };
}

/** Evaluates a flag all the time. */
function startReader(t: TestBroker, flag: string, token: string): { stop(): Promise<number[]> } {
  const answers: number[] = [];
  let isOver = false;
  const running = (async () => {
    while (!isOver) {
      const path = `/ofrep/v1/evaluate/flags/${flag}`;
      answers.push((await t.call(token, 'POST', path, { context: { targetingKey: 'org-1' } })).status);
      await setTimeout(20);
    }
  })();
  running.catch(() => undefined);
  return {
    stop: async () => {
      isOver = true;
      await running;
      return answers;
    },
  };
}
