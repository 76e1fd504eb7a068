import { decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bodyDigest, bodyFile, openBody } from '../../src/snapshot/body.ts';
import { openLatest } from '../../src/snapshot/latest.ts';
import type { NoteVerifier } from '../../src/tree/note.ts';
import { exchange, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag, readFlag } from '../support/flags.ts';
import { canonical } from '../support/log-oracle.ts';
import { fetchSnapshot, logKeyOf, readerToken, startPublishingBroker } from '../support/snapshots.ts';
import { alterLog, readLeaves } from '../support/sqlite/log.ts';
import { refuseInserts } from '../support/sqlite/rows.ts';

/* Snapshots from the commit that changes a flag to what a relay has verified. */

let t: TestBroker;
let token: string;

beforeAll(async () => {
  t = await startPublishingBroker();
  await createFlag(t, 'shown', { tier: 'informational' });
  await createFlag(t, 'gone', { tier: 'informational' });
  token = await readerToken(t);
});
afterAll(() => t.close());

const publications = () => readLeaves(t.file).filter(({ leaf }) => JSON.parse(leaf).snapshot !== undefined);

/** Reads and verifies what is published. */
async function readPublished() {
  const { bytes } = await fetchSnapshot(t, token, 'latest.json');
  const expected = { keys: [await logKeyOf(t)], environment: 'production', nowMs: t.clock() };
  const pointer = await openLatest(bytes, expected);
  const { bytes: body } = await fetchSnapshot(t, token, bodyFile(pointer));
  return { pointer, body: openBody(body, pointer), text: body.toString() };
}

describe('a snapshot', () => {
  it('is not there before it is published, which is no final answer', async () => {
    const { status, headers, bytes } = await fetchSnapshot(t, token, 'latest.json');
    expect([status, headers.get('retry-after')]).toEqual([503, '1']);
    expect(JSON.parse(bytes.toString())).toMatchObject({ code: 'snapshot_unavailable' });
    expect(publications()).toEqual([]);
  });

  it('holds what evaluation needs, as the log says it, signed and proved', async () => {
    await applyChanges(t, [{ action: 'enable', flag: 'shown' }]);
    await applyChanges(t, [{ action: 'retire', flag: 'gone' }]);
    const before = readLeaves(t.file).length;
    await t.broker.scheduler.tick();
    const { pointer, body, text } = await readPublished();
    const { states, definition_version: _, ...definition } = await readFlag(t, 'shown');
    const { version, ...state } = states.production;
    expect(body.flags).toEqual([{ definition, state, version }]);
    expect(text).toBe(canonical(JSON.parse(text)));
    expect(pointer).toMatchObject({
      digest: bodyDigest(text),
      epoch: 1,
      previous: null,
      size: before,
      version: body.version,
    });
    expect(pointer.exp - pointer.iat).toBe(300);
    const [published, ...others] = publications();
    expect(others).toEqual([]);
    expect(published?.place).toBe(pointer.place);
    const { digest } = pointer;
    expect(JSON.parse(published?.leaf ?? '')).toMatchObject({
      operation: 'snapshot.publish',
      snapshot: { digest, environment: 'production', size: before, version: body.version },
    });
  });

  it('is published once, and an idle broker does not fill its log', async () => {
    const size = readLeaves(t.file).length;
    for (let turn = 0; turn < 3; turn += 1) {
      t.clock.advance(1000);
      await t.broker.scheduler.tick();
    }
    expect(readLeaves(t.file)).toHaveLength(size);
  });

  it('follows the one before it', async () => {
    const former = await readPublished();
    await applyChanges(t, [{ action: 'disable', flag: 'shown' }]);
    await t.broker.scheduler.tick();
    const { pointer } = await readPublished();
    expect(pointer.version).toBeGreaterThan(former.pointer.version);
    expect(pointer.previous).toBe(former.pointer.digest);
    // Whoever had the former pointer still gets its body.
    expect((await fetchSnapshot(t, token, bodyFile(former.pointer))).bytes.toString()).toBe(former.text);
  });

  it('is signed again at half of its life without a new record', async () => {
    const size = readLeaves(t.file).length;
    const first = await fetchSnapshot(t, token, 'latest.json');
    t.clock.advance(149_000);
    expect((await fetchSnapshot(t, token, 'latest.json')).bytes).toEqual(first.bytes);
    t.clock.advance(1000);
    const again = await readPublished();
    expect(again.pointer.exp).toBe(Math.floor(t.clock() / 1000) + 300);
    expect(readLeaves(t.file)).toHaveLength(size);
  });

  it('is published at once while the scheduler runs, and no change waits for it', async () => {
    t.broker.scheduler.start();
    const { version } = (await readPublished()).pointer;
    for (const action of ['enable', 'disable', 'enable']) await applyChanges(t, [{ action, flag: 'shown' }]);
    await expect
      .poll(async () => (await readPublished()).pointer.version, { interval: 20, timeout: 10_000 })
      .toBe(version + 3);
    await t.broker.scheduler.stop();
  });
});

