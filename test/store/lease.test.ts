import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { type Lease, openLease } from '../../src/store/lease.ts';
import type { Store } from '../../src/store/store.ts';

let folder: string;
let store: Store;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-lease-'));
  store = await openStore({ file: join(folder, 'lease.db'), clock: systemClock });
});

afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

/** A broker whose clock counts from a moment of its own. */
function broker(): { lease: Lease; passS(seconds: number): void } {
  let nowMs = Math.random() * 1e9;
  return {
    lease: openLease({ ...store, nowMs: () => nowMs }),
    passS: (seconds) => {
      nowMs += seconds * 1000;
    },
  };
}

describe('the scheduled work', () => {
  it('has the holder who came first, as long as it is renewed, and the next one at once when it is left', async () => {
    const [one, other] = [broker(), broker()];
    expect([await one.lease.holds(), await other.lease.holds()]).toEqual([true, false]);
    for (let second = 0; second < 60; second += 1) {
      one.passS(1);
      other.passS(1);
      expect([await one.lease.holds(), await other.lease.holds()]).toEqual([true, false]);
    }
    await one.lease.release();
    expect([await other.lease.holds(), await one.lease.holds()]).toEqual([true, false]);
    await other.lease.release();
  });

  it('stays with its holder, however many pieces of work ask for it at once', async () => {
    const [one, other] = [broker(), broker()];
    for (let turn = 0; turn < 5; turn += 1) {
      const asked = await Promise.all([one, one, one].map(({ lease }) => lease.holds()));
      expect([...asked, await other.lease.holds()]).toEqual([true, true, true, false]);
      // It is renewed, and not yet free.
      one.passS(5);
      other.passS(5);
    }
    await one.lease.release();
  });

  it('passes to another after the time in which its holder did nothing, who then knows', async () => {
    const [one, other] = [broker(), broker()];
    expect([await one.lease.holds(), await other.lease.holds()]).toEqual([true, false]);
    other.passS(14.9);
    expect(await other.lease.holds()).toBe(false);
    other.passS(0.2);
    expect(await other.lease.holds()).toBe(true);
    // It was paused all the time, and wakes.
    one.passS(15.1);
    expect(await one.lease.holds()).toBe(false);
    // Releasing what it no longer has takes nothing from the other.
    await one.lease.release();
    other.passS(4);
    expect([await other.lease.holds(), await one.lease.holds()]).toEqual([true, false]);
    await other.lease.release();
  });

  it('is taken by one of many who find it free at the same moment', async () => {
    const all = Array.from({ length: 8 }, broker);
    const held = await Promise.all(all.map(({ lease }) => lease.holds()));
    expect(held.filter(Boolean)).toHaveLength(1);
  });
});
