import { afterEach, beforeEach, expect, it } from 'vitest';
import { createUsage, type Usage } from '../../src/access/usage.ts';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { listGrantUses, listPrincipals } from '../../src/store/principals.ts';
import type { Store } from '../../src/store/store.ts';
import { personOf } from '../support/local-control.ts';
import { createPlace, type Place } from '../support/place.ts';

let place: Place;
let store: Store;
let nowMs: number;
let writes: number;
let usage: Usage;

const dana = personOf('dana', ['payments-developers']);
const propose = { principal: dana, operation: 'request.propose', environment: 'production' } as const;

beforeEach(async () => {
  place = await createPlace();
  store = await openStore({ file: place.database, clock: systemClock });
  nowMs = 1_000_000;
  writes = 0;
  usage = createUsage({
    clock: () => nowMs,
    writer: {
      write: (work) => {
        writes += 1;
        return store.writer.write(work);
      },
    },
  });
});
afterEach(async () => {
  await store.close();
  await place.remove();
});

it('keeps who was seen, first and last, with their newest groups', async () => {
  usage.seen(dana);
  await usage.flush();
  nowMs += 5_000;
  usage.seen({ ...dana, groups: ['payments-approvers'] });
  await usage.flush();
  const [row, ...others] = await listPrincipals(store.read);
  expect(others).toEqual([]);
  expect(row).toMatchObject({ id: dana.id, first_seen_ms: 1_000_000, last_seen_ms: 1_005_000 });
  expect(JSON.parse(row?.principal ?? '')).toMatchObject({ groups: ['payments-approvers'] });
});

it('keeps what the newest credential says, though one of before is used within the same minute', async () => {
  const issued = (issued_ms: number, ...groups: string[]) => ({
    ...dana,
    groups,
    token: { ...dana.token, issued_ms },
  });
  for (const used of [issued(1_000, 'b'), issued(3_000, 'b'), issued(2_000, 'a')]) {
    usage.seen(used);
    await usage.flush();
  }
  const [row] = await listPrincipals(store.read);
  expect(JSON.parse(row?.principal ?? '')).toMatchObject({ groups: ['b'], token: { issued_ms: 3_000 } });
});

it('keeps the last use of a capability in each place', async () => {
  usage.used({ ...propose, namespaces: ['payments', 'search'] });
  usage.used({ ...propose, operation: 'decision.read', environment: null, namespaces: [] });
  usage.used({ ...propose, operation: 'session.open', namespaces: [] });
  await usage.flush();
  nowMs += 90_000;
  usage.used({ ...propose, operation: 'request.edit', namespaces: ['payments'] });
  await usage.flush();
  const uses = (await listGrantUses(store.read)).map(
    ({ capability, environment, namespace, last_ms }) =>
      `${capability} ${environment} ${namespace} ${last_ms}`,
  );
  expect(uses.sort()).toEqual([
    'propose production payments 1090000',
    'propose production search 1000000',
    'read * * 1000000',
  ]);
});

it('writes nothing while nothing happens, and what happens often once a minute', async () => {
  await usage.flush();
  expect(writes).toBe(0);
  for (let second = 0; second < 120; second += 1) {
    usage.seen(dana);
    usage.used({ ...propose, namespaces: ['payments'] });
    await usage.flush();
    nowMs += 1_000;
  }
  expect(writes).toBe(2);
});

it('loses nothing of a failed write except what the next use records again', async () => {
  usage.used({ ...propose, namespaces: ['payments'] });
  await store.close();
  await expect(usage.flush()).rejects.toThrow();
  store = await openStore({ file: place.database, clock: systemClock });
  usage.used({ ...propose, namespaces: ['payments'] });
  await usage.flush();
  expect(await listGrantUses(store.read)).toHaveLength(1);
});
