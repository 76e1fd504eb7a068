import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeProtectedHeader } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import type { ControlDeps } from '../../src/decide/control.ts';
import { write } from '../../src/decide/write.ts';
import { revokeKey, rotateDueKey, rotateKey, storedSigningKeys } from '../../src/keys/rotation.ts';
import {
  createSigningKeys,
  RETIREMENT_OVERLAP_MS,
  type SigningKeys,
  type StoredKey,
} from '../../src/keys/signing-keys.ts';
import { schedulerPrincipal } from '../../src/principal.ts';
import { listSigningKeys } from '../../src/store/signing-keys.ts';
import { masterKey } from '../identity/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { readFixtureBundle } from '../support/bundles.ts';
import { openControl } from '../support/local-control.ts';
import { readRecords, refuseInserts } from '../support/sqlite/rows.ts';
import { privateParts } from '../support/sqlite/secrets.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const HOUR_MS = 60 * 60 * 1000;
const PUBLIC_URL = { public_url: 'https://countersign.example' };

let t: TestBroker | null = null;
let close: (() => Promise<void>) | null = null;

afterEach(async () => {
  await t?.close();
  await close?.();
  t = null;
  close = null;
});

async function start(options: Parameters<typeof startTestBroker>[0] = {}): Promise<TestBroker> {
  t = await startTestBroker({ ...options, config: { ...PUBLIC_URL, ...options.config } });
  return t;
}

async function published(broker: TestBroker): Promise<string[]> {
  const { body } = await broker.call(null, 'GET', '/.well-known/jwks.json');
  return body.keys.map(({ kid }: { kid: string }) => kid);
}

/** The records of rotations, newest first. */
async function rotations(broker: TestBroker): Promise<{ effect: string; principal: string }[]> {
  const { body } = await broker.call('avery', 'GET', '/v1/decisions?limit=200');
  return body.items
    .filter(({ operation }: { operation: string }) => operation === 'key.rotate')
    .map(({ outcome, principal }: { outcome: { effect: string }; principal: { id: string } }) => ({
      effect: outcome.effect,
      principal: principal.id,
    }));
}

function kidOf(token: string): string {
  return decodeProtectedHeader(token).kid ?? '';
}

describe('a rotation on demand', () => {
  it('signs with a new key at once, keeps the former for the overlap, and drops its private part', async () => {
    const broker = await start();
    const token = await broker.workloadToken();
    broker.clock.advance(1);
    const { status, body } = await broker.call('morgan', 'POST', '/v1/keys/rotate');
    expect(status).toBe(201);
    expect(kidOf(await broker.workloadToken())).toBe(body.kid);
    expect(await published(broker)).toEqual([kidOf(token), body.kid]);
    expect((await broker.call(token, 'GET', '/v1/requests')).status).toBe(200);
    const parts = privateParts(broker.file);
    expect(parts[kidOf(token)]).toBe('');
    expect(parts[body.kid]?.split('.')).toHaveLength(5);
    broker.clock.advance(RETIREMENT_OVERLAP_MS - 1);
    expect(await published(broker)).toEqual([kidOf(token), body.kid]);
    broker.clock.advance(1);
    expect(await published(broker)).toEqual([body.kid]);
    const list = await broker.call('avery', 'GET', '/v1/keys');
    expect(list.body.items).toMatchObject([
      { kid: body.kid, state: 'active', retires_ms: null },
      { kid: kidOf(token), state: 'retired', retires_ms: broker.clock() },
    ]);
    expect(Object.keys(list.body.items[0]).sort()).toEqual(['created_ms', 'kid', 'retires_ms', 'state']);
  });

  it('is recorded with what it did or not at all: a record or a key that cannot be written undoes both', async () => {
    const broker = await start();
    const before = await published(broker);
    for (const subject of ['records', 'signingKeys'] as const) {
      const heal = refuseInserts(broker.file, subject);
      const { body } = await broker.call('morgan', 'POST', '/v1/keys/rotate');
      expect(body.code).toBe('not_recorded');
      heal();
      expect(await published(broker)).toEqual(before);
      expect(await rotations(broker)).toEqual([]);
    }
    expect(kidOf(await broker.workloadToken())).toBe(before[0]);
  });

  it('is refused to those who may not, recorded, and changes nothing', async () => {
    const broker = await start();
    const before = await published(broker);
    for (const who of ['dana', 'riley+mfa', 'avery']) {
      expect((await broker.call(who, 'POST', '/v1/keys/rotate')).status).toBe(403);
    }
    expect((await broker.call(await broker.workloadToken(), 'POST', '/v1/keys/rotate')).status).toBe(403);
    expect(await published(broker)).toEqual(before);
    expect((await rotations(broker)).map(({ effect }) => effect)).toEqual(['deny', 'deny', 'deny', 'deny']);
  });

  it('happens once for one Idempotency-Key', async () => {
    const broker = await start();
    const headers = { 'Idempotency-Key': randomUUID() };
    const rotate = () => broker.call('morgan', 'POST', '/v1/keys/rotate', undefined, headers);
    const answers = await Promise.all([rotate(), rotate(), rotate()]);
    expect(new Set(answers.map(({ body }) => body.kid)).size).toBe(1);
    expect(await published(broker)).toHaveLength(2);
  });
});