describe('who reads snapshots', () => {
  it('gets a strong tag, and 304 for it', async () => {
    for (const file of ['latest.json', bodyFile((await readPublished()).pointer)]) {
      const { headers } = await fetchSnapshot(t, token, file);
      const tag = headers.get('etag') ?? '';
      expect(tag).toMatch(/^"[0-9a-f]{64}"$/);
      const unchanged = await fetchSnapshot(t, token, file, { 'if-none-match': tag });
      expect([unchanged.status, unchanged.bytes.length]).toEqual([304, 0]);
      expect(headers.get('cache-control')).toContain(file === 'latest.json' ? 'max-age=1' : 'immutable');
    }
  });

  it('has a token for that environment, and for all its namespaces', async () => {
    const staging = await readerToken(t, 'data:staging');
    expect((await fetchSnapshot(t, staging, 'latest.json')).status).toBe(404);
    const control = await t.workloadToken('payments');
    expect((await fetchSnapshot(t, control, 'latest.json')).status).toBe(401);
    const subject_token_type = 'urn:ietf:params:oauth:token-type:id_token';
    const form = { audience: 'data:production', subject_token_type };
    const { body } = await exchange(t.url, await t.people.idToken('dana'), form);
    const narrow = await fetchSnapshot(t, body.access_token, 'latest.json');
    expect([narrow.status, JSON.parse(narrow.bytes.toString()).code]).toEqual([
      403,
      'all_namespaces_required',
    ]);
  });

  it('finds nothing under any other name', async () => {
    const { pointer } = await readPublished();
    const names = [
      '0-x.json',
      `${bodyFile(pointer)}x`,
      `9${bodyFile(pointer)}`,
      bodyFile({ ...pointer, digest: `sha256:${'0'.repeat(64)}` }),
    ];
    for (const name of names)
      for (const headers of [{}, { 'if-none-match': '*' }])
        expect((await fetchSnapshot(t, token, name, headers)).status, name).toBe(404);
  });

  it('tells a pointer from every other signed text', async () => {
    const { bytes } = await fetchSnapshot(t, token, 'latest.json');
    const [jws] = JSON.parse(bytes.toString()).pointers;
    expect(decodeProtectedHeader(jws)).toEqual({
      alg: 'EdDSA',
      kid: expect.stringMatching(/^flags\.example\/log\/[0-9a-f]{8}\/1\+[0-9a-f]{8}$/),
      typ: 'countersign-snapshot+jwt',
    });
  });
});

