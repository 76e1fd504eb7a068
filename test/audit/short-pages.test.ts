import { afterAll, beforeAll, expect, it } from 'vitest';
import { append } from '../../src/log/append.ts';
import { openStore } from '../../src/store/database.ts';
import { createTerminal } from '../cli/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { undecidedEntry } from '../support/entries.ts';
import { createFlag } from '../support/flags.ts';

/* A record that few others are like, behind more of them than a page looks at. */

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'first', { tier: 'informational' });
  await t.broker.close();
  const store = await openStore({ file: t.file, clock: t.clock });
  for (let batch = 0; batch < 10; batch += 1) {
    await store.writer.write(async (tx) => {
      for (let count = 0; count < 500; count += 1) await append(tx, await undecidedEntry(tx));
    });
  }
  await store.close();
  await t.restart();
}, 60_000);
afterAll(() => t.close());

it('is on a later page: short ones have a cursor, and only the last has none', async () => {
  const path = '/v1/decisions?operation=request.propose&limit=10';
  const { body: first } = await t.call('avery', 'GET', path);
  expect(first.items).toEqual([]);
  expect(first.next_cursor).toEqual(expect.any(String));
  const found: unknown[] = [];
  let pages = 1;
  for (let cursor: string | null = first.next_cursor; cursor !== null; pages += 1) {
    const { status, body } = await t.call('avery', 'GET', `${path}&cursor=${cursor}`);
    expect(status).toBe(200);
    found.push(...body.items);
    cursor = body.next_cursor;
  }
  expect(found).toMatchObject([{ operation: 'request.propose' }]);
  expect(pages).toBeLessThan(6);
});

it('is found by the command line, which asks on until it has a page', async () => {
  const { code, json, err } = await createTerminal(t).as(
    'avery',
    ...['decisions', '--operation', 'request.propose', '--limit', '10', '--json'],
  );
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(json).toMatchObject({ items: [{ operation: 'request.propose' }], next_cursor: null });
});

it('is none for a name that is not there, which no single page can tell', async () => {
  const { code, json } = await createTerminal(t).as('avery', 'decisions', '--principal', 'dana@x', '--json');
  expect([code, json]).toEqual([0, { items: [], next_cursor: null }]);
});
