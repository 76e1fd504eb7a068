import { startChild } from './child.ts';
import type { DecideRun } from './decide.ts';
import { interleave, type Job, type Load, type Server, warmUp } from './measure.ts';
import { BASE, prepare, startBrokerProcess, TEMPLATES } from './prepare.ts';
import type { ScenarioName } from './scenarios.ts';
import { seed } from './seed.ts';
import { type Stage, setStage } from './stage.ts';
import { COMPARISON, comparison, createReport, figures, megabytes, type Report, whole } from './table.ts';

/**
 * `make bench`: measures the product, and beside it, in the same run, a bare floor of the same work. Prints tables and
 * keeps the last ones in `bench/last.md`. Asserts nothing on time. `--quick` measures shorter and once; names of parts
 * (`writes`, `stored`, `decisions`, `reads`) measure only those. Neither is kept.
 */
const quick = process.argv.includes('--quick');
const named = process.argv.slice(2).filter((argument) => argument !== '--quick');
const ROUNDS = quick ? 1 : 3;
const SETTLE_MS = quick ? 300 : 500;
const MEASURE_MS = quick ? 700 : 1300;
const SEEDED = quick ? 10_000 : 100_000;
const CLIENTS = [1, 8, 32];

/** What the measurements share. */
interface Bench {
  stage: Stage;
  load: Load;
  report: Report;
  tokens: string[];
  approverTokens: string[];
}

async function main(): Promise<void> {
  const report = createReport(Date.now());
  const stage = await setStage();
  const load: Load = await startChild('load.ts');
  try {
    const { toggledId } = await prepare(stage);
    const tokens = await stage.personTokens('dana', Math.max(...CLIENTS));
    const approverTokens = await stage.personTokens('alex', Math.max(...CLIENTS));
    const bench = { stage, load, report, tokens, approverTokens };
    const parts = {
      writes: () => measureWrites(bench),
      stored: () => measureStored(bench, toggledId),
      decisions: () => measureDecisions(bench),
      reads: () => measureReads(bench),
    };
    for (const [name, measurePart] of Object.entries(parts)) {
      if (named.length === 0 || named.includes(name)) await measurePart();
    }
  } finally {
    await load.end();
    await stage.close();
  }
  if (!quick && named.length === 0) report.save(new URL('last.md', import.meta.url));
}

function job(bench: Bench, scenario: ScenarioName, clients: number): Job {
  const { tokens, approverTokens } = bench;
  return { scenario, clients, warmupMs: SETTLE_MS, measureMs: MEASURE_MS, tokens, approverTokens };
}

async function startFloor({ stage }: Bench, database: string): Promise<Server> {
  await stage.copyDatabase(BASE, database);
  const files = [stage.bundleFile, stage.file(database), stage.file(TEMPLATES)];
  return startChild('floor.ts', [...files, stage.people.issuer]);
}

async function measureWrites(bench: Bench): Promise<void> {
  const { stage, report, load } = bench;
  await stage.copyDatabase(BASE, 'writes.db');
  const broker = await startBrokerProcess(stage, 'writes.db');
  const floor = await startFloor(bench, 'floor.db');
  const idle = await Promise.all([broker.ask({}), floor.ask({})]);

  report.heading(
    'Governed writes',
    'One unit is a toggle (propose with immediate allow: one call) or a cycle (propose, approve, apply: three calls). The floor is a small Express program of the same parts: token verification with a cache, the same policy on the same inputs, the same rows in one batched durable transaction, the same answer; none of the checks.',
  );
  report.header(COMPARISON);
  for (const scenario of ['toggle', 'cycle'] as const) {
    await warmUp(load, [broker, floor], job(bench, scenario, 32));
    for (const clients of CLIENTS) {
      const sampled = await interleave(load, [broker, floor], {
        rounds: ROUNDS,
        job: job(bench, scenario, clients),
      });
      report.row(comparison(scenario, clients, sampled));
    }
  }

  const after = await Promise.all([broker.ask({}), floor.ask({})]);
  report.heading(
    'Memory and start',
    'Resident memory; start is from the process to the first answer it could give.',
  );
  report.header(['', 'memory idle', 'memory after the writes', 'start ms']);
  for (const [place, [name, server]] of [['broker', broker] as const, ['floor', floor] as const].entries()) {
    const [before, then] = [idle[place], after[place]];
    report.row([
      name,
      megabytes(before?.rssBytes ?? 0),
      megabytes(then?.rssBytes ?? 0),
      whole(server.startedMs),
    ]);
  }
  await Promise.all([broker.end(), floor.end()]);
}

