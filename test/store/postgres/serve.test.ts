import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createDatabase } from '../../support/postgres.ts';
import { hasPostgres } from '../../support/postgres-server.ts';
import { listening, serveIn, stop } from '../../support/serving.ts';

const DEMO = fileURLToPath(new URL('../../../policies/examples/demo/bundle.tar.gz', import.meta.url));

describe.skipIf(!hasPostgres('serve on PostgreSQL'))('serve', () => {
  it('starts twice on a database whose address is in a file, and shows no password', async () => {
    const database = await createDatabase();
    const folder = await mkdtemp(join(tmpdir(), 'countersign-serve-'));
    const address = database.address.replace('postgres@', 'postgres:not-shown-7@');
    await writeFile(join(folder, 'address'), `${address}\n`);
    await writeFile(join(folder, 'countersign.yaml'), JSON.stringify({ database_file: 'address' }));
    for (const env of [{ COUNTERSIGN_POLICY_BUNDLE: DEMO }, {}]) {
      const serving = serveIn(folder, { env });
      const url = await listening(serving);
      expect((await fetch(`${url}/readyz`)).status).toBe(200);
      expect(serving.err()).toMatch(/database +opened postgres:\/\/\S+\/test_\w+/);
      await stop(serving);
      expect(serving.err()).not.toContain('not-shown-7');
    }
    expect(await database.run('select count(*)::int as activations from policy_activations')).toEqual([
      { activations: 1 },
    ]);
    await rm(folder, { recursive: true });
    await database.remove();
  }, 180_000);
});
