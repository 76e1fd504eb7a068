import { type Bench, compare, compareAnew, job, type Side, startFloor } from './bench.ts';
import { startChild } from './child.ts';
import { askOnce, formRequest } from './connection.ts';
import { megabytes, whole } from './figures.ts';
import type { Server } from './measure.ts';
import type { RunningUnleash } from './peers/unleash.ts';
import { BASE, startBrokerProcess, TEMPLATES } from './prepare.ts';
import { BROKER, EXPRESS_FLOOR, LEAN_FLOOR, OPA, TOGGLE, UNLEASH } from './ratios.ts';
import type { ScenarioName } from './scenarios.ts';
import { COMPARISON } from './table.ts';
import { readTemplateFile } from './templates.ts';

/** Limits that no run reaches: what is measured is that they are counted. */
const LIMITS = { calls_per_minute: 10_000_000, attempts_per_minute: 10_000_000 };

/** Governed writes beside their floors, and beside what people would use otherwise. */
export async function measureWrites(bench: Bench): Promise<void> {
  const { stage, report, peers } = bench;
  await stage.copyDatabase(BASE, 'writes.db');
  const broker = await startBrokerProcess(stage, 'writes.db');
  const floor = await startFloor(bench, 'floor.db');
  const lean = await startLean(bench, 'lean.db');
  const unleash = await peers.unleash();
  const opa = await peers.opaOnPolicy();
  const jobsFor = (scenario: ScenarioName) => (clients: number) => job(bench, scenario, clients);
  const toggles = jobsFor('toggle');
  const sides: Side[] = [
    { name: BROKER, server: broker, jobFor: toggles },
    { name: EXPRESS_FLOOR, server: floor, jobFor: toggles },
    { name: LEAN_FLOOR, server: lean, jobFor: toggles },
    ...(unleash === null ? [] : [unleashSide(bench, unleash)]),
    ...(opa === null ? [] : [await opaSide(bench, opa)]),
  ];
  const idle = await memoryOf(sides);
  report.heading(
    'Governed writes',
    'One unit is a toggle (propose with immediate allow: one call) or a cycle (propose, approve, apply: three calls). The Express floor is a small program of the same parts: token verification with a cache, the same policy on the same inputs, the same rows in one batched durable transaction, the same answer; none of the checks. The lean floor is bare node:http: token verification with a cache, one evaluation of the same module with the full input, one row for the decision and one for the flag in one batched durable transaction. unleash-server, on PostgreSQL, switches a flag with no policy and nobody asked. OPA’s server decides the same input by the same policy, and writes nothing.',
  );
  report.header(COMPARISON);
  await compare(bench, { what: TOGGLE, sides });
  const cycles = jobsFor('cycle');
  await compare(bench, {
    what: 'cycle',
    sides: [
      { name: BROKER, server: broker, jobFor: cycles },
      { name: EXPRESS_FLOOR, server: floor, jobFor: cycles },
    ],
  });
  const after = await memoryOf(sides);
  report.heading(
    'Memory and start',
    'Resident memory; start is from the process to the first answer it could give. unleash-server has that of PostgreSQL with it.',
  );
  report.header(['', 'memory idle', 'memory after the writes', 'start ms']);
  for (const [place, { name, server }] of sides.entries()) {
    report.row([name, idle[place] ?? '', after[place] ?? '', whole(server.startedMs)]);
  }
  for (const { server } of sides) await server.end();
}

/** The same for callers that were never seen before, with everything on that callers may meet. */
export async function measureFirstCalls(bench: Bench): Promise<void> {
  const { stage, report } = bench;
  await stage.copyDatabase(BASE, 'first.db');
  const broker = await startBrokerProcess(stage, 'first.db', LIMITS);
  const floor = await startFloor(bench, 'floor-first.db');
  const lean = await startLean(bench, 'lean-first.db');
  const jobFor = (clients: number) => job(bench, 'toggle_anew', clients);
  report.heading(
    'Governed writes of callers never seen',
    'A toggle with a token that was never seen before (ES256), under limits of rates, with an Idempotency-Key. The floors verify each token as well; they have neither limits nor keys.',
  );
  report.header(COMPARISON);
  await compareAnew(bench, {
    what: 'toggle of a caller never seen',
    sides: [
      { name: BROKER, server: broker, jobFor },
      { name: EXPRESS_FLOOR, server: floor, jobFor },
      { name: LEAN_FLOOR, server: lean, jobFor },
    ],
    sign: () => stage.people.idToken('dana'),
  });
  await Promise.all([broker.end(), floor.end(), lean.end()]);
}

function startLean({ stage }: Bench, database: string): Promise<Server> {
  const files = [stage.bundleFile, stage.file(database), stage.file(TEMPLATES)];
  return startChild('lean.ts', [...files, stage.people.issuer]);
}

/** Unleash, as one side of a comparison. */
export function unleashSide(bench: Bench, { server, token }: RunningUnleash): Side {
  const jobFor = (clients: number) => ({ ...job(bench, 'unleash_toggle', clients), tokens: [token] });
  return { name: UNLEASH, server, jobFor };
}

async function opaSide(bench: Bench, server: Server): Promise<Side> {
  const input = readTemplateFile(bench.stage.file(TEMPLATES)).toggle.steps[0]?.input;
  const question = { path: '/v1/data/countersign/decision', token: null, body: { input } };
  // It answers with the same status what it has no answer to.
  const { url } = await server.ask({});
  const answer = await askOnce(url, formRequest(question));
  if (!answer.body.includes('"effect":"allow"')) throw new Error(`OPA decided: ${answer.body}`);
  const jobFor = (clients: number) => ({
    ...job(bench, 'fixed', clients),
    requests: [formRequest(question)],
  });
  return { name: OPA, server, jobFor };
}

function memoryOf(sides: readonly Side[]): Promise<string[]> {
  return Promise.all(sides.map(async ({ server }) => megabytes((await server.ask({})).rssBytes)));
}