async function measureStored(bench: Bench, toggledId: unknown): Promise<void> {
  const { stage, report, load } = bench;
  await stage.copyDatabase(BASE, 'few.db');
  await stage.copyDatabase(BASE, 'many.db');
  seed(stage.file('many.db'), { requestId: toggledId, count: SEEDED });
  const few = await startBrokerProcess(stage, 'few.db');
  const many = await startBrokerProcess(stage, 'many.db');
  const count = whole(SEEDED);
  report.heading(
    'What is stored costs nothing',
    `The same broker on an empty database, and on one with ${count} requests, ${count} records and ${count} flag versions more.`,
  );
  report.header([
    '',
    'clients',
    'stored',
    'per second',
    'p50 ms',
    'p99 ms',
    'CPU µs each',
    'start ms',
    'memory after',
  ]);
  for (const scenario of ['toggle', 'cycle'] as const) {
    await warmUp(load, [few, many], job(bench, scenario, 32));
    const sampled = await interleave(load, [few, many], { rounds: ROUNDS, job: job(bench, scenario, 32) });
    for (const [place, [server, stored]] of [[few, 'few'] as const, [many, count] as const].entries()) {
      const { rssBytes } = await server.ask({});
      const result = sampled[place];
      if (result === undefined) continue;
      report.row([scenario, '32', stored, ...figures(result), whole(server.startedMs), megabytes(rssBytes)]);
    }
  }
  await Promise.all([few.end(), many.end()]);
}

async function measureDecisions({ stage, report }: Bench): Promise<void> {
  const child = await startChild<DecideRun, number>('decide.ts', [stage.bundleFile, stage.file(TEMPLATES)]);
  const rates: { product: number[]; floor: number[] } = { product: [], floor: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const part of ['product', 'floor'] as const) {
      rates[part].push(await child.ask({ part, measureMs: MEASURE_MS }));
    }
  }
  await child.end();
  report.heading(
    'Decisions in process',
    'Building the input, validating it, its canonical form and digest, the evaluation, reading and checking the answer. The floor is the evaluation of the same input by the SDK alone.',
  );
  report.header(['', 'per second', 'µs each']);
  for (const part of ['product', 'floor'] as const) {
    const rate = median(rates[part]);
    report.row([part, whole(rate), (1e6 / rate).toFixed(1)]);
  }
}

async function measureReads(bench: Bench): Promise<void> {
  const { stage, report, load } = bench;
  await stage.copyDatabase(BASE, 'reads.db');
  const broker = await startBrokerProcess(stage, 'reads.db');
  const floor: Server = await startChild('floor-http.ts');
  const { url } = await broker.ask({});
  const readers = { tokens: [await dataToken(url, await stage.ci.checkoutToken())] };
  report.heading(
    'Reads (OFREP)',
    'One flag for one context, and all flags unchanged (304). The floor is bare node:http that parses the body and answers from memory, without token, evaluation or tag.',
  );
  report.header(COMPARISON);
  for (const scenario of ['ofrep_single', 'ofrep_unchanged'] as const) {
    await warmUp(load, [broker, floor], { ...job(bench, scenario, 32), ...readers });
    for (const clients of CLIENTS) {
      const asked = { ...job(bench, scenario, clients), ...readers };
      report.row(
        comparison(
          scenario,
          clients,
          await interleave(load, [broker, floor], { rounds: ROUNDS, job: asked }),
        ),
      );
    }
  }
  await Promise.all([broker.end(), floor.end()]);
}

/** Exchanges the token of a service for one that reads flags. */
async function dataToken(url: string, subjectToken: string): Promise<string> {
  const response = await fetch(`${url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: subjectToken,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      audience: 'data:production',
    }),
  });
  const answer = (await response.json()) as { access_token?: string };
  if (answer.access_token === undefined) throw new Error(JSON.stringify(answer));
  return answer.access_token;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}

await main();
