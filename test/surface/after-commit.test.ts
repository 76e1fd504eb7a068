import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RouteShape } from '../../src/http/route.ts';
import { OPERATIONS } from '../../src/operations.ts';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { type ListedRoute, listRoutes, type RouteName } from '../../src/routes.ts';
import { type FailingReads, takeOverReads } from '../support/sqlite/failing-reads.ts';
import { type SurfaceBench, startSurfaceBench } from './bench.ts';
import { EXAMPLES } from './examples.ts';
import { type Sent, send, validCredential } from './send.ts';

/*
 * What was committed is answered as such. Once a write has committed, its answer needs nothing more from the store: for
 * every call of the list that writes, every read after its first commit fails here.
 */

let bench: SurfaceBench;
let reads: FailingReads;
beforeAll(async () => {
  bench = await startSurfaceBench();
  reads = takeOverReads(bench.t.file, bench.t.broker.store);
});
afterAll(async () => {
  await bench.close();
  reads.close();
});

/** Recorded reads, such as `GET /v1/decisions`, change nothing: they read what they answer after their record. */
function changesSomething({ operation }: Pick<RouteShape, 'operation'>): boolean {
  return operation === null || [operation].flat().some((name) => OPERATIONS[name].changes !== 'nothing');
}

const recorded = listRoutes(requestKinds).filter(({ outcomes }) => outcomes.unwritable === 'refused');
const writing = recorded.filter(changesSomething);
const reading = recorded.filter((route) => !changesSomething(route));

/** Makes one call whose reads fail once something is committed. */
async function callWithFailingReads(name: RouteName, route: ListedRoute): Promise<Sent> {
  const prepared = await EXAMPLES[name].prepare(bench);
  const credential = await validCredential(bench, route);
  reads.failAfterCommit();
  try {
    const sent = await send(bench, route, prepared, credential);
    expect([name, reads.committed()]).toEqual([name, true]);
    return sent;
  } finally {
    reads.heal();
  }
}

describe('a committed change is answered as committed, whatever fails afterwards', () => {
  it.each(writing.map((route) => [route.name, route] as const))('%s', async (name, route) => {
    const { status, text } = await callWithFailingReads(name, route);
    expect([route.success, ...Object.keys(route.also ?? {}).map(Number)], text).toContain(status);
  });
});

describe('a fault after a commit claims nothing about what was written', () => {
  it.each(reading.map((route) => [route.name, route] as const))('%s', async (name, route) => {
    const { status, text } = await callWithFailingReads(name, route);
    if (status < 500) return;
    expect(text).not.toMatch(/(nothing|not|undone)[^.]* (written|recorded|changed|done)/i);
    if (route.format === 'problem') expect(text).toContain('unknown');
  });

  it('and there is such a fault', async () => {
    const failed = [];
    for (const route of reading) failed.push((await callWithFailingReads(route.name, route)).status);
    expect(failed).toContain(500);
  });
});
