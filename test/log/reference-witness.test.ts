import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signCheckpoint } from '../../src/tree/checkpoint.ts';
import { noteSigner } from '../../src/tree/note.ts';
import { createTerminal } from '../cli/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { buildGoTool, hasGo } from '../support/go-tools.ts';
import { record } from '../support/pass-time.ts';
import { continuation, treeHash } from '../support/tree-oracle.ts';

/* Somebody else's witness: the reference implementation, which omniwitness is made of (tools/witness). */

const NAME = 'witness.example/reference';

describe.skipIf(!hasGo('no checkpoint is sent to the reference witness'))('the reference witness', () => {
  let t: TestBroker;
  let witness: ChildProcess;
  let vkey: string;
  let url: string;
  /** Another log that the witness knows. */
  const other = noteSigner('flags.example/log/9', generateKeyPairSync('ed25519').privateKey);

  beforeAll(async () => {
    const tool = await buildGoTool('witness', 'witness');
    // A witness has the clock of the machine.
    t = await startTestBroker({ nowMs: Date.now(), config: { public_url: 'https://flags.example' } });
    const { body } = await t.call(null, 'GET', '/v1/log');
    const logs = join(t.folder, 'logs');
    await writeFile(logs, `${body.key.trim()}\n${other.verifier.vkey}\n`);
    witness = spawn(tool, [NAME, logs], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines: string[] = [];
    for await (const line of createInterface({ input: witness.stdout as NodeJS.ReadableStream }))
      if (lines.push(line) === 2) break;
    [vkey = '', url = ''] = lines;
    const file = join(t.folder, 'countersign.yaml');
    const config = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...config, witnesses: [{ url, key: vkey }] }));
    await t.restart();
  }, 400_000);
  afterAll(async () => {
    if (witness !== undefined) {
      witness.kill();
      if (witness.exitCode === null && witness.signalCode === null) await once(witness, 'exit');
    }
    await t?.close();
  });

  async function submit(): Promise<{ size: number; checkpoint: string; witnesses: object[] }> {
    t.clock.advance(10_000);
    await t.broker.scheduler.tick();
    return (await t.call(null, 'GET', '/v1/log')).body.cosigned;
  }

  it('cosigns our checkpoints as the log grows, and its cosignature is kept, served and counted', async () => {
    const first = await submit();
    const own = { name: NAME, fault: null, fault_status: null };
    expect(first).toMatchObject({ quorum: 1, witnesses: [{ ...own, size: first.size }] });
    expect(first.size).toBeGreaterThan(0);
    for (let turn = 0; turn < 3; turn += 1) expect(await record(t)).toBe(200);
    const grown = await submit();
    expect(grown).toMatchObject({ size: first.size + 3, witnesses: [own] });
    expect(await (await fetch(`${t.url}/log/checkpoint`)).text()).toBe(grown.checkpoint);
    expect(grown.checkpoint).toContain(`\n— ${NAME} `);
    await t.restart();
    expect((await t.call(null, 'GET', '/v1/log')).body.cosigned).toMatchObject({ size: grown.size });

    const terminal = createTerminal(t);
    const key = (await terminal.as('avery', 'audit', 'key')).out.trim();
    const verified = await terminal.as('avery', 'verify', '--key', key, '--witness', vkey, '--json');
    expect(verified.code).toBe(0);
    expect(verified.json.cosigned).toMatchObject({
      quorum: 1,
      size: grown.size,
      witnesses: [{ name: NAME }],
    });
  });

  it('refuses a fork, and a log that it does not know', async () => {
    const leaves = ['a', 'b', 'c', 'd', 'e'].map((text) => Buffer.from(text));
    const forked = leaves.with(1, Buffer.from('x'));
    const send = async (old: number, history: Buffer[], signer = other) => {
      const note = signCheckpoint({ size: history.length, root: treeHash(history) }, signer);
      const proof = old === 0 ? [] : continuation(old, history);
      const lines = [`old ${old}`, ...proof.map((hash) => hash.toString('base64'))];
      const body = `${lines.join('\n')}\n\n${note}`;
      return (await fetch(`${url}/add-checkpoint`, { method: 'POST', body })).status;
    };
    expect(await send(0, leaves.slice(0, 3))).toBe(200);
    expect(await send(3, forked)).toBe(422);
    expect(await send(3, forked.slice(0, 3))).toBe(422);
    expect(await send(0, forked)).toBe(409);
    expect(await send(3, leaves)).toBe(200);
    const stranger = noteSigner('flags.example/log/8', generateKeyPairSync('ed25519').privateKey);
    expect(await send(0, leaves, stranger)).toBe(404);
  });
});
