import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTerminal, type Terminal } from '../cli/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { appendTo } from '../support/entries.ts';
import { createFlag, propose } from '../support/flags.ts';
import { buildGoTool, hasGo } from '../support/go-tools.ts';

/*
 * Somebody else's code reads our log: that of Go's checksum database (golang.org/x/mod/sumdb, see tools/tlog), and the fsck of
 * Tessera, a library for such logs. Both are built where there is Go.
 */

const run = promisify(execFile);

describe.skipIf(!hasGo('the log is not read by the code of others'))('the code of others', () => {
  let t: TestBroker;
  let terminal: Terminal;
  let folder: string;
  let key: string;
  let keyFile: string;
  let proofs: string[];
  let reader: string;
  let checker: string;

  beforeAll(async () => {
    reader = await buildGoTool('tlog', 'tlog');
    checker = await buildGoTool('fsck', 'tessera', 'github.com/transparency-dev/tessera/cmd/fsck');
    t = await startTestBroker({ forged: true, config: { public_url: 'https://flags.example' } });
    terminal = createTerminal(t);
    await createFlag(t, 'read');
    const { body } = await propose(t, [{ action: 'enable', flag: 'read' }]);
    for (let turn = 0; turn < 600; turn += 1) await appendTo(t.broker.store);
    t.clock.advance(1000);
    folder = join(t.folder, 'published');
    await terminal.as('avery', 'publish', '--log', folder);
    key = (await terminal.as('avery', 'audit', 'key')).out;
    keyFile = join(t.folder, 'log.key');
    await writeFile(keyFile, key);
    proofs = [];
    for (const record of [body.decision_id, '1', '256', '257', '600']) {
      const file = join(t.folder, `${record}.tlog-proof`);
      await terminal.as('avery', 'audit', 'proof', record, '--out', file);
      proofs.push(file);
    }
  }, 400_000);
  afterAll(() => t.close());

  /** Reads the published log with the code of the checksum database. @returns what it says, or the fault that it found */
  async function read(...files: string[]): Promise<string> {
    try {
      return (await run(reader, [key, folder, ...files])).stdout;
    } catch (error) {
      return (error as { stderr: string }).stderr;
    }
  }

  /** Runs Tessera's fsck, whose exit status is always 0. @returns the fault that it logs, or null */
  async function fsck(url: string, ...more: string[]): Promise<string | null> {
    const argv = [`--storage_url=${url}`, `--public_key=${keyFile}`, '--ui=false', '--logtostderr=true'];
    // With one worker it waits for ever after a fault.
    const { stderr } = await run(checker, [...argv, '--N=16', ...more]);
    if (stderr.includes("Successfully fsck'd log")) return null;
    return /fsck failed: .*/.exec(stderr)?.[0] ?? stderr;
  }

  it('reads every record out of our tiles, and believes our checkpoint and our proofs', async () => {
    const { json } = await terminal.run('verify', folder, '--key', key, '--json');
    expect(JSON.parse(await read(...proofs))).toEqual({ origin: json.origin, size: json.size, proofs: 5 });
    expect(json.size).toBeGreaterThan(600);
    expect(await fsck(`file://${folder}/`)).toBeNull();
  }, 60_000);

  it('reads the log of the running broker, with a token', async () => {
    const token = await t.people.idToken('avery');
    expect(await fsck(`${t.url}/log/`, `--bearer_token=${token}`)).toBeNull();
    expect(await fsck(`${t.url}/log/`)).toContain('401');
  }, 60_000);

  it.each(['checkpoint', 'tile/0/000', 'tile/1/000.p/2', 'tile/entries/001'])(
    'finds one changed byte of %s, as we do',
    async (path) => {
      const file = join(folder, path);
      const good = await readFile(file);
      const changed = Buffer.from(good);
      changed[40] = (changed[40] ?? 0) ^ 1;
      await writeFile(file, changed);
      expect(await read()).toMatch(/^tlog: /);
      expect(await fsck(`file://${folder}/`)).not.toBeNull();
      expect((await terminal.run('verify', folder, '--key', key)).code).toBe(6);
      await writeFile(file, good);
    },
    60_000,
  );
});
