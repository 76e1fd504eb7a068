import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestBroker } from '../support/broker.ts';
import { applyChanges, createFlag, propose } from '../support/flags.ts';
import { findContradictions } from '../support/log-oracle.ts';
import { TAMPERING_NAMES, tamper } from '../support/sqlite/evidence.ts';

/* The judge of the log, judged: it finds what somebody has done to a file that was sound. */

let folder: string;
let sound: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-oracle-'));
  sound = join(folder, 'sound.db');
  const t = await startTestBroker();
  await createFlag(t, 'judged');
  await applyChanges(t, [{ action: 'enable', flag: 'judged' }]);
  await propose(t, [{ action: 'disable', flag: 'judged' }], { apply: 'manual' });
  // More records than a complete tile has.
  await Promise.all(Array.from({ length: 260 }, () => t.call('avery', 'GET', '/v1/decisions?limit=1')));
  await t.broker.close();
  await copyFile(t.file, sound);
  await rm(t.folder, { recursive: true, force: true });
  await Promise.all([t.people.close(), t.ci.close()]);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

it('reports nothing for an untouched file', async () => {
  expect(await findContradictions(sound)).toEqual([]);
});

it.each(TAMPERING_NAMES)('finds that %s', async (how) => {
  const file = join(folder, `${how}.db`);
  await copyFile(sound, file);
  tamper(file, how);
  expect(await findContradictions(file)).not.toEqual([]);
});
