import { execFile, spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTerminal, type Terminal } from '../cli/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { appendTo } from '../support/entries.ts';
import { createFlag, propose } from '../support/flags.ts';

/*
 * Somebody else's code reads our log: that of Go's checksum database (golang.org/x/mod/sumdb), which is built where there is
 * Go. See tools/tlog.
 */

const run = promisify(execFile);
const TOOL = fileURLToPath(new URL('../../.cache/bin/tlog', import.meta.url));
const SOURCES = fileURLToPath(new URL('../../tools/tlog', import.meta.url));

const hasGo = spawnSync('go', ['version']).status === 0;
if (!hasGo)
  process.emitWarning(
    'SKIPPED: the log is not read by the Go checksum database code, because there is no Go',
  );

describe.skipIf(!hasGo)('the code of the Go checksum database', () => {
  let t: TestBroker;
  let terminal: Terminal;
  let folder: string;
  let key: string;
  let proofs: string[];

  beforeAll(async () => {
    const env = { ...process.env, GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local', CGO_ENABLED: '0' };
    await run('go', ['build', '-C', SOURCES, '-buildvcs=false', '-trimpath', '-o', TOOL, '.'], { env });
    t = await startTestBroker({ forged: true, config: { public_url: 'https://flags.example' } });
    terminal = createTerminal(t);
    await createFlag(t, 'read');
    const { body } = await propose(t, [{ action: 'enable', flag: 'read' }]);
    for (let turn = 0; turn < 600; turn += 1) await appendTo(t.broker.store);
    t.clock.advance(1000);
    folder = join(t.folder, 'published');
    await terminal.as('avery', 'publish', '--log', folder);
    key = (await terminal.as('avery', 'audit', 'key')).out;
    proofs = [];
    for (const record of [body.decision_id, '1', '256', '257', '600']) {
      const file = join(t.folder, `${record}.tlog-proof`);
      await terminal.as('avery', 'audit', 'proof', record, '--out', file);
      proofs.push(file);
    }
  }, 240_000);
  afterAll(() => t.close());

  /** @returns what it says, or the fault that it found */
  async function read(...files: string[]): Promise<string> {
    try {
      return (await run(TOOL, [key, folder, ...files])).stdout;
    } catch (error) {
      return (error as { stderr: string }).stderr;
    }
  }

  it('reads every record out of our tiles, and believes our checkpoint and our proofs', async () => {
    const { json } = await terminal.run('verify', folder, '--key', key, '--json');
    expect(JSON.parse(await read(...proofs))).toEqual({ origin: json.origin, size: json.size, proofs: 5 });
    expect(json.size).toBeGreaterThan(600);
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
      expect((await terminal.run('verify', folder, '--key', key)).code).toBe(6);
      await writeFile(file, good);
    },
    60_000,
  );
});