describe('GET /v1/keys', () => {
  it('is for auditors and those who keep the policy, page by page', async () => {
    const broker = await start();
    for (let turn = 0; turn < 4; turn += 1) {
      broker.clock.advance(1000);
      await broker.call('morgan', 'POST', '/v1/keys/rotate');
    }
    const seen: string[] = [];
    let path = '/v1/keys?limit=2';
    for (let page = 0; page < 3; page += 1) {
      const { body } = await broker.call('morgan', 'GET', path);
      seen.push(...body.items.map(({ kid }: { kid: string }) => kid));
      path = `/v1/keys?limit=2&cursor=${body.next_cursor}`;
      if (page === 2) expect(body.next_cursor).toBeNull();
    }
    expect(seen).toEqual((await published(broker)).toReversed());
    expect((await broker.call('dana', 'GET', '/v1/keys')).status).toBe(403);
    expect((await broker.call(null, 'GET', '/v1/keys')).status).toBe(401);
    expect((await broker.call('avery', 'GET', '/v1/keys?state=active')).status).toBe(400);
  });
});

describe('a rotation on schedule', () => {
  it('happens when the active key is as old as it may be, and not before, with the record of it', async () => {
    const broker = await start();
    const first = await published(broker);
    await broker.broker.scheduler.tick();
    broker.clock.advance(30 * DAY_MS - 1);
    await broker.broker.scheduler.tick();
    expect(await published(broker)).toEqual(first);
    broker.clock.advance(HOUR_MS);
    await broker.broker.scheduler.tick();
    await broker.broker.scheduler.tick();
    const now = await published(broker);
    expect(now).toHaveLength(2);
    expect(await rotations(broker)).toEqual([{ effect: 'allow', principal: schedulerPrincipal.id }]);
    expect(kidOf(await broker.workloadToken())).toBe(now[1]);
  });

  it('never happens with 0 days', async () => {
    const broker = await start({ config: { signing_key_days: 0 } });
    broker.clock.advance(3000 * DAY_MS);
    await broker.broker.scheduler.tick();
    expect(await published(broker)).toHaveLength(1);
  });

  it('does not happen when policy denies it; that is recorded, and tried again an hour later only', async () => {
    const broker = await start({
      editData: (data) => {
        const edited = structuredClone(data) as {
          config: { operations: Record<string, { roles: Record<string, string[]> }> };
        };
        const rule = edited.config.operations['key.rotate'];
        if (rule === undefined) throw new Error('the policy has no rule for key.rotate');
        rule.roles = { any: ['policy-maintainer'] };
        return edited;
      },
    });
    const first = await published(broker);
    broker.clock.advance(31 * DAY_MS);
    for (let tick = 0; tick < 5; tick += 1) {
      await broker.broker.scheduler.tick();
      broker.clock.advance(11 * 60_000);
    }
    expect(await published(broker)).toEqual(first);
    expect(await rotations(broker)).toEqual([{ effect: 'deny', principal: schedulerPrincipal.id }]);
    broker.clock.advance(HOUR_MS);
    await broker.broker.scheduler.tick();
    expect(await rotations(broker)).toHaveLength(2);
  });
});

/** A store with two brokers' worth of objects on it, which allow everything. */
async function openTwo(): Promise<{
  control: ControlDeps;
  file: string;
  keys: [SigningKeys, SigningKeys];
  advance(ms: number): void;
}> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-keys-'));
  const file = join(folder, 'countersign.db');
  let nowMs = 1_795_000_000_000;
  const clock = () => nowMs;
  const answer = { effect: 'allow', reasons: [{ code: 'ok', detail: '' }], obligations: [], limits: {} };
  const local = await openControl({
    file,
    archive: await readFixtureBundle('echo'),
    clock,
    editData: (data) => ({ ...(data as object), answer }),
  });
  const store = storedSigningKeys(local.store);
  const open = () => createSigningKeys({ store, masterKey, clock });
  const keys = await Promise.all([open(), open()]);
  // Only the first broker hears of its own writes; the other has to find out.
  const control = { ...local, events: { ...local.events, keysChanged: () => keys[0].refresh() } };
  close = async () => {
    await local.store.close();
    await rm(folder, { recursive: true, force: true });
  };
  return {
    control,
    file,
    keys,
    advance: (ms) => {
      nowMs += ms;
    },
  };
}

async function kids(keys: SigningKeys): Promise<(string | undefined)[]> {
  return (await keys.jwks()).keys.map(({ kid }) => kid);
}

