import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Broker, startBroker } from '../../src/broker.ts';
import { systemClock } from '../../src/clock.ts';
import { ConfigError, loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/logger.ts';
import { EXAMPLES } from '../../src/policy/shipped.ts';
import { openStore } from '../../src/store/database.ts';
import {
  insertCursorSecret,
  insertSigningKey,
  isRewriteDue,
  leaveInFreePages,
  markRewriteDue,
  overwriteCursorSecret,
  overwriteSigningKeys,
  refuseCursorSecret,
  secretTexts,
} from '../support/sqlite/secrets.ts';

/*
 * No secret lies in the database in the clear (design invariant 12): what older versions wrote is sealed at the start, and
 * with a wrong key nothing starts and nothing changes.
 */

let folder: string;
let broker: Broker | null = null;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-secrets-'));
});
afterEach(async () => {
  await stop();
  await rm(folder, { recursive: true, force: true });
});

const newKey = () => randomBytes(32).toString('base64');
const file = (name: string) => join(folder, name);

async function start(env: NodeJS.ProcessEnv = {}, config: Record<string, unknown> = {}): Promise<Broker> {
  const written = { listen: { port: 0 }, policy_bundle: join(EXAMPLES, 'demo', 'bundle.tar.gz'), ...config };
  await writeFile(file('countersign.yaml'), JSON.stringify(written));
  broker = await startBroker({
    config: loadConfig({ file: file('countersign.yaml'), env }),
    clock: () => 1_795_000_000_000,
    log: createLog('silent'),
  });
  return broker;
}

async function stop(): Promise<void> {
  await broker?.close();
  broker = null;
}

