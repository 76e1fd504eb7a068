import { calculateJwkThumbprint, decodeProtectedHeader, jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { createSigningKeys, RETIREMENT_OVERLAP_MS } from '../../src/identity/keys.ts';
import { createMemoryKeyStore, createTestClock } from './support.ts';

async function open() {
  const time = createTestClock();
  const store = createMemoryKeyStore();
  const keys = await createSigningKeys({ store, clock: time.clock });
  return { ...time, store, keys };
}

async function kidOf(token: Promise<string>): Promise<string> {
  return decodeProtectedHeader(await token).kid ?? '';
}

describe('signing keys', () => {
  it('survive a restart', async () => {
    const { keys, store, clock } = await open();
    const again = await createSigningKeys({ store, clock });
    expect(await kidOf(again.sign({ sub: 'x' }))).toBe(await kidOf(keys.sign({ sub: 'x' })));
    expect(store.rows).toHaveLength(1);
  });

  it('sign access tokens under the thumbprint of the key', async () => {
    const { keys } = await open();
    const token = await keys.sign({ sub: 'x' });
    const header = decodeProtectedHeader(token);
    expect(header).toMatchObject({ alg: 'EdDSA', typ: 'at+jwt' });
    const [jwk] = (await keys.jwks()).keys;
    expect(await calculateJwkThumbprint(jwk ?? {}, 'sha256')).toBe(header.kid);
    await expect(jwtVerify(token, await keys.verifyKey(header.kid))).resolves.toMatchObject({
      payload: { sub: 'x' },
    });
  });

  it('publish nothing private', async () => {
    const { keys } = await open();
    for (const jwk of (await keys.jwks()).keys)
      expect(Object.keys(jwk).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']);
  });

  it('verify until the overlap has passed after a rotation, and sign no more', async () => {
    const { keys, advance } = await open();
    const old = await kidOf(keys.sign({}));
    const next = await keys.rotate();
    expect(await kidOf(keys.sign({}))).toBe(next);
    expect((await keys.jwks()).keys.map((jwk) => jwk.kid)).toEqual([old, next]);
    advance(RETIREMENT_OVERLAP_MS - 1);
    await expect(keys.verifyKey(old)).resolves.toBeDefined();
    advance(1);
    await expect(keys.verifyKey(old)).rejects.toMatchObject({ reason: 'key_not_found' });
    expect((await keys.jwks()).keys.map((jwk) => jwk.kid)).toEqual([next]);
  });

  it('keep the first retirement of a key when keys are rotated twice', async () => {
    const { keys, store, advance } = await open();
    await keys.rotate();
    const retiresMs = store.rows[0]?.retires_ms;
    advance(60_000);
    await keys.rotate();
    expect(store.rows[0]?.retires_ms).toBe(retiresMs);
    expect(store.rows.filter((row) => row.retires_ms === null)).toHaveLength(1);
  });

  it('that another broker rotated away sign no more, from that moment on', async () => {
    const { keys, store, clock } = await open();
    const kid = await (await createSigningKeys({ store, clock })).rotate();
    expect(await kidOf(keys.sign({}))).toBe(kid);
  });

  it('that another broker made verify within seconds', async () => {
    const { keys, store, clock, advance } = await open();
    let changes = 0;
    keys.onChange(() => {
      changes += 1;
    });
    const other = await createSigningKeys({ store, clock });
    const kid = await other.rotate();
    advance(500);
    await expect(keys.verifyKey(kid)).resolves.toBeDefined();
    expect(changes).toBe(1);
  });

  it('of two brokers that start on an empty store at once agree on one to sign with', async () => {
    const store = createMemoryKeyStore();
    const { clock, advance } = createTestClock();
    const [one, two] = await Promise.all([
      createSigningKeys({ store, clock }),
      createSigningKeys({ store, clock }),
    ]);
    advance(5_000);
    const kid = await kidOf(one.sign({}));
    expect(await kidOf(two.sign({}))).toBe(kid);
    await expect(two.verifyKey(kid)).resolves.toBeDefined();
  });

  it.each([undefined, '', 'unknown', '__proto__'])('do not include one of the id %j', async (kid) => {
    const { keys } = await open();
    await expect(keys.verifyKey(kid)).rejects.toMatchObject({ reason: 'key_not_found' });
  });
});

describe('a store that stops answering', () => {
  it('takes nothing from verification, and everything from signing', async () => {
    let nowMs = 1_794_994_200_000;
    let broken = false;
    const memory = createMemoryKeyStore();
    const store = {
      ...memory,
      list: () => (broken ? Promise.reject(new Error('the disk is gone')) : memory.list()),
    };
    const keys = await createSigningKeys({ store, clock: () => nowMs });
    const kid = (await keys.jwks()).keys[0]?.kid;
    broken = true;
    nowMs += 60_000;
    await expect(keys.verifyKey(kid)).resolves.toBeDefined();
    await expect(keys.sign({ sub: 'x' })).rejects.toThrow('the disk is gone');
  });
});
