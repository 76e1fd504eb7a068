import { afterAll, beforeAll, describe, it } from 'vitest';
import { hasPatroni, type PatroniCluster, startPatroni } from '../support/patroni.ts';
import { expectNothingLost } from '../support/writing-clients.ts';

/* The set-up of docs/failover.md with Patroni and HAProxy. Takes minutes, so only `make test-cluster` runs it. */

const FAILOVERS = 4;

describe.skipIf(process.env.COUNTERSIGN_TEST_CLUSTER === undefined || !hasPatroni())('under Patroni', () => {
  let cluster: PatroniCluster;

  beforeAll(async () => {
    cluster = await startPatroni();
  }, 240_000);
  afterAll(() => cluster?.close());

  it(`a primary that is killed loses no acknowledged write, nothing is written twice, and flags are served (${FAILOVERS} times)`, async () => {
    const away: string[] = [];
    await expectNothingLost({
      address: cluster.address,
      failovers: FAILOVERS,
      prepare: async () => {
        for (const name of away.splice(0)) cluster.restart(name);
        await cluster.leader();
      },
      fail: async (_, failover) => {
        const name = await cluster.leader();
        // A server that crashes, and a machine that is lost.
        const patroni = failover % 2 === 0;
        await cluster.kill(name, { patroni });
        if (patroni) away.push(name);
      },
    });
  }, 1_200_000);
});
