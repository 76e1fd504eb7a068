import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ATTEMPTS, type Attempt } from '../../src/http/route.ts';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { type ListedRoute, listRoutes } from '../../src/routes.ts';
import { findContradictions } from '../support/log-oracle.ts';
import { readRecords } from '../support/sqlite/rows.ts';
import { type SurfaceBench, startSurfaceBench } from './bench.ts';
import { EXAMPLES } from './examples.ts';
import { attemptCredential, type Sent, send, validCredential } from './send.ts';

/*
 * The bypass matrix: every call of the list, and everything that somebody can try against it. The list states the
 * outcome of each cell; a call without a stated outcome, or without an example, does not compile.
 */

let bench: SurfaceBench;
beforeAll(async () => {
  bench = await startSurfaceBench();
});
afterAll(async () => {
  expect(await findContradictions(bench.t.file)).toEqual([]);
  await bench.close();
});

const routes = listRoutes(requestKinds);

/** Puts the broker into the state that an attempt is about. @returns what undoes it */
async function arrange(attempt: Attempt): Promise<() => Promise<void> | void> {
  if (attempt === 'frozen') return bench.freeze();
  if (attempt === 'denied') return bench.deny();
  if (attempt === 'unwritable') return bench.breakStore();
  return () => undefined;
}

/** The calls that apply something when nothing is in their way. */
const APPLYING = new Set(['proposeRequest', 'approveRequest', 'applyRequest', 'applyInBreakGlass']);

function outcomeOf(name: string, { status, body }: Sent): string {
  if (status >= 400) return 'refused';
  return APPLYING.has(name) && body?.state !== 'applied' ? 'held' : 'allowed';
}

/** The statuses that a refusal may have: never a fault, and only the broker's own inability where that is tried. */
function refusalsOf({ caller, format }: ListedRoute, attempt: Attempt): number[] {
  if (attempt === 'unwritable') return [503];
  // In these formats, a provider or client learns nothing but that it was refused.
  const open = format === 'oauth' || format === 'logout' || format === 'page';
  if (caller === null) return open ? [400, 401, 403] : [401, 403];
  switch (attempt) {
    case 'no_token':
    case 'garbage':
    case 'wrong_audience':
    case 'no_proof':
      return [401];
    case 'foreign_origin':
      return caller === 'data' ? [401] : [403];
    case 'no_role':
      // A session belongs to another person, or the page takes no token at all.
      return [401, 403, 404];
    default:
      return [403];
  }
}

/** Tables that a held request may change: what is written is the request and its votes. */
const REQUEST_TABLES = ['requests', 'request_flags', 'request_namespaces', 'votes', 'idempotency_keys'];

function without(contents: Record<string, unknown[]>, tables: readonly string[]): Record<string, unknown[]> {
  return Object.fromEntries(Object.entries(contents).filter(([name]) => !tables.includes(name)));
}

describe.each(routes.map((route) => [route.name, route] as const))('%s', (name, route) => {
  const example = EXAMPLES[name];

  it('succeeds when nothing is in its way', async () => {
    const credential = await validCredential(bench, route);
    const sent = await send(bench, route, await example.prepare(bench), credential);
    expect([route.success, ...Object.keys(route.also ?? {}).map(Number)], sent.text).toContain(sent.status);
    if (sent.body?.state === 'applied') expect(APPLYING).toContain(name);
    expect(outcomeOf(name, sent)).toBe('allowed');
  });

  it.each(ATTEMPTS)('%s', async (attempt) => {
    const stated = route.outcomes[attempt];
    const prepared = await example.prepare(bench);
    const changed = (await example.attempt?.(bench, attempt, prepared)) ?? prepared;
    const credential = await attemptCredential(bench, route, { attempt, prepared: changed });
    const undo = await arrange(attempt);
    try {
      const before = bench.contents();
      const records = readRecords(bench.t.file).length;
      const sent = await send(bench, route, changed, credential);
      expect(outcomeOf(name, sent), `${sent.status} ${sent.text.slice(0, 500)}`).toBe(stated);
      const after = bench.contents();
      const isRead = route.method === 'GET' && route.operation !== 'session.open';
      if (stated === 'refused' || isRead) expect(after).toEqual(before);
      if (stated === 'refused') expect(refusalsOf(route, attempt)).toContain(sent.status);
      const recorded = readRecords(bench.t.file).length - records;
      if (stated === 'refused' && attempt === 'denied') expect(recorded).toBeGreaterThan(0);
      if (stated === 'held') expect(without(after, REQUEST_TABLES)).toEqual(without(before, REQUEST_TABLES));
      // Strangers cannot fill the log.
      if (stated === 'refused' && ['no_token', 'garbage'].includes(attempt)) expect(recorded).toBe(0);
    } finally {
      await undo();
    }
  });
});
