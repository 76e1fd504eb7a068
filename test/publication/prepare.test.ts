import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createPreparation } from '../../src/publication/prepare.ts';
import { openStore } from '../../src/store/database.ts';
import { writeDefinition } from '../../src/store/flags.ts';
import type { Store } from '../../src/store/store.ts';
import { sampleDefinition } from '../flags/samples.ts';
import { turnsDuring } from '../support/turns.ts';

/* Preparing the snapshot of many flags, on the loop that answers evaluations. */

const AT_MS = 1_795_000_000_000;
let folder: string;
let store: Store;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-prepare-'));
  store = await openStore({ file: join(folder, 'flags.db'), clock: () => AT_MS });
  await store.writer.write(async (tx) => {
    for (let number = 0; number < 400; number += 1) {
      const flag = sampleDefinition({ key: `flag-${number}` });
      const { key, namespace } = flag;
      const row = { key, namespace, version: 1, retired: 0, definition: JSON.stringify(flag) };
      await writeDefinition(tx, row, { request_id: 'none', decision_id: 'none', at_ms: AT_MS });
    }
  });
});
afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

it('lets other work go on between flags, also when none has changed', async () => {
  const prepare = createPreparation(store.read);
  for (const _ of ['new', 'known'])
    expect(await turnsDuring(() => prepare('production'))).toBeGreaterThanOrEqual(4);
});

it('fails for what no reader would take', async () => {
  const { body } = await createPreparation(store.read)('production');
  const maxBytes = Buffer.byteLength(body);
  expect((await createPreparation(store.read, { maxBytes })('production')).body).toBe(body);
  await expect(createPreparation(store.read, { maxBytes: maxBytes - 1 })('production')).rejects.toThrow(
    `would have ${maxBytes} bytes`,
  );
});
