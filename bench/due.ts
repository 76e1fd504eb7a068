import type { Bench } from './bench.ts';
import { job } from './bench.ts';
import { openConnection } from './connection.ts';
import { fixed, whole } from './figures.ts';
import { createOf, dueFlag, ENVIRONMENT } from './flags.ts';
import { type Latencies, mergeLatencies, quantileMs } from './latency.ts';
import { warmUp } from './measure.ts';
import { BASE, startBrokerProcess } from './prepare.ts';
import { BROKER } from './ratios.ts';
import { countDue } from './rows.ts';
import { expect, formProposal, toggleOf } from './scenarios.ts';

/** All are applied within, in milliseconds after the last one was due. */
const APPLIED_MS = 3000;
/** A write that somebody waits for is answered meanwhile within. */
const INTERACTIVE_MS = 100;

const CLIENTS = 8;
const CREATED_AT_ONCE = 40;
/** The first one is due when all of them could have been proposed so many times over, by the rate of toggles. */
const LEAD = 2;
/** For how long interactive writes are measured at a time. */
const SLICE_MS = 250;

/** Many requests that are due within one second, and writes that people wait for meanwhile. */
export async function measureDue(bench: Bench): Promise<void> {
  const { stage, report, load, pace, tokens } = bench;
  await stage.copyDatabase(BASE, 'due.db');
  const broker = await startBrokerProcess(stage, 'due.db');
  const { url } = await broker.ask({});
  const count = whole(pace.due);
  const contestant = { name: BROKER, server: broker, job: job(bench, 'toggle', CLIENTS) };
  const begunMs = performance.now();
  const [{ units } = { units: 0 }] = await warmUp(load, [contestant], pace.warmUpMs);
  const perSecond = (units * 1000) / (performance.now() - begunMs);
  const firstMs = await proposeAll(url, tokens, { count: pace.due, perSecond });
  const file = stage.file('due.db');
  if (Date.now() >= firstMs) throw new Error('the requests were due before all of them were proposed');
  if (countDue(file) !== pace.due) throw new Error(`${countDue(file)} requests are due, not ${count}`);
  await until(firstMs);
  const lastMs = firstMs + 999;
  let appliedMs: number | null = null;
  const watching = (async () => {
    while (countDue(file) > 0) await until(Date.now() + 20);
    appliedMs = Date.now();
  })();
  const slices: Latencies[] = [];
  while (appliedMs === null) {
    const asked = { ...contestant.job, warmupMs: 0, measureMs: SLICE_MS, url };
    slices.push((await load.ask(asked)).latencies);
  }
  await watching;
  const tookMs = Math.max(0, appliedMs - lastMs);
  const latencies = mergeLatencies(slices);
  report.heading(
    'Requests that are due together',
    `${count} approved changes that are due within one second, applied by the scheduler, while ${CLIENTS} clients toggle other flags.`,
  );
  report.header(['', 'applied after ms', 'toggles p50 ms', 'p99 ms', 'max ms']);
  const p99 = quantileMs(latencies, 0.99);
  const times = [quantileMs(latencies, 0.5), p99, quantileMs(latencies, 1)];
  report.row([`${count} due`, whole(tookMs), ...times.map((ms) => fixed(ms, 1))]);
  report.measures([
    {
      what: `${count} due in one second, all applied`,
      value: tookMs,
      unit: 'ms',
      aim: { atMost: APPLIED_MS },
    },
    { what: 'a toggle meanwhile, p99', value: p99, unit: 'ms', aim: { atMost: INTERACTIVE_MS } },
  ]);
  await broker.end();
}

/** @returns when the first of them is due, in epoch milliseconds; the last one is within a second of it */
async function proposeAll(
  url: string,
  tokens: readonly string[],
  { count, perSecond }: { count: number; perSecond: number },
): Promise<number> {
  const flags = Array.from({ length: count }, (_, place) => dueFlag(place));
  const creations: object[] = [];
  for (let from = 0; from < count; from += CREATED_AT_ONCE) {
    const changes = flags.slice(from, from + CREATED_AT_ONCE).map((flag) => createOf(flag, 'informational'));
    creations.push({ environment: ENVIRONMENT, changes, reason: 'Flags for the benchmark' });
  }
  await proposeEach(url, tokens, creations);
  const firstMs = Math.ceil(Date.now() / 1000 + 1 + (LEAD * count) / perSecond) * 1000;
  const proposals = flags.map((flag, place) => ({
    ...toggleOf(flag, true),
    start_ms: firstMs + Math.floor((place * 1000) / count),
  }));
  await proposeEach(url, tokens, proposals);
  return firstMs;
}

async function proposeEach(
  url: string,
  tokens: readonly string[],
  contents: readonly object[],
): Promise<void> {
  const left = contents.values();
  await Promise.all(
    tokens.slice(0, CLIENTS).map(async (token) => {
      const connection = await openConnection(url);
      try {
        for (const content of left) expect(await connection.call(formProposal(content, token)), 201);
      } finally {
        connection.close();
      }
    }),
  );
}

async function until(momentMs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, momentMs - Date.now())));
}
