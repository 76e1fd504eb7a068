import { randomInt } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import { type Child, startChild } from './child.ts';
import { formRequest, openConnection } from './connection.ts';
import { fixed, whole } from './figures.ts';
import { contextOf, relayFlag, toggleFlag } from './flags.ts';
import { countLatencies, type Latencies, quantileMs } from './latency.ts';
import { exchangeToken } from './prepare.ts';
import { OFREP } from './questions.ts';
import type { RelaySetting } from './relay-process.ts';
import { expect, formProposal, toggleOf } from './scenarios.ts';
import type { StreamQuestion, StreamsNow } from './streams.ts';

/** Clients of the broker's stream of snapshots, beside the relay. */
const OTHERS = 99;
/** The flag is shown to the organization of this client. */
const CLIENT = 1;
/** Longer than the pause that the broker makes between two versions, so that changes come at any moment of it. */
const PAUSE_MS = [20, 120] as const;
const MIB = 1024 * 1024;
const AIMS = { servedMs: 150, restartMs: 1000, memoryMib: 200 };

/** How soon a relay serves a change, how many it tells, what it takes, and how soon it is there again. Ends all. */
export async function measureFollowing(
  bench: Bench,
  setting: RelaySetting & { fill(flags: number): Promise<void> },
): Promise<void> {
  const { report, pace } = bench;
  const { relay, broker, start, fill } = setting;
  report.heading(
    'A relay that follows',
    `Each time is from before a change is sent to the broker until an application that asks all the time gets it from the relay, with ${OTHERS} other clients at the broker’s stream of snapshots. Then clients follow the stream of the relay, and a change is made; one that was not told of it, or whose stream has ended, is lost. Memory is taken when the relay has done all this and has got all flags. It is started again while the broker is stopped.`,
  );
  const served = await timeChanges(bench, setting);
  const lost = await countLost(bench, setting);
  await fill(pace.relayFlags);
  const memoryMib = (await relay.ask({})).rssBytes / MIB;
  await relay.end();
  await broker.end();
  const restarts: number[] = [];
  let startedMib = 0;
  for (let round = 0; round < pace.rounds; round += 1) {
    const again = await start();
    restarts.push(again.startedMs);
    await expectServed(again, setting.token);
    startedMib = (await again.ask({})).rssBytes / MIB;
    await again.end();
  }
  const restartMs = Math.max(...restarts);

  const [p50Ms, p99Ms] = [0.5, 0.99].map((share) => quantileMs(served, share));
  const flags = `${whole(pace.relayFlags)} flags`;
  report.header(['', '']);
  report.row([`change to served, p50 of ${whole(pace.served)}`, `${fixed(p50Ms, 1)} ms`]);
  report.row(['change to served, p99', `${fixed(p99Ms, 1)} ms`]);
  report.row([`clients lost of ${whole(pace.streams)}`, whole(lost)]);
  report.row([`memory with ${flags}`, `${whole(memoryMib)} MiB`]);
  report.row(['memory right after a start with them', `${whole(startedMib)} MiB`]);
  report.row([`start to serving from disk, with ${flags}, the slowest`, `${whole(restartMs)} ms`]);
  const measure = (what: string, value: number | undefined, unit: string, atMost: number) => ({
    ...{ what, value: value ?? Number.NaN, unit },
    aim: { atMost },
  });
  report.measures([
    measure('relay: change to served, p99', p99Ms, 'ms', AIMS.servedMs),
    measure(`relay: clients lost of ${whole(pace.streams)}`, lost, 'clients', 0),
    measure(`relay: memory with ${flags}`, memoryMib, 'MiB', AIMS.memoryMib),
    measure('relay: start to serving from disk', restartMs, 'ms', AIMS.restartMs),
  ]);
}

async function timeChanges(bench: Bench, { broker, relay, token }: RelaySetting): Promise<Latencies> {
  const { url } = await broker.ask({});
  const others = await startStreams();
  const service = await exchangeToken(url, await bench.stage.relayToken(), 'data:production');
  const stream = { address: `${url}/snapshots/production/events`, token: service, count: OTHERS };
  expectAll(await others.ask(stream), OTHERS);
  const writer = await openConnection(url);
  const reader = await openConnection((await relay.ask({})).url);
  const flag = toggleFlag(0);
  const read = formRequest({ path: `${OFREP}/${flag}`, token, body: contextOf(CLIENT) });
  const valueNow = async () => JSON.parse(expect(await reader.call(read), 200).body.toString()).value;
  const tookMs: number[] = [];
  // It is on before.
  for (let count = 0; count < bench.pace.served; count += 1) {
    await setTimeout(randomInt(...PAUSE_MS));
    const isOn = count % 2 === 1;
    const begunMs = performance.now();
    expect(await writer.call(formProposal(toggleOf(flag, isOn), bench.tokens[0] ?? '')), 201);
    while ((await valueNow()) !== isOn) await setTimeout(1);
    tookMs.push(performance.now() - begunMs);
  }
  expectAll(await others.ask({ toldBefore: 0 }), OTHERS);
  writer.close();
  reader.close();
  await others.end();
  return countLatencies(tookMs);
}

/** @returns how many clients of the relay's stream were lost */
async function countLost(bench: Bench, { broker, relay, token }: RelaySetting): Promise<number> {
  const [{ url }, at] = [await broker.ask({}), await relay.ask({})];
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${at.url}${OFREP}`, { method: 'POST', headers });
  const { eventStreams } = (await answer.json()) as {
    eventStreams?: { endpoint: { requestUri: string } }[];
  };
  const path = eventStreams?.[0]?.endpoint.requestUri;
  if (path === undefined) throw new Error('the relay names no stream');
  const clients = await startStreams();
  const { streams } = bench.pace;
  const opened = await clients.ask({ address: `${at.url}${path}`, token: null, count: streams });
  const writer = await openConnection(url);
  const change = formProposal(toggleOf(relayFlag(0), false), bench.tokens[0] ?? '');
  expect(await writer.call(change), 201);
  writer.close();
  const { open, told } = await clients.ask({ toldBefore: opened.leastTold });
  await clients.end();
  return streams - Math.min(open, told);
}

function startStreams(): Promise<Child<StreamQuestion, StreamsNow>> {
  return startChild('streams.ts');
}

function expectAll({ open, told }: StreamsNow, count: number): void {
  if (open !== count || told !== count)
    throw new Error(`of ${count} streams, ${open} are open, ${told} told`);
}

/** @throws Error unless it serves flags, not only that it is there */
async function expectServed(relay: RelaySetting['relay'], token: string): Promise<void> {
  const { url } = await relay.ask({});
  const reader = await openConnection(url);
  const path = `${OFREP}/${relayFlag(1)}`;
  const answer = expect(await reader.call(formRequest({ path, token, body: contextOf(CLIENT) })), 200);
  reader.close();
  if (JSON.parse(answer.body.toString()).value !== true) throw new Error(answer.body.toString());
}