const call = { principal: schedulerPrincipal, credential: null, http_request_id: null };

describe('two brokers on one store', () => {
  it('begin with one key', async () => {
    const { keys } = await openTwo();
    expect(await kids(keys[0])).toHaveLength(1);
    expect(await kids(keys[1])).toEqual(await kids(keys[0]));
  });

  it('rotate a due key once, whichever is first, and both sign with the new one', async () => {
    const { control, file, keys, advance } = await openTwo();
    const token = await keys[1].sign({ sub: 'x' });
    advance(30 * DAY_MS);
    const rotate = (own: SigningKeys) =>
      rotateDueKey(control, { maxAgeMs: 30 * DAY_MS, prepare: own.prepare });
    const rotated = await Promise.all([rotate(keys[0]), rotate(keys[1]), rotate(keys[0])]);
    const made = rotated.filter((kid) => kid !== null);
    expect(made).toHaveLength(1);
    const rows = await listSigningKeys(control.store.read);
    expect(rows.map(({ kid }) => kid)).toEqual([kidOf(token), made[0]]);
    for (const own of keys) expect(kidOf(await own.sign({ sub: 'x' }))).toBe(made[0]);
    expect(readRecords(file)).toMatchObject([{ operation: 'policy.activate' }, { operation: 'key.rotate' }]);
  });

  it('do without a key that was prepared by one that ended before its commit', async () => {
    const { control, file, keys } = await openTwo();
    const before = await kids(keys[0]);
    const fresh = await keys[0].prepare();
    const crash = write(control, call, async (writing) => {
      await rotateKey(writing, fresh);
      throw new Error('the process ends here');
    });
    await expect(crash).rejects.toThrow('ends here');
    for (const own of keys) {
      own.refresh();
      expect(await kids(own)).toEqual(before);
      expect(kidOf(await own.sign({}))).toBe(before[0]);
      await expect(own.verifyKey(fresh.kid)).rejects.toMatchObject({ reason: 'key_not_found' });
    }
    expect(readRecords(file)).toHaveLength(1);
  });
});

describe('a revoked key', () => {
  const revoke = (control: ControlDeps, kid: string, fresh: StoredKey) =>
    write(control, call, (writing) => revokeKey(writing, kid, fresh));

  it('that was active is gone at once, and a fresh one signs', async () => {
    const { control, keys, advance } = await openTwo();
    const kid = kidOf(await keys[0].sign({}));
    advance(1);
    const fresh = await keys[0].prepare();
    expect(await revoke(control, kid, fresh)).toBe('replaced');
    expect(await kids(keys[0])).toEqual([fresh.kid]);
    await expect(keys[0].verifyKey(kid)).rejects.toMatchObject({ reason: 'key_not_found' });
    // The other broker signs with the new one at once, and publishes the old one for seconds at most.
    expect(kidOf(await keys[1].sign({}))).toBe(fresh.kid);
    expect(await kids(keys[1])).toEqual([fresh.kid]);
    advance(5_000);
    await expect(keys[1].verifyKey(kid)).rejects.toMatchObject({ reason: 'key_not_found' });
    const [row] = await listSigningKeys(control.store.read);
    expect(row).toMatchObject({ kid, private_jwk: '' });
  });

  it('that only verified any more is gone, and the active one stays', async () => {
    const { control, keys, advance } = await openTwo();
    const former = kidOf(await keys[0].sign({}));
    advance(1);
    const next = await keys[0].prepare();
    await write(control, call, (writing) => rotateKey(writing, next));
    expect(await kids(keys[0])).toEqual([former, next.kid]);
    expect(await revoke(control, former, await keys[0].prepare())).toBe('ended');
    expect(await kids(keys[0])).toEqual([next.kid]);
    expect(kidOf(await keys[0].sign({}))).toBe(next.kid);
  });

  it('that is unknown or ended before changes nothing', async () => {
    const { control, keys, advance } = await openTwo();
    const [kid = ''] = await kids(keys[0]);
    expect(await revoke(control, 'unknown', await keys[0].prepare())).toBe('unknown');
    expect(await revoke(control, kid ?? '', await keys[0].prepare())).toBe('replaced');
    const rows = await listSigningKeys(control.store.read);
    advance(1000);
    expect(await revoke(control, kid ?? '', await keys[0].prepare())).toBe('unknown');
    expect(await listSigningKeys(control.store.read)).toEqual(rows);
  });

  it('is not revoked when the write that decided it is undone', async () => {
    const { control, keys } = await openTwo();
    const before = await kids(keys[0]);
    const fresh = await keys[0].prepare();
    const undone = write(control, call, async (writing) => {
      await revokeKey(writing, before[0] ?? '', fresh);
      throw new Error('the revocation is refused');
    });
    await expect(undone).rejects.toThrow('refused');
    expect(await kids(keys[0])).toEqual(before);
    expect(kidOf(await keys[0].sign({}))).toBe(before[0]);
  });
});
