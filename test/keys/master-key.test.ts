import { createSecretKey } from 'node:crypto';
import { chmod, link, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMasterKey, parseMasterKey, sealedUnder } from '../../src/keys/master-key.ts';
import { readMasterKeys } from '../../src/keys/master-key-config.ts';
import { makeMasterKeyFile, readMasterKeyFile } from '../../src/keys/master-key-file.ts';

const BYTES = Buffer.from(Array.from({ length: 32 }, (_, place) => 255 - place));
const TEXT = BYTES.toString('base64');

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-master-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function keyFile(text: string, { name = 'key', mode = 0o600 } = {}): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}

describe('the text of a master key', () => {
  it.each([
    ['base64', TEXT],
    ['base64 without padding', TEXT.replace('=', '')],
    ['base64url', BYTES.toString('base64url')],
    ['hex', BYTES.toString('hex')],
    ['upper case hex', BYTES.toString('hex').toUpperCase()],
    ['a line of a file', `  ${TEXT}\n`],
  ])('may be %s', (_form, text) => {
    expect(parseMasterKey(text)?.export()).toEqual(BYTES);
  });

  it.each([
    '',
    TEXT.slice(1),
    `${TEXT}A`,
    BYTES.toString('hex').slice(2),
    `${BYTES.toString('hex')}00`,
    'g'.repeat(64),
    `${TEXT.slice(0, 20)}\n${TEXT.slice(20)}`,
    // Two alphabets in one text: neither writer made this.
    `-/${'A'.repeat(41)}`,
    'correct horse battery staple',
  ])('is 32 bytes and nothing else: %j', (text) => {
    expect(parseMasterKey(text)).toBeNull();
  });
});

describe('sealed text', () => {
  const seal = async (text = 'secret', use = 'signing_key:a') => {
    const key = await createMasterKey(createSecretKey(BYTES));
    return { key, sealed: await key.seal(text, use) };
  };

  it('opens for the same key and use, says which key sealed it, and differs each time', async () => {
    const { key, sealed } = await seal('sécret');
    expect(await key.unseal(sealed, 'signing_key:a')).toBe('sécret');
    expect(sealedUnder(sealed)).toBe(key.kid);
    expect(await key.seal('sécret', 'signing_key:a')).not.toBe(sealed);
    expect(Buffer.from(sealed.split('.')[3] ?? '', 'base64url').toString()).not.toContain('cret');
  });

  it('does not open for another use, so it cannot stand in for another secret', async () => {
    const { key, sealed } = await seal();
    await expect(key.unseal(sealed, 'signing_key:b')).rejects.toThrow('was sealed for another use');
  });

  it('does not open under another use when its header is rewritten', async () => {
    const { key, sealed } = await seal();
    const [, ...rest] = sealed.split('.');
    const header = { alg: 'dir', enc: 'A256GCM', kid: key.kid, use: 'signing_key:b' };
    const forged = [Buffer.from(JSON.stringify(header)).toString('base64url'), ...rest].join('.');
    await expect(key.unseal(forged, 'signing_key:b')).rejects.toThrow('damaged');
  });

  it('does not open under another key', async () => {
    const { sealed } = await seal();
    const other = await createMasterKey(createSecretKey(Buffer.alloc(32)));
    await expect(other.unseal(sealed, 'signing_key:a')).rejects.toThrow('another master key');
    expect(other.kid).not.toBe(sealedUnder(sealed));
  });

  it('does not open when any part of it is cut off, doubled or changed', async () => {
    const { key, sealed } = await seal();
    const parts = sealed.split('.');
    const broken = [
      ...Array.from({ length: 12 }, (_, place) => sealed.slice(0, -1 - place * 3)),
      sealed.slice(1),
      `${sealed}.`,
      `${sealed}A`,
      [...parts.slice(0, 3), parts[3]?.toUpperCase(), parts[4]].join('.'),
      [...parts.slice(0, 4), parts[4]?.slice(0, 12)].join('.'),
      '',
    ].filter((text) => text !== sealed);
    for (const text of broken) {
      await expect(key.unseal(text, 'signing_key:a'), text).rejects.toThrow('damaged');
    }
  });

  it.each(['{"kty":"OKP","d":"x"}', 'A'.repeat(43), 'eyJ'.padEnd(43, 'A'), ''])(
    'is told from text in the clear: %j',
    (text) => {
      expect(sealedUnder(text)).toBeNull();
    },
  );
});

