import { cp, rm } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag, propose } from '../support/flags.ts';

/* A volume that is restored takes every counter back, so no validator may derive from a counter. */

let t: TestBroker;
let copy: string;

beforeEach(async () => {
  t = await startTestBroker();
  copy = `${t.folder}.copy`;
});
afterEach(async () => {
  await t.close();
  await rm(copy, { recursive: true, force: true });
});

/** Keeps a copy of the whole volume; the database is closed meanwhile. */
async function keepCopy(): Promise<void> {
  await t.broker.close();
  await cp(t.folder, copy, { recursive: true });
  await t.restart();
}

async function restoreCopy(): Promise<void> {
  await t.broker.close();
  await rm(t.folder, { recursive: true });
  await cp(copy, t.folder, { recursive: true });
  await t.restart();
}

describe('a strong validator, after an older copy was restored (RFC 9110 8.8.1)', () => {
  it('of all flags does not confirm a flag that was switched off', async () => {
    await createFlag(t, 'killed');
    await createFlag(t, 'other');
    await applyChanges(t, [{ action: 'enable', flag: 'killed' }]);
    const readAll = async (headers: Record<string, string> = {}) => {
      const token = await t.workloadToken('checkout', { audience: 'data:production' });
      return t.call(token, 'POST', '/ofrep/v1/evaluate/flags', { context: {} }, headers);
    };
    await keepCopy();
    await applyChanges(t, [{ action: 'enable', flag: 'other' }]);
    const before = await readAll();
    await restoreCopy();
    await applyChanges(t, [{ action: 'disable', flag: 'killed' }]);
    const after = await readAll({ 'If-None-Match': before.headers.get('etag') ?? '' });
    expect(after.body.metadata).toEqual(before.body.metadata);
    expect(after.status).toBe(200);
    expect(after.body.flags).toContainEqual(expect.objectContaining({ key: 'killed', value: false }));
  });

  it('of a request does not let an edit replace what its author never read', async () => {
    await createFlag(t, 'checkout');
    const { body } = await propose(t, [{ action: 'enable', flag: 'checkout' }]);
    const path = `/v1/requests/${body.id}`;
    const edit = (reason: string, ifMatch: string) =>
      t.call('dana', 'PATCH', path, { reason }, { 'If-Match': ifMatch });
    await keepCopy();
    const lost = await edit('lost', '*');
    await restoreCopy();
    const present = await edit('present', '*');
    expect(present.body.revision).toBe(lost.body.revision);
    const late = await edit('late', lost.headers.get('etag') ?? '');
    expect([late.status, late.body.code]).toEqual([412, 'precondition_failed']);
  });
});
