import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect } from 'vitest';
import { exchange, type Reply, startTestBroker, type TestBroker } from './broker.ts';
import { createFlag, proposal } from './flags.ts';
import { findContradictions, readLog } from './log-oracle.ts';
import { copyToFile } from './sqlite/copied.ts';

/*
 * Two brokers on a database whose server is lost again and again, while clients write and applications read.
 */

const CLIENTS = 6;
/** Shorter than what an answer asks for: the more calls meet a failover, the better. */
const PAUSE_MS = 50;
/** Generous: what is tried is that it goes on by itself, not how fast this machine is. */
export const WITHIN = { timeout: 120_000, interval: 100 };

/** Servers that lose their primary, behind one address. */
export interface Failing {
  address: string;
  failovers: number;
  /** Before each failover: lets everything be whole again. */
  prepare(failover: number): Promise<void>;
  /** Kills the primary. @param t the broker, which has to notice */
  fail(t: TestBroker, failover: number): Promise<void>;
}

/** Expects that no acknowledged write is lost, that none is written twice, and that flags are served all the time. */
export async function expectNothingLost({ address, failovers, prepare, fail }: Failing): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-failover-'));
  const t = await startTestBroker({
    config: { database: address, public_url: 'https://countersign.example' },
  });
  const other = await t.another();
  try {
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, (_, number) => startClient([t, other], `written.by-${number}`)),
    );
    const exchanged = await untilTaken(async () =>
      exchange(t.url, await t.ci.checkoutToken(), { audience: 'data:development' }),
    );
    const token = exchanged.body.access_token;
    // The other broker serves a new flag within a second.
    for (const each of [t, other])
      await expect.poll(() => evaluate(each, 'written.by-0', token), WITHIN).toBe(200);
    const readers = [t, other].map((each) => startReader(each, 'written.by-0', token));
    for (let failover = 1; failover <= failovers; failover += 1) {
      await prepare(failover);
      await allWrote(clients, 3);
      await fail(t, failover);
      await allWrote(clients, 3);
    }
    const refusals = (await Promise.all(clients.map((client) => client.stop()))).flat();
    const answers = (await Promise.all(readers.map((reader) => reader.stop()))).flat();
    expect(refusals.filter(({ code, retry }) => !UNDONE_OR_UNKNOWN.has(code) || retry === null)).toEqual([]);
    expect(answers.length).toBeGreaterThan(10);
    expect(answers.filter((status) => status !== 200)).toEqual([]);

    const file = join(folder, 'copy.db');
    await copyToFile({ address }, file);
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
  } finally {
    await other.close();
    await t.close();
    await rm(folder, { recursive: true });
  }
}

/** Every client has had more writes acknowledged, and none has met an answer that it did not expect. */
async function allWrote(clients: readonly Client[], more: number): Promise<void> {
  const goals = clients.map(({ written }) => written.length + more);
  const missing = () =>
    clients.filter(({ written }, at) => written.length < (goals[at] ?? 0)).map(({ state }) => state());
  await expect.poll(missing, WITHIN).toEqual([]);
}

/** Repeats a call that was answered 503, as its `Retry-After` asks callers to do. */
async function untilTaken(call: () => Promise<Reply>): Promise<Reply> {
  const until = performance.now() + WITHIN.timeout;
  for (;;) {
    const reply = await call();
    const mayRepeat = reply.status === 503 && reply.headers.has('retry-after');
    if (!mayRepeat || performance.now() > until) return reply;
    await setTimeout(PAUSE_MS);
  }
}

/** A broker to callers who repeat what was answered 503, with the key of the call. */
function toPatient(t: TestBroker): TestBroker {
  return {
    ...t,
    call: (who, method, path, body, headers) => {
      const key = method === 'POST' ? { 'idempotency-key': randomUUID() } : {};
      return untilTaken(() => t.call(who, method, path, body, { ...key, ...headers }));
    },
  };
}

type FlagMove = ReturnType<typeof readLog>[number]['flags'][number];

/** What a caller may be told of a write while there is no primary. */
const UNDONE_OR_UNKNOWN = new Set([
  'not_recorded',
  'outcome_unknown',
  'store_unreachable',
  // The other broker's commit waits for its standby.
  'database_in_use',
]);

interface Client {
  flag: string;
  /** The request of each acknowledged write, in their order. */
  written: string[];
  /** What it has met last. */
  state(): string;
  /** Stops after the present write. @returns the refusals that it met */
  stop(): Promise<{ code: string; retry: string | null }[]>;
}

/** Switches a flag on and off, and repeats each refused call with its key, at the next broker, until it is acknowledged. */
async function startClient(brokers: readonly [TestBroker, ...TestBroker[]], flag: string): Promise<Client> {
  await createFlag(toPatient(brokers[0]), flag);
  const written: Client['written'] = [];
  const refusals: { code: string; retry: string | null }[] = [];
  let isOver = false;
  let last = '';

  async function write(number: number): Promise<void> {
    const change = { action: number % 2 === 0 ? 'enable' : 'disable', flag };
    const body = proposal([change], { environment: 'development' });
    for (let attempt = number; ; attempt += 1) {
      const t = brokers[attempt % brokers.length] ?? brokers[0];
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
      await setTimeout(PAUSE_MS);
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

async function evaluate(t: TestBroker, flag: string, token: string): Promise<number> {
  const path = `/ofrep/v1/evaluate/flags/${flag}`;
  return (await t.call(token, 'POST', path, { context: { targetingKey: 'org-1' } })).status;
}

/** Evaluates a flag all the time. */
function startReader(t: TestBroker, flag: string, token: string): { stop(): Promise<number[]> } {
  const answers: number[] = [];
  let isOver = false;
  const running = (async () => {
    while (!isOver) {
      answers.push(await evaluate(t, flag, token));
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
