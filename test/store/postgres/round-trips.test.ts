import { expect, it } from 'vitest';
import { hasPostgres } from '../../support/postgres-server.ts';
import { countRoundTrips } from '../../support/round-trips.ts';

it.skipIf(!hasPostgres('round trips of a write'))(
  'a write takes no more round trips to a PostgreSQL server than are written down',
  async () => {
    const { 'toggle with others': together, ...alone } = await countRoundTrips();
    // One asks whether the caller is revoked. Then: the lock and what nearly all writes read, the savepoint and the flag, all that
    // is written, the commit.
    expect(alone).toEqual({ toggle: 5, propose: 5, approve: 7, apply: 7 });
    // The caller and the flag; the rest is shared.
    expect(together).toBeGreaterThan(2);
    expect(together).toBeLessThan(3);
  },
  120_000,
);
