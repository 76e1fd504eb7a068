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
  it('starts twice at once on a database whose address is in a file, and the one goes on when the other is killed', async () => {
    const database = await createDatabase();
    const folder = await mkdtemp(join(tmpdir(), 'countersign-serve-'));
    const address = database.address.replace('postgres@', 'postgres:not-shown-7@');
    await writeFile(join(folder, 'address'), `${address}\n`);
    await writeFile(join(folder, 'countersign.yaml'), JSON.stringify({ database_file: 'address' }));
    const env = {
      COUNTERSIGN_POLICY_BUNDLE: DEMO,
      COUNTERSIGN_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
    };
    const both = [serveIn(folder, { env }), serveIn(folder, { env })] as const;
    const urls = await Promise.all(both.map(listening));
    for (const [at, url] of urls.entries()) {
      expect((await fetch(`${url}/readyz?for=writes`)).status).toBe(200);
      expect(both[at]?.err()).toMatch(/database +opened postgres:\/\/\S+\/test_\w+/);
      expect(both[at]?.err()).not.toContain('not-shown-7');
    }
    // The same keys: whoever verifies a token asks any of them.
    const keys = await Promise.all(
      urls.map(async (url) => (await fetch(`${url}/.well-known/jwks.json`)).json()),
    );
    expect(keys[0]).toEqual(keys[1]);
    both[0].child.kill('SIGKILL');
    await both[0].exit;
    expect((await fetch(`${urls[1]}/readyz?for=writes`)).status).toBe(200);
    const third = serveIn(folder, { env: { ...env, COUNTERSIGN_POLICY_BUNDLE: undefined } });
    await listening(third);
    expect(await stop(third)).toBe(0);
    expect(await stop(both[1])).toBe(0);
    expect(await database.run('select count(*)::int as activations from policy_activations')).toEqual([
      { activations: 1 },
    ]);
    await rm(folder, { recursive: true });
    await database.remove();
  }, 180_000);
});
