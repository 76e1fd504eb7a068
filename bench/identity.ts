import { type Bench, compareAnew, job, measureParts, startFloor } from './bench.ts';
import { startChild } from './child.ts';
import { BASE, startBrokerProcess } from './prepare.ts';
import { BROKER, EXPRESS_FLOOR } from './ratios.ts';
import { COMPARISON } from './table.ts';
import type { VerifyPart, VerifyRun } from './verify.ts';

/** Token exchanges over HTTP, and what verifying a token costs with each request. */
export async function measureIdentity(bench: Bench): Promise<void> {
  await measureExchanges(bench);
  await measureVerification(bench);
}

async function measureExchanges(bench: Bench): Promise<void> {
  const { stage, report } = bench;
  await stage.copyDatabase(BASE, 'exchanges.db');
  const broker = await startBrokerProcess(stage, 'exchanges.db');
  const floor = await startFloor(bench, 'floor-exchanges.db');
  const jobFor = (clients: number) => job(bench, 'exchange', clients);
  report.heading(
    'Token exchanges',
    'One unit is one platform token (RS256), used once, for one Countersign token (EdDSA). The floor verifies, evaluates the same policy, writes the same rows in one batched durable transaction and signs; none of the checks.',
  );
  report.header(COMPARISON);
  await compareAnew(bench, {
    what: 'exchange',
    sides: [
      { name: BROKER, server: broker, jobFor },
      { name: EXPRESS_FLOOR, server: floor, jobFor },
    ],
    sign: () => stage.ci.token(),
  });
  await Promise.all([broker.end(), floor.end()]);
}

async function measureVerification(bench: Bench): Promise<void> {
  const child = await startChild<VerifyRun, number>('verify.ts');
  bench.report.heading(
    'Who is calling, in process',
    'From the Authorization header to the principal, one after the other: a token of a person (ES256) and one of the broker’s own (EdDSA), verified for the first time or remembered. The floors are one hash of the token, and jose’s verification alone.',
  );
  const parts: Record<VerifyPart, string> = {
    person_anew: 'person, verified for the first time',
    person_floor: 'floor: jose, ES256',
    workload_anew: 'workload, verified for the first time',
    workload_floor: 'floor: jose, EdDSA',
    person_cached: 'person, remembered',
    workload_cached: 'workload, remembered',
    hash_floor: 'floor: SHA-256 of the token',
    bound_cached: 'workload, remembered, with a DPoP proof',
    proof_floor: 'floor: jose, the proof (ES256)',
  };
  await measureParts(bench, child, parts);
  await child.end();
}