describe('a master key file', () => {
  it('is made whole, for the owner only, and never twice', async () => {
    const path = join(folder, 'key');
    const made = makeMasterKeyFile(path);
    expect(made.export()).toHaveLength(32);
    expect(readMasterKeyFile(path).equals(made)).toBe(true);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const text = await readFile(path, 'utf8');
    expect(() => makeMasterKeyFile(path)).toThrow('EEXIST');
    expect(await readFile(path, 'utf8')).toBe(text);
    expect(await readdir(folder)).toEqual(['key']);
  });

  it.each([0o604, 0o602, 0o660, 0o666, 0o777])('that others can get at is refused: mode %o', async (mode) => {
    const path = await keyFile(TEXT, { mode });
    expect(() => readMasterKeyFile(path)).toThrow(`chmod 600 ${path}`);
  });

  it('is no folder, and not what a damaged file holds', async () => {
    await mkdir(join(folder, 'sub'));
    expect(() => readMasterKeyFile(join(folder, 'sub'))).toThrow('is not a file');
    const secret = 'almost-a-master-key';
    const path = await keyFile(secret);
    expect(() => readMasterKeyFile(path)).toThrow('must contain 32 random bytes');
    expect(() => readMasterKeyFile(path)).not.toThrow(secret);
  });
});

describe('the configured master key', () => {
  const read = (env: NodeJS.ProcessEnv, files: { file?: string; previousFile?: string } = {}) =>
    readMasterKeys({
      env,
      file: files.file,
      previousFile: files.previousFile,
      defaultFile: join(folder, 'db.master-key'),
    });

  it('comes from the environment, a named file, or the file beside the database', async () => {
    expect(read({})).toEqual({
      master_key: { key: null, from: join(folder, 'db.master-key'), previous: null },
      faults: [],
    });
    expect(read({ COUNTERSIGN_MASTER_KEY: TEXT }).master_key).toMatchObject({
      from: 'COUNTERSIGN_MASTER_KEY',
    });
    const file = await keyFile(TEXT);
    const named = read({ COUNTERSIGN_MASTER_KEY: '' }, { file });
    expect(named.faults).toEqual([]);
    expect(named.master_key.from).toBe(file);
    await link(file, join(folder, 'db.master-key'));
    expect(read({}).master_key.key?.export()).toEqual(BYTES);
    // What is named counts, though a file that nobody named is there.
    expect(read({ COUNTERSIGN_MASTER_KEY: TEXT })).toMatchObject({
      master_key: { from: 'COUNTERSIGN_MASTER_KEY' },
      faults: [],
    });
  });

  it('is refused from two places at once, present and previous, and neither is shown', async () => {
    const file = await keyFile(TEXT);
    const env = { COUNTERSIGN_MASTER_KEY: TEXT, COUNTERSIGN_PREVIOUS_MASTER_KEY: TEXT };
    const { faults } = read(env, { file, previousFile: file });
    expect(faults).toEqual([
      {
        path: ['master_key_file'],
        detail: 'the master key is also set in COUNTERSIGN_MASTER_KEY; use only one of them',
      },
      {
        path: ['previous_master_key_file'],
        detail: 'the master key is also set in COUNTERSIGN_PREVIOUS_MASTER_KEY; use only one of them',
      },
    ]);
  });

  it('is refused when it is none, and what was given is not shown', async () => {
    const wrong = `${TEXT}oops`;
    const { faults } = read({ COUNTERSIGN_MASTER_KEY: wrong }, { previousFile: join(folder, 'none') });
    expect(faults.map(({ path }) => path)).toEqual([
      ['COUNTERSIGN_MASTER_KEY'],
      ['previous_master_key_file'],
    ]);
    expect(JSON.stringify(faults)).not.toContain(TEXT);
    expect(faults[1]?.detail).toContain('does not exist');
  });

  it('shows itself in no log: neither as JSON nor inspected', () => {
    const shown = read({ COUNTERSIGN_MASTER_KEY: TEXT, COUNTERSIGN_PREVIOUS_MASTER_KEY: TEXT });
    for (const text of [JSON.stringify(shown), inspect(shown, { depth: 9, showHidden: true })]) {
      for (const form of [TEXT.slice(0, 20), BYTES.toString('hex').slice(0, 20), '255,254', 'fffefd']) {
        expect(text.toLowerCase()).not.toContain(form.toLowerCase());
      }
    }
  });
});
