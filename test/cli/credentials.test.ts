import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Credentials, createCredentials, type KeptSignIn } from '../../src/cli/auth/credentials.ts';
import { CliError } from '../../src/cli/cli-error.ts';

let home: string;
let credentials: Credentials;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'countersign-home-'));
  credentials = createCredentials({ env: {}, home });
});
afterEach(() => rm(home, { recursive: true, force: true }));

const BROKER = 'https://one.example';
const signIn = (id_token: string): KeptSignIn => ({
  issuer: 'demo',
  id_token,
  expires_ms: 1,
  flow: 'browser',
});
const keep = (broker: string, id_token: string): Promise<void> =>
  credentials.update(broker, (kept) => ({ ...kept, sign_in: signIn(id_token) }));

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

/** The code of the refusal to use what is there, and what it says. */
async function refusal(): Promise<{ code: string; detail: string }> {
  const error: unknown = await credentials.load(BROKER).catch((reason: unknown) => reason);
  if (!(error instanceof CliError)) throw new Error('it was taken');
  return error.problem;
}

describe('the credentials file', () => {
  it('can be read by its owner only, as can its folder, whatever that was before', async () => {
    const folder = dirname(credentials.file);
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o755);
    await keep(BROKER, 'first');
    expect(await modeOf(credentials.file)).toBe(0o600);
    expect(await modeOf(folder)).toBe(0o700);
    await keep(BROKER, 'second');
    expect(await modeOf(credentials.file)).toBe(0o600);
    expect(await readdir(folder)).toEqual(['credentials.json']);
  });

  it.each([0o640, 0o604, 0o620, 0o602, 0o601, 0o777])('is not used when its mode is %o', async (mode) => {
    await keep(BROKER, 'first');
    await chmod(credentials.file, mode);
    const { code, detail } = await refusal();
    expect(code).toBe('credentials_not_private');
    expect(detail).toContain(mode.toString(8));
    expect(detail).toContain(`rm ${credentials.file}`);
    // Nor is it made private in silence: whoever has read it has the tokens anyway.
    expect(await modeOf(credentials.file)).toBe(mode);
    await expect(keep(BROKER, 'second')).rejects.toThrow(CliError);
    expect(await readFile(credentials.file, 'utf8')).toContain('first');
  });

  it('is not used when it is a link, wherever that leads', async () => {
    const elsewhere = join(home, 'elsewhere.json');
    await keep(BROKER, 'first');
    await writeFile(elsewhere, await readFile(credentials.file), { mode: 0o600 });
    await rm(credentials.file);
    await symlink(elsewhere, credentials.file);
    expect(await refusal()).toMatchObject({ code: 'credentials_not_private' });
    await rm(elsewhere);
    expect((await refusal()).detail).toContain('symbolic link');
  });

  // Only root can give files away.
  it.runIf(process.getuid?.() === 0)('is not used when it belongs to somebody else', async () => {
    await keep(BROKER, 'planted');
    await chown(credentials.file, 65_534, 65_534);
    const { code, detail } = await refusal();
    expect(code).toBe('credentials_not_private');
    expect(detail).toContain('another user');
  });

  it('is what was checked: a link that takes its place in between is never followed', async () => {
    const elsewhere = join(home, 'elsewhere.json');
    await keep(BROKER, 'foreign');
    await writeFile(elsewhere, await readFile(credentials.file), { mode: 0o600 });
    await keep(BROKER, 'own');
    const own = await readFile(credentials.file);
    let swapping = true;
    const swap = (async () => {
      for (let turn = 0; swapping; turn += 1) {
        const fresh = join(home, `fresh-${turn}`);
        if (turn % 2 === 0) await symlink(elsewhere, fresh);
        else await writeFile(fresh, own, { mode: 0o600 });
        await rename(fresh, credentials.file);
      }
    })();
    const seen = new Set<string>();
    for (let turn = 0; turn < 500; turn += 1) {
      const outcome = await credentials.load(BROKER).then(
        ({ sign_in }) => sign_in?.id_token ?? 'nothing',
        (error: CliError) => error.problem.code,
      );
      seen.add(outcome);
    }
    swapping = false;
    await swap;
    expect([...seen].sort()).toEqual(['credentials_not_private', 'own']);
  });

  it('is not used unless it is a regular file: a pipe without a writer blocks nothing', async () => {
    const folder = dirname(credentials.file);
    await mkdir(folder, { recursive: true });
    await once(spawn('mkfifo', [credentials.file]), 'close');
    expect((await refusal()).detail).toContain('not a regular file');
    await rm(credentials.file);
    await mkdir(credentials.file);
    expect((await refusal()).code).toMatch(/^credentials_/);
  });

  it('is replaced, never written into: another name of the former file keeps the former text', async () => {
    await keep(BROKER, 'first');
    const held = join(home, 'held');
    await link(credentials.file, held);
    await keep(BROKER, 'second');
    expect(await readFile(held, 'utf8')).toContain('first');
    expect(await readFile(held, 'utf8')).not.toContain('second');
  });

  it('is never partly written, and loses nothing, under concurrent reads and writes', async () => {
    const brokers = Array.from({ length: 10 }, (_, place) => `https://${place}.example`);
    const others = brokers.map(() => createCredentials({ env: {}, home }));
    let writing = true;
    const modes = new Set<number>();
    const reading = (async () => {
      while (writing) {
        await credentials.load(BROKER);
        const now = await modeOf(credentials.file).catch(() => null);
        if (now !== null) modes.add(now);
      }
    })();
    await Promise.all(
      brokers.map((broker, place) => others[place]?.update(broker, () => ({ sign_in: signIn(broker) }))),
    );
    writing = false;
    await reading;
    for (const broker of brokers) expect((await credentials.load(broker)).sign_in?.id_token).toBe(broker);
    expect([...modes]).toEqual([0o600]);
    expect(await readdir(dirname(credentials.file))).toEqual(['credentials.json']);
  });

  it('can be written again after a command was killed that held the lock', async () => {
    await keep(BROKER, 'first');
    await mkdir(`${credentials.file}.lock`);
    await keep(BROKER, 'second');
    expect((await credentials.load(BROKER)).sign_in?.id_token).toBe('second');
    expect(await readdir(dirname(credentials.file))).toEqual(['credentials.json']);
  }, 20_000);

  it('keeps each broker apart, and forgets only the one that is signed out of', async () => {
    await keep(BROKER, 'first');
    await keep('https://two.example', 'second');
    expect(await credentials.remove(BROKER)).toBe(true);
    expect(await credentials.remove(BROKER)).toBe(false);
    expect(await credentials.load(BROKER)).toEqual({});
    expect((await credentials.load('https://two.example')).sign_in?.id_token).toBe('second');
    expect(await readFile(credentials.file, 'utf8')).not.toContain('first');
  });

  it('reports that it cannot be written, and what to do', async () => {
    await writeFile(join(home, '.config'), 'a file in the way');
    const error: unknown = await keep(BROKER, 'first').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ exitCode: 1, problem: { code: 'credentials_unwritable' } });
    expect((error as CliError).problem.detail).toContain('XDG_CONFIG_HOME');
  });

  it('makes nothing when there is nothing to forget', async () => {
    expect(await credentials.remove(BROKER)).toBe(false);
    expect(await readdir(home)).toEqual([]);
  });

  it('is in XDG_CONFIG_HOME when that is absolute', () => {
    const file = (XDG_CONFIG_HOME: string) =>
      createCredentials({ env: { XDG_CONFIG_HOME }, home: '/h' }).file;
    expect(file('/x')).toBe('/x/countersign/credentials.json');
    expect(file('relative')).toBe('/h/.config/countersign/credentials.json');
    expect(file('')).toBe('/h/.config/countersign/credentials.json');
  });

  it('that is damaged is named, never overwritten', async () => {
    await mkdir(dirname(credentials.file), { recursive: true });
    await writeFile(credentials.file, '{"brokers":', { mode: 0o600 });
    const { code, detail } = await refusal();
    expect(code).toBe('credentials_unusable');
    expect(detail).toContain(credentials.file);
    await expect(keep(BROKER, 'second')).rejects.toThrow(CliError);
    expect(await readFile(credentials.file, 'utf8')).toBe('{"brokers":');
  });

  it('of a former version keeps its sign-in', async () => {
    await mkdir(dirname(credentials.file), { recursive: true });
    const sign_in = { issuer: 'demo', id_token: 'former', expires_ms: 1 };
    const exchanged = { subject_digest: 'x', access_token: 'y', expires_ms: 1 };
    const text = JSON.stringify({ brokers: { [BROKER]: { sign_in, exchanged } } });
    await writeFile(credentials.file, text, { mode: 0o600 });
    expect(await credentials.load(BROKER)).toEqual({ sign_in: { ...sign_in, flow: 'browser' } });
  });
});