async function publishedKids(): Promise<string[]> {
  const response = await fetch(`${broker?.url}/.well-known/jwks.json`);
  return ((await response.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
}

/** The database, which is another one in each test. */
function database(): string {
  return file('countersign.db');
}

/** Every byte of the database and its side files. */
async function everyByte(): Promise<Buffer> {
  const names = (await readdir(folder)).filter((name) => name.startsWith('countersign.db'));
  const kept = names.filter((name) => !name.endsWith('.master-key'));
  return Buffer.concat(await Promise.all(kept.map((name) => readFile(file(name)))));
}

/** A database as versions before the master key wrote it. @returns its secrets in the clear, and the active key's id */
async function writeOldDatabase(): Promise<{ secrets: string[]; kid: string }> {
  await (await openStore({ file: file('countersign.db'), clock: systemClock })).close();
  const cursorSecret = randomBytes(32).toString('base64url');
  const keys = await Promise.all([oldKey(null), oldKey(1_794_999_000_000), oldKey(1_795_000_500_000)]);
  for (const key of keys) insertSigningKey(database(), key);
  insertCursorSecret(database(), cursorSecret);
  leaveInFreePages(
    database(),
    keys.map(({ private_jwk }) => private_jwk.repeat(40)),
  );
  return { secrets: [...keys.map(({ d }) => d), cursorSecret], kid: keys[0]?.kid ?? '' };
}

async function oldKey(retires_ms: number | null) {
  const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const jwk = await exportJWK(pair.privateKey);
  const kid = randomBytes(32).toString('base64url');
  const described = { kid, alg: 'EdDSA', use: 'sig' };
  const private_jwk = JSON.stringify({ ...jwk, ...described });
  const public_jwk = JSON.stringify({ ...(await exportJWK(pair.publicKey)), ...described });
  return { kid, d: jwk.d ?? '', private_jwk, public_jwk, created_ms: 1_794_990_000_000, retires_ms };
}

describe('a first start', () => {
  it('makes a master key beside the database, which later starts read', async () => {
    const { masterKey } = await start();
    expect(masterKey).toMatchObject({ kind: 'made', from: file('countersign.db.master-key'), sealed: 0 });
    expect((await stat(file('countersign.db.master-key'))).mode & 0o777).toBe(0o600);
    const kids = await publishedKids();
    await stop();
    expect((await start()).masterKey.kind).toBe('loaded');
    expect(await publishedKids()).toEqual(kids);
    const texts = secretTexts(database());
    expect(texts).toHaveLength(2);
    for (const text of texts) expect(text.split('.')).toHaveLength(5);
  });

  it('makes none when one is given', async () => {
    expect((await start({ COUNTERSIGN_MASTER_KEY: newKey() })).masterKey).toMatchObject({
      kind: 'loaded',
      from: 'COUNTERSIGN_MASTER_KEY',
    });
    expect(await readdir(folder)).not.toContain('countersign.db.master-key');
  });

  it('does not begin with a master key from two places, or in an open file', async () => {
    await writeFile(file('master'), newKey(), { mode: 0o600 });
    const named = { master_key_file: 'master' };
    await expect(start({ COUNTERSIGN_MASTER_KEY: newKey() }, named)).rejects.toThrow(ConfigError);
    await chmod(file('master'), 0o644);
    await expect(start({}, named)).rejects.toThrow(`chmod 600 ${file('master')}`);
    await chmod(file('master'), 0o600);
    expect((await start({}, named)).masterKey.from).toBe(file('master'));
  });
});

describe('a database of a version without a master key', () => {
  it('is sealed at the start, and no byte of its files holds a secret any more', async () => {
    const { secrets, kid } = await writeOldDatabase();
    const before = await everyByte();
    for (const secret of secrets) expect(before.includes(secret)).toBe(true);
    expect((await start()).masterKey).toMatchObject({ kind: 'made', sealed: 4 });
    expect(await publishedKids()).toContain(kid);
    const running = await everyByte();
    for (const secret of secrets) expect(running.includes(secret)).toBe(false);
    // Of the keys that sign no more nothing private is kept, not even sealed.
    expect(secretTexts(database()).filter((text) => text === '')).toHaveLength(2);
    await stop();
    const stopped = await everyByte();
    for (const secret of secrets) expect(stopped.includes(secret)).toBe(false);
    expect((await start()).masterKey.sealed).toBe(0);
  });

  it('is rewritten by the next start when the first one ended between sealing and rewriting', async () => {
    const { secrets } = await writeOldDatabase();
    await start();
    await stop();
    // As if the process had ended before: the former text is in a free page, and the mark is there.
    leaveInFreePages(database(), [secrets.join(' ').repeat(100)]);
    markRewriteDue(database());
    expect((await everyByte()).includes(secrets[0] ?? '')).toBe(true);
    await start();
    expect((await everyByte()).includes(secrets[0] ?? '')).toBe(false);
    expect(isRewriteDue(database())).toBe(false);
  });

  it('keeps its text when the seal cannot be written, and starts another time', async () => {
    const { secrets } = await writeOldDatabase();
    const heal = refuseCursorSecret(database());
    await expect(start()).rejects.toThrow();
    const texts = secretTexts(database()).join(' ');
    for (const secret of secrets) expect(texts).toContain(secret);
    heal();
    // The key that the first try made is there already.
    expect((await start()).masterKey).toMatchObject({ kind: 'loaded', sealed: 4 });
  });
});

describe('a master key that is not the one', () => {
  it.each([
    ['wrong', { COUNTERSIGN_MASTER_KEY: newKey() }, 'COUNTERSIGN_MASTER_KEY contains another one'],
    ['missing', {}, 'countersign.db.master-key is missing'],
    [
      'wrong, with a wrong former one,',
      { COUNTERSIGN_MASTER_KEY: newKey(), COUNTERSIGN_PREVIOUS_MASTER_KEY: newKey() },
      'COUNTERSIGN_PREVIOUS_MASTER_KEY',
    ],
  ])('%s ends the start with a clear word, and changes nothing', async (_name, env, word) => {
    const right = { COUNTERSIGN_MASTER_KEY: newKey() };
    await start(right);
    const kids = await publishedKids();
    await stop();
    const texts = secretTexts(database());
    const files = await readdir(folder);
    await expect(start(env)).rejects.toThrow(word);
    await expect(start(env)).rejects.toThrow('Nothing was changed');
    for (const value of Object.values(env)) await expect(start(env)).rejects.not.toThrow(value);
    expect(secretTexts(database())).toEqual(texts);
    expect(await readdir(folder)).toEqual(files);
    await start(right);
    expect(await publishedKids()).toEqual(kids);
  });
});

describe('a rotated master key', () => {
  it('seals everything anew at the start, and the former one opens nothing any more', async () => {
    const [former, present] = [newKey(), newKey()];
    await start({ COUNTERSIGN_MASTER_KEY: former });
    const kids = await publishedKids();
    await stop();
    const before = secretTexts(database());
    await writeFile(file('former'), former, { mode: 0o600 });
    const rotated = await start({ COUNTERSIGN_MASTER_KEY: present }, { previous_master_key_file: 'former' });
    expect(rotated.masterKey).toMatchObject({ sealed: 2, isPreviousIdle: false });
    expect(await publishedKids()).toEqual(kids);
    const bytes = await everyByte();
    for (const text of before) expect(bytes.includes(text)).toBe(false);
    await stop();
    expect((await start({ COUNTERSIGN_MASTER_KEY: present })).masterKey.sealed).toBe(0);
    await stop();
    await expect(start({ COUNTERSIGN_MASTER_KEY: former })).rejects.toThrow('contains another one');
    const again = await start({
      COUNTERSIGN_MASTER_KEY: present,
      COUNTERSIGN_PREVIOUS_MASTER_KEY: former,
    });
    expect(again.masterKey).toMatchObject({ sealed: 0, isPreviousIdle: true });
  });
});

describe('a secret that somebody changed in the database', () => {
  const env = { COUNTERSIGN_MASTER_KEY: newKey() };
  const updateKey = (text: string) => overwriteSigningKeys(database(), text);
  const updateCursor = (text: string) => overwriteCursorSecret(database(), text);

  beforeEach(async () => {
    await start(env);
    await stop();
  });

  it('by swapping two ends the start', async () => {
    const [key = '', cursor = ''] = secretTexts(database());
    updateKey(cursor);
    updateCursor(key);
    await expect(start(env)).rejects.toThrow('was sealed for another use');
  });

  it('by cutting it off ends the start, wherever the cut is', async () => {
    const [key = '', cursor = ''] = secretTexts(database());
    for (const length of [key.length - 1, key.length - 30, 60, 43, 1]) {
      updateKey(key.slice(0, length));
      await expect(start(env)).rejects.toThrow('damaged');
    }
    updateKey(key);
    for (const length of [cursor.length - 1, 43]) {
      updateCursor(cursor.slice(0, length));
      await expect(start(env)).rejects.toThrow('damaged');
    }
    updateCursor(cursor);
    await start(env);
  });

  it('by putting one in the clear beside sealed ones ends the start: nobody brings a key of their own', async () => {
    insertSigningKey(database(), await oldKey(null));
    await expect(start(env)).rejects.toThrow('it is not sealed');
  });
});