describe('publishing', () => {
  it('goes on where it ended: after a restart, and after writes were refused', async () => {
    await applyChanges(t, [{ action: 'disable', flag: 'shown' }]);
    const { pointer: before } = await readPublished();
    await t.restart();
    // Nothing was published meanwhile, and what was is still there.
    expect((await readPublished()).pointer.digest).toBe(before.digest);
    const heal = refuseInserts(t.file, 'records');
    await t.broker.scheduler.tick();
    heal();
    expect(publications().filter(({ place }) => place > before.place)).toEqual([]);
    await t.broker.scheduler.tick();
    const { pointer } = await readPublished();
    expect([pointer.version, pointer.previous]).toEqual([before.version + 1, before.digest]);
  });

  it('signs nothing as the newest that is not, however long publication fails, and says so', async () => {
    const latest = async () => (await fetchSnapshot(t, await readerToken(t), 'latest.json')).bytes;
    const warnings = async () => (await t.call(null, 'GET', '/readyz')).body.warnings;
    const { pointer: before } = await readPublished();
    const heal = refuseInserts(t.file, 'snapshots');
    await applyChanges(t, [{ action: 'enable', flag: 'shown' }]);
    await t.broker.scheduler.tick();
    const lastMs = t.clock() + 300_000;
    expect(await warnings()).toBeUndefined();
    t.clock.advance(160_000);
    await t.broker.scheduler.tick();
    expect(await warnings()).toMatchObject([{ code: 'snapshots_late' }]);
    const keys = [await logKeyOf(t)];
    const open = async (bytes: Buffer) =>
      openLatest(bytes, { keys, environment: 'production', nowMs: t.clock() });
    const kept = await latest();
    expect((await open(kept)).exp).toBeLessThanOrEqual(lastMs / 1000);
    t.clock.advance(60_000);
    expect(await latest()).toEqual(kept);
    t.clock.advance(80_000);
    await expect(open(await latest())).rejects.toMatchObject({ code: 'expired' });
    // One that has signed nothing has nothing to show, but at first does not know since when.
    await t.restart();
    await t.broker.scheduler.tick();
    t.clock.advance(299_000);
    expect((await open(await latest())).exp).toBe(Math.floor(t.clock() / 1000) + 1);
    await t.restart();
    await t.broker.scheduler.tick();
    t.clock.advance(300_000);
    expect((await fetchSnapshot(t, await readerToken(t), 'latest.json')).status).toBe(503);
    heal();
    await t.broker.scheduler.tick();
    token = await readerToken(t);
    const { pointer } = await readPublished();
    expect([pointer.version, pointer.exp]).toEqual([before.version + 1, Math.floor(t.clock() / 1000) + 300]);
    expect(await warnings()).toBeUndefined();
    await applyChanges(t, [{ action: 'disable', flag: 'shown' }]);
  });

  it('keeps the bodies of the newest versions alone', async () => {
    const first = bodyFile((await readPublished()).pointer);
    for (let turn = 0; turn < 8; turn += 1) {
      const action = turn % 2 === 0 ? 'enable' : 'disable';
      await applyChanges(t, [{ action, flag: 'shown' }]);
      await t.broker.scheduler.tick();
    }
    expect((await fetchSnapshot(t, token, first)).status).toBe(404);
    expect((await readPublished()).body.flags).toHaveLength(1);
  });

  it('is signed by both keys while a rotation of the log overlaps, and at once', async () => {
    const former = await logKeyOf(t);
    const order = { overlap_days: 1 };
    expect((await t.call('morgan', 'POST', '/v1/log/keys/rotate', order)).status).toBeLessThan(300);
    t.clock.advance(1001);
    const next = await logKeyOf(t);
    expect(next.vkey).not.toBe(former.vkey);
    const { bytes } = await fetchSnapshot(t, token, 'latest.json');
    for (const key of [former, next])
      expect(
        (await openLatest(bytes, { keys: [key], environment: 'production', nowMs: t.clock() })).epoch,
      ).toBe(1);
    expect(JSON.parse(bytes.toString()).pointers).toHaveLength(2);
    // A key that others may know signs nothing more, from that moment on.
    await t.call('morgan', 'POST', '/v1/log/keys/rotate', { overlap_days: 0 });
    const at = await fetchSnapshot(t, token, 'latest.json');
    const open = (keys: NoteVerifier[]) =>
      openLatest(at.bytes, { keys, environment: 'production', nowMs: t.clock() });
    await expect(open([next])).rejects.toMatchObject({ code: 'unknown_key' });
    t.clock.advance(1001);
    expect((await open([await logKeyOf(t)])).epoch).toBe(1);
  });

  it('signs nothing more once the log was found to be altered, though its checkpoint was signed before', async () => {
    await t.broker.scheduler.tick();
    token = await readerToken(t);
    await readPublished();
    await t.beforeForging();
    alterLog(t.file, 'update log_head set frontier = upper(frontier)');
    t.clock.advance(10_000);
    await t.broker.scheduler.tick();
    t.clock.advance(150_000);
    const { status, bytes } = await fetchSnapshot(t, token, 'latest.json');
    expect([status, JSON.parse(bytes.toString()).code]).toEqual([503, 'log_altered']);
  });
});

it('an environment that cannot be published keeps no other one back', async () => {
  const wide = await startPublishingBroker({ snapshots: { environments: ['production', 'staging'] } });
  const published = () =>
    readLeaves(wide.file).flatMap(({ leaf }) => JSON.parse(leaf).snapshot?.environment ?? []);
  for (const [failing, other] of [
    ['production', 'staging'],
    ['staging', 'production'],
  ] as const) {
    const before = published().length;
    const heal = refuseInserts(wide.file, 'snapshots', { environment: failing });
    await createFlag(wide, `of.${failing}`, { tier: 'informational' });
    await wide.broker.scheduler.tick();
    expect(published().slice(before)).toEqual([other]);
    heal();
    await wide.broker.scheduler.tick();
    expect(published().slice(before)).toEqual([other, failing]);
  }
  await wide.close();
});
