import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rebundle, replaceText } from '../../fixtures/rebundle.ts';
import { systemClock } from '../../src/clock.ts';
import { CHILD_ENV } from '../support/child-env.ts';
import { listening, MAIN, type Serving, serveIn, stop } from '../support/serving.ts';
import { startTokenIssuer, type TokenIssuer } from '../support/token-issuer.ts';

/* Real processes that are killed, and real files that are copied and put back. */

let folder: string;
let people: TokenIssuer;
let serving: Serving;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-operator-'));
  people = await startTokenIssuer(systemClock);
  const issuer = {
    key: 'demo',
    issuer: people.issuer,
    allow_insecure_loopback: true,
    audience: 'countersign-cli',
  };
  // Denials of strangers coalesce, so dana has a role here.
  const shipped = await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
  const bound = await rebundle(shipped, (data) =>
    replaceText(data, { 'http://127.0.0.1:9401': people.issuer }),
  );
  const policy_bundle = join(folder, 'bundle.tar.gz');
  await writeFile(policy_bundle, bound);
  const config = { calls_per_minute: 0, attempts_per_minute: 0, policy_bundle, issuers: [issuer] };
  await writeFile(join(folder, 'countersign.yaml'), JSON.stringify(config));
});
afterEach(async () => {
  serving.child.kill('SIGKILL');
  await serving.exit;
  await people.close();
  await rm(folder, { recursive: true, force: true });
});

async function start(): Promise<string> {
  serving = serveIn(folder);
  return listening(serving);
}

async function kill(): Promise<void> {
  serving.child.kill('SIGKILL');
  await serving.exit;
}

/** Denied because of a missing role, which is a record. */
async function deny(url: string): Promise<{ status: number; code: string }> {
  const headers = { authorization: `Bearer ${await people.idToken('dana')}` };
  const answer = await fetch(`${url}/v1/decisions`, { headers });
  return { status: answer.status, code: ((await answer.json()) as { code: string }).code };
}

const DENIED = { status: 403, code: 'policy_denied' };

/** Copies the database as a backup does, without the file beside it. */
async function copyDatabase(from: string, to: string): Promise<void> {
  for (const part of ['', '-wal', '-shm']) {
    await rm(`${to}${part}`, { force: true });
    await cp(`${from}${part}`, `${to}${part}`).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}

function command(...words: string[]): { status: number | null; stderr: string } {
  const env = { ...CHILD_ENV, HOME: folder };
  const { status, stderr } = spawnSync(process.execPath, [MAIN, ...words], {
    cwd: folder,
    env,
    encoding: 'utf8',
  });
  return { status, stderr };
}

describe('a killed broker', () => {
  it('starts again on its own files, and on a copy of them only when an operator accepts it', async () => {
    const file = join(folder, 'countersign.db');
    let url = await start();
    for (let count = 0; count < 3; count += 1) expect(await deny(url)).toEqual(DENIED);
    await kill();
    await copyDatabase(file, join(folder, 'backup.db'));
    url = await start();
    for (let count = 0; count < 40; count += 1) expect(await deny(url)).toEqual(DENIED);
    await kill();
    // Nothing that was acknowledged is missing, so nothing is refused.
    url = await start();
    expect(await deny(url)).toEqual(DENIED);
    expect(serving.err()).not.toContain('writes are refused');
    await kill();

    await copyDatabase(join(folder, 'backup.db'), file);
    url = await start();
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const readiness = await fetch(`${url}/readyz?for=writes`);
    expect(await readiness.json()).toMatchObject({ refusal: { code: 'restored_copy' } });
    expect(await deny(url)).toEqual({ status: 503, code: 'restored_copy' });
    await serving.until('countersign accept-restore');
    expect(serving.err()).toMatch(/warning +writes are refused \(restored_copy\); flags are still served/);
    expect(command('accept-restore', '--reason', 'x', '--yes')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('is in use by another broker'),
    });
    expect(await stop(serving)).toBe(0);

    expect(command('accept-restore').status).toBe(2);
    // Nobody can be asked here.
    expect(command('accept-restore', '--reason', 'disk lost')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--yes'),
    });
    expect(command('accept-restore', '--reason', 'disk lost', '--yes').status).toBe(0);
    url = await start();
    expect((await fetch(`${url}/readyz?for=writes`)).status).toBe(200);
    expect(serving.err()).not.toContain('writes are refused');
    await kill();
  }, 180_000);
});
