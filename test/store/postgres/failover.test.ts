import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PostgresPair, startPair } from '../../support/postgres-pair.ts';
import { hasPostgres } from '../../support/postgres-server.ts';
import { expectNothingLost, WITHIN } from '../../support/writing-clients.ts';

/*
 * The primary of two PostgreSQL servers is killed while clients write, and its synchronous standby takes its place. `make
 * test-cluster` does it many times.
 */

const FAILOVERS = process.env.COUNTERSIGN_TEST_CLUSTER === undefined ? 1 : 10;

describe.skipIf(!hasPostgres('failover of PostgreSQL'))('a primary that is killed', () => {
  let pair: PostgresPair;

  beforeAll(async () => {
    pair = await startPair();
  });
  afterAll(() => pair.close());

  it(
    `loses no acknowledged write, nothing is written twice, and flags are served (${FAILOVERS} times)`,
    async () => {
      await expectNothingLost({
        address: pair.address,
        failovers: FAILOVERS,
        prepare: async (failover) => {
          if (failover > 1) await pair.addStandby();
        },
        fail: async (t) => {
          await pair.killPrimary();
          pair.switchAddress();
          // A standby takes no writes, and what it shows may be old.
          await expect
            .poll(async () => (await t.call(null, 'GET', '/readyz?for=writes')).status, WITHIN)
            .toBe(503);
          await pair.promote();
        },
      });
    },
    120_000 * FAILOVERS,
  );
});
