import { createSecretKey, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LogKeys, openLogKeys, originOf } from '../../src/keys/log-key.ts';
import { openSecrets } from '../../src/keys/open-secrets.ts';
import { append } from '../../src/log/append.ts';
import { createCheckpoints } from '../../src/log/checkpoints.ts';
import { beginEpoch } from '../../src/store/batch.ts';
import { openStore } from '../../src/store/database.ts';
import type { Store } from '../../src/store/store.ts';
import { openCheckpoint } from '../../src/tree/checkpoint.ts';
import { parseVerifier } from '../../src/tree/note.ts';
import { appendTo, entryOf } from '../support/entries.ts';
import { logKeyTexts } from '../support/sqlite/secrets.ts';

/* The key of the log: its own, sealed, and one for each origin. */

const clock = () => 1_795_000_000_000;
const onUnkept = (error: unknown) => {
  throw error;
};
const newKey = () => createSecretKey(randomBytes(32));

let folder: string;
let file: string;
let store: Store;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-log-key-'));
  file = join(folder, 'log.db');
  store = await openStore({ file, clock });
});

afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

type Keys = Parameters<typeof openSecrets>[1];
const keysOf = (key: Keys['key'], previous: Keys['previous'] = null): Keys => ({
  key,
  from: 'test',
  previous,
});

/** The keys that a start with that configuration has. */
async function open(keys: Keys, more: { prefix?: string; publicUrl?: string } = {}) {
  const { masterKey } = await openSecrets(store, keys);
  const { prefix = undefined, publicUrl = undefined } = more;
  return openLogKeys({ store, masterKey, clock, prefix, publicUrl });
}

const newest = async ({ signers }: LogKeys) => (await signers())[0].verifier.vkey;

describe('the origin', () => {
  const installation = '0197f3a0-7c1e-4000-8000-000000000001';
  it.each([
    [{ prefix: 'flags.example/log', host: 'other.example' }, 'flags.example/log/3'],
    [{ prefix: undefined, host: 'flags.example:8443' }, 'flags.example:8443/log/0197f3a0/3'],
    [{ prefix: undefined, host: undefined }, 'countersign/log/0197f3a0/3'],
  ])('of %j is %s', (given, origin) => {
    expect(originOf({ ...given, installation, epoch: 3 })).toBe(origin);
  });
});

describe('the key of the log', () => {
  it('is made once, whoever asks at once, and stays with its origin', async () => {
    const keys = keysOf(newKey());
    const signers = [await open(keys), await open(keys)];
    const [one, other] = await Promise.all(signers.map((signer) => newest(signer)));
    expect(one).toBe(other);
    const later = await open(keys, { prefix: 'elsewhere.example/log' });
    expect(await newest(later)).toBe(one);
  });

  it('is sealed, and sealed again under a new master key', async () => {
    const [former, present] = [newKey(), newKey()];
    const vkey = await newest(await open(keysOf(former)));
    const [before = ''] = logKeyTexts(file);
    expect(before.split('.')).toHaveLength(5);
    expect((await readFile(file)).includes('PRIVATE KEY')).toBe(false);
    const signer = await open(keysOf(present, former));
    const [after = ''] = logKeyTexts(file);
    expect(after).not.toBe(before);
    expect(await newest(signer)).toBe(vkey);
    await expect(open(keysOf(former))).rejects.toThrow('contains another one');
  });

  it('is another one under another name after a confirmed restore', async () => {
    const keys = keysOf(newKey());
    const { signers } = await open(keys, { prefix: 'flags.example/log' });
    const checkpoints = createCheckpoints({ store, signers, clock, onUnkept });
    await appendTo(store);
    const first = await checkpoints.latest();
    const [firstKey] = await checkpoints.keys();
    await store.writer.write(async (tx) => {
      beginEpoch(tx);
      await append(tx, entryOf(tx));
    });
    const renewed = createCheckpoints({ store, signers, clock, onUnkept });
    const second = await renewed.latest();
    expect([first.origin, second.origin]).toEqual(['flags.example/log/1', 'flags.example/log/2']);
    expect(second.size).toBe(2);
    expect(() => openCheckpoint(second.note, parseVerifier(firstKey))).toThrow('of another log');
    openCheckpoint(second.note, parseVerifier((await renewed.keys())[0]));
  });
});
