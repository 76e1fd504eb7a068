import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openStore } from '../../src/store/database.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-lock-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('a file that one broker serves is refused to a second one, until the first has closed', async () => {
  const file = join(folder, 'one.db');
  const first = await openStore({ file });
  await expect(openStore({ file })).rejects.toThrow('is in use by another broker');
  await first.close();
  const second = await openStore({ file });
  await second.close();
});
