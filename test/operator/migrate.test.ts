import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { runAlone } from '../cli/alone.ts';
import { migrateToTheFuture } from '../support/sqlite/file.ts';
import { formerDatabase } from '../support/sqlite/former.ts';

/* `countersign migrate` on a file; test/store/postgres/roles.test.ts has it on a server. */

let folder: string;
let file: string;
const migrate = (...words: string[]) => runAlone(['migrate', '--json', '--database', file, ...words]);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-migrate-'));
  file = join(folder, 'countersign.db');
});
afterEach(() => rm(folder, { recursive: true }));

describe('migrate, on a file', () => {
  it('applies what is missing, and then nothing', async () => {
    await writeFile(file, formerDatabase());
    const first = await migrate();
    expect(first.json.applied.length).toBeGreaterThan(10);
    expect((await migrate()).json).toEqual({ database: file, applied: [], granted: [] });
    await (await openStore({ file, clock: systemClock })).close();
  });

  it('is refused while a broker uses it, and says so', async () => {
    const store = await openStore({ file, clock: systemClock });
    expect((await migrate()).json).toMatchObject({
      code: 'migrate_failed',
      detail: expect.stringContaining('is in use by another broker'),
    });
    await store.close();
  });

  it('that is missing, newer or given a role is refused', async () => {
    expect((await migrate()).json.detail).toContain('does not exist');
    await (await openStore({ file, clock: systemClock })).close();
    expect((await migrate('--grant-to', 'x')).json.detail).toContain('which has no roles');
    migrateToTheFuture(file);
    expect((await migrate()).json.detail).toContain('is newer than this broker');
  });
});
