import { rm } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { startTestBroker } from '../support/broker.ts';
import { createFlag } from '../support/flags.ts';
import { tamper } from '../support/sqlite/evidence.ts';

it('every test replays its decisions at its end, and fails if one comes out another way', async () => {
  const t = await startTestBroker();
  await createFlag(t, 'checkout');
  await t.broker.close();
  tamper(t.file, 'a result is another');
  await t.restart();
  await expect(t.close()).rejects.toThrow('recorded_result');
  // What that left open.
  await t.broker.close();
  await Promise.all([t.people.close(), t.ci.close()]);
  await rm(t.folder, { recursive: true, force: true });
});
