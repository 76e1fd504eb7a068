import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { hasPostgres } from './test/support/postgres-server.ts';

/** What both engines promise: these files run on SQLite with all others, and once more on PostgreSQL. */
const ON_BOTH = [
  'test/access/usage.test.ts',
  'test/data/reports.test.ts',
  'test/emergency/freeze.test.ts',
  'test/operator/recover-policy.test.ts',
  'test/requests/{model,propose,races}.test.ts',
  'test/retention/{archive,movers}.test.ts',
  'test/revocation/model.test.ts',
  'test/erasure/on-both.test.ts',
  'test/store/{crash,deferred,inbox-index,writer,run-again}.test.ts',
  'test/tokens/single-use.test.ts',
];

/** Brokers and commands in processes of their own start in half the time, as their modules are compiled once. */
const NODE_COMPILE_CACHE = process.env.NODE_COMPILE_CACHE ?? join(import.meta.dirname, '.cache/node');

const onPostgres = {
  extends: true as const,
  test: { name: 'postgres', include: ON_BOTH, env: { COUNTERSIGN_TEST_ENGINE: 'postgres' } },
};

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // More than there are processors: brokers and commands in processes of their own are waited for, and so are disks.
    maxWorkers: Math.ceil(1.5 * availableParallelism()),
    // The process of the run: what its workers share is named after it, and ends with it.
    env: { COUNTERSIGN_TEST_RUN: String(process.pid), NODE_COMPILE_CACHE },
    projects: [
      { extends: true, test: { name: 'sqlite', include: ['test/**/*.test.ts'] } },
      ...(hasPostgres('the tests of the store on PostgreSQL') ? [onPostgres] : []),
    ],
  },
});
