import { measureActivations } from './activations.ts';
import { measureBacktests } from './backtests.ts';
import { type Bench, CLIENTS, job, measureParts, type Pace, startFloor } from './bench.ts';
import { startChild } from './child.ts';
import type { DecideRun } from './decide.ts';
import { measureIdentity } from './identity.ts';
import { interleave, type Load, type Server, warmUp } from './measure.ts';
import { BASE, exchangeToken, prepare, startBrokerProcess, TEMPLATES } from './prepare.ts';
import { copyRequest } from './rows.ts';
import { setStage } from './stage.ts';
import { COMPARISON, comparison, createReport, figures, megabytes, whole } from './table.ts';

/**
 * `make bench`: measures the product, and beside it, in the same run, a bare floor of the same work. Prints tables and
 * keeps the last ones in `bench/last.md`. Asserts nothing on time. `--quick` measures shorter and once; names of parts
 * (`writes`, `stored`, `decisions`, `identity`, `reads`, `activations`, `backtests`) measure only those. Neither is kept.
 */
const quick = process.argv.includes('--quick');
const named = process.argv.slice(2).filter((argument) => argument !== '--quick');
const PACE: Pace = quick
  ? { rounds: 1, settleMs: 300, measureMs: 700, seeded: 10_000 }
  : { rounds: 3, settleMs: 500, measureMs: 1300, seeded: 100_000 };

async function main(): Promise<void> {
  const report = createReport(Date.now());
  const stage = await setStage();
  const load: Load = await startChild('load.ts');
  try {
    const { toggledId } = await prepare(stage);
    const tokens = await stage.personTokens('dana', Math.max(...CLIENTS));
    const approverTokens = await stage.personTokens('alex', Math.max(...CLIENTS));
    const bench = { stage, load, report, pace: PACE, tokens, approverTokens };
    const parts = {
      writes: () => measureWrites(bench),
      stored: () => measureStored(bench, toggledId),
      decisions: () => measureDecisions(bench),
      identity: () => measureIdentity(bench),
      reads: () => measureReads(bench),
      activations: () => measureActivations(bench),
      backtests: () => measureBacktests(bench, toggledId),
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
        rounds: PACE.rounds,
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
  copyRequest(stage.file('many.db'), { requestId: toggledId, count: PACE.seeded });
  const few = await startBrokerProcess(stage, 'few.db');
  const many = await startBrokerProcess(stage, 'many.db');
  const count = whole(PACE.seeded);
  report.heading(
    'Stored data does not slow writes down',
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
    const sampled = await interleave(load, [few, many], {
      rounds: PACE.rounds,
      job: job(bench, scenario, 32),
    });
    for (const [place, [server, stored]] of [[few, 'few'] as const, [many, count] as const].entries()) {
      const { rssBytes } = await server.ask({});
      const result = sampled[place];
      if (result === undefined) continue;
      report.row([scenario, '32', stored, ...figures(result), whole(server.startedMs), megabytes(rssBytes)]);
    }
  }
  await Promise.all([few.end(), many.end()]);
}

async function measureDecisions(bench: Bench): Promise<void> {
  const { stage, report } = bench;
  const child = await startChild<DecideRun, number>('decide.ts', [stage.bundleFile, stage.file(TEMPLATES)]);
  report.heading(
    'Decisions in process',
    'Building the input, validating it, its canonical form and digest, the evaluation, reading and checking the answer. The floor is the evaluation of the same input by the SDK alone.',
  );
  await measureParts(bench, child, { product: 'product', floor: 'floor' });
  await child.end();
}

async function measureReads(bench: Bench): Promise<void> {
  const { stage, report, load } = bench;
  await stage.copyDatabase(BASE, 'reads.db');
  const broker = await startBrokerProcess(stage, 'reads.db');
  const floor: Server = await startChild('floor-http.ts');
  const { url } = await broker.ask({});
  const readers = { tokens: [await exchangeToken(url, await stage.ci.checkoutToken(), 'data:production')] };
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
          await interleave(load, [broker, floor], { rounds: PACE.rounds, job: asked }),
        ),
      );
    }
  }
  await Promise.all([broker.end(), floor.end()]);
}

await main();
