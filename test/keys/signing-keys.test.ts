import { calculateJwkThumbprint, decodeProtectedHeader, jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { createSigningKeys, RETIREMENT_OVERLAP_MS, type SigningKeys } from '../../src/keys/signing-keys.ts';
import { createMemoryKeyStore, createTestClock, masterKey } from '../identity/support.ts';

async function open() {
  const time = createTestClock();
  const store = createMemoryKeyStore();
  const keys = await createSigningKeys({ store, masterKey, clock: time.clock });
  /** A rotation that this broker hears of. */
  const rotate = async (): Promise<string> => {
    const kid = store.replace(await keys.prepare(), time.clock());
    keys.refresh();
    return kid;
  };
  return { ...time, store, keys, rotate };
}

async function kidOf(token: Promise<string>): Promise<string> {
  return decodeProtectedHeader(await token).kid ?? '';
}

async function published(keys: SigningKeys): Promise<(string | undefined)[]> {
  return (await keys.jwks()).keys.map(({ kid }) => kid);
}

describe('signing keys', () => {
  it('survive a restart', async () => {
    const { keys, store, clock } = await open();
    const again = await createSigningKeys({ store, masterKey, clock });
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

  it('lie in the store sealed, each as itself', async () => {
    const { keys, store } = await open();
    const fresh = await keys.prepare();
    for (const { private_jwk, public_jwk } of [...store.rows, fresh]) {
      expect(private_jwk.split('.')).toHaveLength(5);
      expect(JSON.parse(public_jwk)).not.toHaveProperty('d');
    }
    // The sealed text of one key in the row of another signs nothing.
    const { kid, public_jwk } = store.rows[0] ?? fresh;
    const swapped = { ...fresh, kid, public_jwk };
    store.rows.splice(0, 1, swapped);
    await expect(keys.sign({})).rejects.toThrow(`signing_key:${kid} was sealed for another use`);
  });

  it('verify until the overlap has passed after a rotation, and sign no more', async () => {
    const { keys, advance, rotate } = await open();
    const token = await keys.sign({});
    const old = decodeProtectedHeader(token).kid;
    const next = await rotate();
    expect(await kidOf(keys.sign({}))).toBe(next);
    expect(await published(keys)).toEqual([old, next]);
    advance(RETIREMENT_OVERLAP_MS - 1);
    await expect(jwtVerify(token, await keys.verifyKey(old))).resolves.toBeDefined();
    advance(1);
    await expect(keys.verifyKey(old)).rejects.toMatchObject({ reason: 'key_not_found' });
    expect(await published(keys)).toEqual([next]);
  });

  it('that are only prepared neither sign nor verify', async () => {
    const { keys } = await open();
    const active = await published(keys);
    const { kid } = await keys.prepare();
    keys.refresh();
    expect(await published(keys)).toEqual(active);
    expect([await kidOf(keys.sign({}))]).toEqual(active);
    await expect(keys.verifyKey(kid)).rejects.toMatchObject({ reason: 'key_not_found' });
  });

  it('that another broker rotated away sign no more, from that moment on', async () => {
    const { keys, store, clock } = await open();
    await keys.sign({});
    const other = await createSigningKeys({ store, masterKey, clock });
    const kid = store.replace(await other.prepare(), clock());
    expect(await kidOf(keys.sign({}))).toBe(kid);
  });

  it('that end at once are gone with the next look, without a change of the clock', async () => {
    const { keys, store, clock } = await open();
    const kid = await kidOf(keys.sign({}));
    await keys.verifyKey(kid);
    store.replace(await keys.prepare(), clock());
    Object.assign(store.rows[0] ?? {}, { retires_ms: clock() });
    keys.refresh();
    expect(await published(keys)).not.toContain(kid);
    await expect(keys.verifyKey(kid)).rejects.toMatchObject({ reason: 'key_not_found' });
  });

  it('that another broker made verify within seconds, and all who remember hear of it once', async () => {
    const { keys, store, clock, advance } = await open();
    let changes = 0;
    keys.onChange(() => {
      changes += 1;
    });
    const other = await createSigningKeys({ store, masterKey, clock });
    const kid = store.replace(await other.prepare(), clock());
    advance(500);
    await expect(keys.verifyKey(kid)).resolves.toBeDefined();
    expect(changes).toBe(1);
  });

  it('of two brokers that start on an empty store at once are one', async () => {
    const store = createMemoryKeyStore();
    const { clock } = createTestClock();
    const [one, two] = await Promise.all([
      createSigningKeys({ store, masterKey, clock }),
      createSigningKeys({ store, masterKey, clock }),
    ]);
    expect(store.rows).toHaveLength(1);
    const kid = await kidOf(one.sign({}));
    expect(await kidOf(two.sign({}))).toBe(kid);
    await expect(two.verifyKey(kid)).resolves.toBeDefined();
  });

  it.each([undefined, '', 'unknown', '__proto__'])('do not include one of the id %j', async (kid) => {
    const { keys } = await open();
    await expect(keys.verifyKey(kid)).rejects.toMatchObject({ reason: 'key_not_found' });
  });

  it('are those of the later reading when two readings end in the wrong order', async () => {
    const memory = createMemoryKeyStore();
    const { clock } = createTestClock();
    let gate: Promise<void> | null = null;
    const store = {
      ...memory,
      list: async () => {
        const read = await memory.list();
        const mine = gate;
        gate = null;
        await mine;
        return read;
      },
    };
    const keys = await createSigningKeys({ store, masterKey, clock });
    const kid = await kidOf(keys.sign({}));
    const { promise, resolve } = Promise.withResolvers<void>();
    gate = promise;
    const slow = keys.sign({});
    await Promise.resolve();
    memory.replace(await keys.prepare(), clock());
    Object.assign(memory.rows[0] ?? {}, { retires_ms: clock() });
    keys.refresh();
    expect(await published(keys)).not.toContain(kid);
    resolve();
    await slow;
    expect(await published(keys)).not.toContain(kid);
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
    const keys = await createSigningKeys({ store, masterKey, clock: () => nowMs });
    const kid = (await keys.jwks()).keys[0]?.kid;
    broken = true;
    nowMs += 60_000;
    keys.refresh();
    await expect(keys.verifyKey(kid)).resolves.toBeDefined();
    await expect(keys.sign({ sub: 'x' })).rejects.toThrow('the disk is gone');
  });
});
