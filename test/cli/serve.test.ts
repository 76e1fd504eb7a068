import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import { systemClock } from '../../src/clock.ts';
import { CHILD_ENV } from '../support/child-env.ts';
import { HAS_MOUNTS, within } from '../support/own-store.ts';
import { listening, MAIN, type Serving, serveIn, stop } from '../support/serving.ts';
import { startTokenIssuer, type TokenIssuer } from '../support/token-issuer.ts';

const DEMO = new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url);

let folder: string;
let people: TokenIssuer;
const running: Serving[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-serve-'));
  people = await startTokenIssuer(systemClock);
});
afterEach(async () => {
  for (const { child, exit } of running.splice(0)) {
    child.kill('SIGKILL');
    await exit;
  }
  await people.close();
  await rm(folder, { recursive: true, force: true });
});

/** With the demo's policy, unless the environment says otherwise. */
function serve(env: Record<string, string | undefined> = {}, words: string[] = [], before = ''): Serving {
  const withPolicy = { COUNTERSIGN_POLICY_BUNDLE: fileURLToPath(DEMO), ...env };
  const serving = serveIn(folder, { env: withPolicy, words, before });
  running.push(serving);
  return serving;
}

async function started(serving: Serving): Promise<Serving> {
  await listening(serving);
  return serving;
}

async function writeConfig(config: Record<string, unknown>): Promise<void> {
  await writeFile(join(folder, 'countersign.yaml'), JSON.stringify(config));
}

describe('a first start in an empty folder', () => {
  it('creates database and keys, activates the bundle, and says what it did and where it listens', async () => {
    const serving = serve();
    const url = await listening(serving);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    await serving.until('no issuers are configured');
    expect(serving.err()).toMatch(/database +created .*countersign\.db/);
    expect(serving.err()).toMatch(/master key +generated in .*countersign\.db\.master-key/);
    expect(serving.err()).toContain('Never back it up together with the database');
    expect(serving.err()).toMatch(/signing keys +generated/);
    expect(serving.err()).toMatch(/policy +activated sha256:[0-9a-f]{64}/);
    expect(await stop(serving)).toBe(0);
    // The write-ahead log was folded in: nothing was left half done.
    expect(await readdir(folder)).toEqual([
      'countersign.db',
      'countersign.db.acknowledged',
      'countersign.db.lock',
      'countersign.db.master-key',
    ]);
  });

  it('is followed by starts that keep what is there', async () => {
    const first = serve();
    const before = await (await fetch(`${await listening(first)}/.well-known/jwks.json`)).text();
    await stop(first);
    const second = serve();
    const after = await (await fetch(`${await listening(second)}/.well-known/jwks.json`)).text();
    expect(after).toBe(before);
    expect(second.err()).toMatch(/database +opened/);
    expect(second.err()).toMatch(/master key +loaded from .*countersign\.db\.master-key/);
    expect(second.err()).not.toContain('back it up');
    expect(second.err()).toMatch(/signing keys +loaded/);
    expect(second.err()).toMatch(/policy +active sha256:/);
    expect(second.err()).not.toContain('NOT activated');
    expect(second.err()).not.toContain('does not know');
  });
});

describe('a first start without a bundle of its own', () => {
  it("takes nobody else's policy: exits with 1, says what to name, and creates nothing", async () => {
    const serving = serve({ COUNTERSIGN_POLICY_BUNDLE: undefined });
    expect(await serving.exit).toBe(1);
    expect(serving.err()).toContain('no policy is active yet');
    expect(serving.err()).toContain('policy_bundle');
    expect(serving.err()).toContain('countersign init');
    expect(serving.err()).toContain('make demo');
    const example = /\S+\/examples\/demo\/bundle\.tar\.gz/.exec(serving.err())?.[0];
    expect(example).toBe(fileURLToPath(DEMO));
    expect(await readdir(folder)).toEqual([]);
    await stop(await started(serve({ COUNTERSIGN_POLICY_BUNDLE: example })));
    const later = await started(serve({ COUNTERSIGN_POLICY_BUNDLE: undefined }));
    expect(later.err()).toMatch(/policy +active sha256:/);
    expect(later.err()).not.toContain('warning         /');
  });

  it('does not take it for a database without a policy either', async () => {
    await writeFile(join(folder, 'countersign.db'), '');
    const serving = serve({ COUNTERSIGN_POLICY_BUNDLE: undefined });
    expect(await serving.exit).toBe(1);
    expect(serving.err()).toContain('no policy is active yet');
  });
});

describe('a first start with a policy that binds nobody of the configured issuers', () => {
  const issuer = () => ({
    ...{ key: 'demo', issuer: people.issuer, allow_insecure_loopback: true, audience: 'countersign-cli' },
  });

  it('stops, says who is bound and what to correct, and activates nothing', async () => {
    await writeConfig({ issuers: [issuer()] });
    const serving = serve();
    expect(await serving.exit).toBe(1);
    expect(serving.err()).toContain('nobody could propose or approve under this policy');
    expect(serving.err()).toContain(`configured: ${people.issuer}`);
    expect(serving.err()).toContain("in the policy's bindings: http://127.0.0.1:9401");
    expect(serving.err()).not.toMatch(/^ +at /m);
    const again = serve();
    expect(await again.exit).toBe(1);
    expect(again.err()).toContain('nobody could propose or approve');
  });

  it('goes on with --force, and says it later, too', async () => {
    await writeConfig({ issuers: [issuer()] });
    const forced = await started(serve({}, ['--force']));
    await forced.until('somebody who signs in at a configured issuer could propose or approve');
    await stop(forced);
    // It is active now; a start is no reason to stop, but to say it.
    const later = serve();
    const url = await listening(later);
    await later.until('could propose or approve');
    const ready = await (await fetch(`${url}/readyz`)).json();
    expect(ready).toMatchObject({ status: 'ready', warnings: [{ code: 'nobody_bound' }] });
    // Neither names nor places of bindings are for everybody.
    expect(JSON.stringify(ready)).not.toMatch(/9401|127\.0\.0\.1/);
  });
});

describe('a command as a process', () => {
  it('gives its exit status to the shell, and its one document to a pipe', async () => {
    const serving = serve();
    const url = await listening(serving);
    const env = { ...CHILD_ENV, HOME: folder, COUNTERSIGN_URL: url };
    const list = spawnSync(process.execPath, [MAIN, 'list', '--json'], { env, encoding: 'utf8' });
    expect(list.status).toBe(7);
    expect(JSON.parse(list.stdout)).toMatchObject({ code: 'not_signed_in' });
    const env2 = { ...env, COUNTERSIGN_TOKEN: 'not-a-token' };
    const refused = spawnSync(process.execPath, [MAIN, 'list', '--json'], { env: env2, encoding: 'utf8' });
    expect(refused.status).toBe(7);
    expect(JSON.parse(refused.stdout)).toMatchObject({ code: 'token_invalid' });
    const closed = spawnSync('sh', ['-c', '"$0" "$@" | true', process.execPath, MAIN, '--help'], { env });
    expect(closed.stderr.toString()).toBe('');
  });
});

describe('a start with a bundle that differs from the active one', () => {
  it('reports both hashes and goes on with the active one', async () => {
    const file = join(folder, 'bundle.tar.gz');
    const named = { COUNTERSIGN_POLICY_BUNDLE: 'bundle.tar.gz' };
    await writeFile(file, await readFile(DEMO));
    const first = serve(named);
    await listening(first);
    await stop(first);
    const active = /activated (sha256:\S+)/.exec(first.err())?.[1] ?? '';
    const looser = (data: unknown) => {
      const edited = structuredClone(data) as { config: { limits: { breakglass_per_week: number } } };
      edited.config.limits.breakglass_per_week = 99;
      return edited;
    };
    await writeFile(file, await rebundle(await readFile(DEMO), looser));
    for (const _ of ['once', 'and ever after']) {
      const again = serve(named);
      await listening(again);
      const other = /is a different policy, (sha256:[0-9a-f]{64}), and was NOT activated/.exec(
        again.err(),
      )?.[1];
      expect(other).toBeDefined();
      expect(other).not.toBe(active);
      expect(again.err()).toMatch(new RegExp(`policy +active ${active}`));
      await stop(again);
    }
  });
});

describe('a start on an active bundle that is older than the list of operations', () => {
  it('names the operations that it does not know under any name, and what to do, and goes on', async () => {
    const older = (data: unknown) => {
      const { config } = data as { config: { operations: Record<string, unknown> } };
      // The last one is asked for under its former name.
      for (const name of ['trust.test', 'request.reject', 'key.read']) delete config.operations[name];
      return data;
    };
    await writeFile(join(folder, 'older.tar.gz'), await rebundle(await readFile(DEMO), older));
    await stop(await started(serve({ COUNTERSIGN_POLICY_BUNDLE: 'older.tar.gz' })));
    // The upgrade: the configured bundle has all operations, but the active one stays.
    const upgraded = serve();
    const url = await listening(upgraded);
    expect(upgraded.err()).toContain(
      'does not know these operations, and denies them: request.reject, trust.test.',
    );
    expect(upgraded.err()).toContain('config/operations');
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('countersign_policy_unknown_operations 2');
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });
});

describe('a start without the bundle that the configuration names', () => {
  it('goes on with the active policy once there is one', async () => {
    await stop(await started(serve()));
    const again = await started(serve({ COUNTERSIGN_POLICY_BUNDLE: 'missing.tar.gz' }));
    expect(again.err()).toMatch(/missing\.tar\.gz cannot be read, which does not affect the active policy/);
    expect(await stop(again)).toBe(0);
  });
});

describe('a configuration that cannot be used', () => {
  it('exits with 2, names every fault at once, and creates nothing', async () => {
    await writeConfig({ listen: { port: 99_999 }, log_level: 'loud', databse: 'x', issuers: [{ key: 'K' }] });
    const serving = serve({ COUNTERSIGN_PORT: '' });
    expect(await serving.exit).toBe(2);
    for (const place of ['listen.port', 'log_level', 'databse', 'issuers.0.key', 'issuers.0.issuer']) {
      expect(serving.err()).toContain(place);
    }
    expect(await readdir(folder)).toEqual(['countersign.yaml']);
  });

  it('exits with 2, naming key and path, when bundle and folder are not there, and creates nothing', async () => {
    await writeConfig({ policy_bundle: 'missing.tar.gz', listen: { prot: 1 } });
    const serving = serve({
      COUNTERSIGN_POLICY_BUNDLE: undefined,
      COUNTERSIGN_DATABASE: 'nowhere/countersign.db',
    });
    expect(await serving.exit).toBe(2);
    expect(serving.err()).toMatch(/policy_bundle: \S+missing\.tar\.gz is neither a readable file/);
    expect(serving.err()).toMatch(
      /database \(COUNTERSIGN_DATABASE\): the directory \S+nowhere does not exist;/,
    );
    expect(serving.err()).toContain('did you mean port?');
    expect(await readdir(folder)).toEqual(['countersign.yaml']);
  });

  it('exits with 2 for a named file that is not there', async () => {
    const serving = serve({}, ['--config', 'nowhere.yaml']);
    expect(await serving.exit).toBe(2);
    expect(serving.err()).toContain('nowhere.yaml');
  });

  it('exits with 1 when the port is taken or the bundle is none', async () => {
    const first = serve();
    const port = new URL(await listening(first)).port;
    const second = serve({ COUNTERSIGN_PORT: port, COUNTERSIGN_DATABASE: 'second.db' });
    expect(await second.exit).toBe(1);
    expect(second.err()).toMatch(
      /cannot listen on 127\.0\.0\.1, port \d+ \(EADDRINUSE\): another program listens there/,
    );
    expect(second.err()).not.toMatch(/^ +at /m);
    expect((await readdir(folder)).filter((name) => name.startsWith('second'))).toEqual([]);
    await writeFile(join(folder, 'bundle.tar.gz'), 'no bundle');
    const third = serve({ COUNTERSIGN_POLICY_BUNDLE: 'bundle.tar.gz', COUNTERSIGN_DATABASE: 'third.db' });
    expect(await third.exit).toBe(1);
    expect(third.err()).toContain('tar.gz');
  });

  it('is warned about when others could listen in', async () => {
    const open = serve({ COUNTERSIGN_HOST: '0.0.0.0' });
    await open.until('tokens would be sent unencrypted');
    await stop(open);
    const behindTls = serve({
      COUNTERSIGN_HOST: '0.0.0.0',
      COUNTERSIGN_PUBLIC_URL: 'https://countersign.example',
    });
    await behindTls.until('no issuers are configured');
    expect(behindTls.err()).not.toContain('sent unencrypted');
  });
});

describe('a database whose master key is not there', () => {
  it('is not served: exits with 1 and a clear message, and no key is in the log', async () => {
    await stop(await started(serve()));
    const file = join(folder, 'countersign.db.master-key');
    const kept = (await readFile(file, 'utf8')).trim();
    await rm(file);
    const without = serve();
    expect(await without.exit).toBe(1);
    expect(without.err()).toContain(`${file} is missing. Restore it`);
    const wrong = Buffer.alloc(32, 1).toString('base64');
    const mistaken = serve({ COUNTERSIGN_MASTER_KEY: wrong });
    expect(await mistaken.exit).toBe(1);
    expect(mistaken.err()).toContain('COUNTERSIGN_MASTER_KEY contains another one');
    expect(mistaken.err()).not.toContain(wrong);
    expect(await readdir(folder)).toEqual([
      'countersign.db',
      'countersign.db.acknowledged',
      'countersign.db.lock',
    ]);
    const right = await started(serve({ COUNTERSIGN_MASTER_KEY: kept }));
    expect(right.err()).toMatch(/master key +loaded from COUNTERSIGN_MASTER_KEY/);
    await stop(right);
    const both = serve({ COUNTERSIGN_MASTER_KEY: `${kept}x` });
    expect(await both.exit).toBe(2);
    expect(both.err()).toContain('COUNTERSIGN_MASTER_KEY: expected 32 random bytes');
    expect(both.err()).not.toContain(kept);
  });
});

describe('a signal to stop', () => {
  it('lets what was begun finish, and takes nothing new', async () => {
    const serving = serve();
    const url = new URL(await listening(serving));
    await serving.until('no issuers');
    // A call whose last byte has not arrived yet.
    const socket = connect(Number(url.port), url.hostname);
    await once(socket, 'connect');
    const form = 'grant_type=x';
    socket.write(
      `POST /oauth/token HTTP/1.1\r\nHost: ${url.host}\r\nContent-Type: application/x-www-form-urlencoded\r\n` +
        `Content-Length: ${form.length}\r\n\r\n${form.slice(0, 5)}`,
    );
    // An answer to another call shows that the bytes before it have been read.
    await fetch(`${url.origin}/healthz`);
    serving.child.kill('SIGTERM');
    await serving.until('stopping');
    await expect(fetch(`${url.origin}/healthz`)).rejects.toThrow();
    socket.end(form.slice(5));
    let answer = '';
    for await (const part of socket) answer += String(part);
    expect(answer).toContain('HTTP/1.1 400');
    expect(answer).toContain('unsupported_grant_type');
    expect(await serving.exit).toBe(0);
    expect(serving.err()).toContain('stopped');
  });

  it('ends at once when it comes a second time', async () => {
    const serving = serve();
    const url = new URL(await listening(serving));
    await serving.until('no issuers');
    const socket = connect(Number(url.port), url.hostname);
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write(
      `POST /oauth/token HTTP/1.1\r\nHost: ${url.host}\r\nContent-Type: application/x-www-form-urlencoded\r\n` +
        'Content-Length: 100\r\n\r\nnever ends',
    );
    await fetch(`${url.origin}/healthz`);
    serving.child.kill('SIGINT');
    await serving.until('stopping');
    serving.child.kill('SIGINT');
    expect(await serving.exit).toBe(130);
    socket.destroy();
  });
});

describe('a disk that fails', () => {
  it('stops writes and says so, while the broker goes on reading, and the next start writes again', async () => {
    await writeConfig({
      calls_per_minute: 0,
      attempts_per_minute: 0,
      issuers: [
        { key: 'demo', issuer: people.issuer, allow_insecure_loopback: true, audience: 'countersign-cli' },
      ],
    });
    // Dana has no role here: each of her calls is a record.
    const first = serve({}, ['--force']);
    await listening(first);
    await stop(first);
    // No file may grow much beyond the size of the database, so the write-ahead log fails after a while.
    const blocks = Math.ceil((await stat(join(folder, 'countersign.db'))).size / 512) + 512;
    const limited = serve({}, [], `trap '' XFSZ; ulimit -f ${blocks};`);
    const url = await listening(limited);
    const headers = { authorization: `Bearer ${await people.idToken('dana')}` };
    const decide = async () => {
      const answer = await fetch(`${url}/v1/decisions`, { headers });
      return { status: answer.status, ...((await answer.json()) as { code: string; detail: string }) };
    };
    const codes = new Set<string>();
    for (let count = 0; count < 5000 && !codes.has('not_recorded'); count += 1)
      codes.add((await decide()).code);
    expect(codes).toEqual(new Set(['policy_denied', 'not_recorded']));
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const readiness = await fetch(`${url}/readyz?for=writes`);
    expect(readiness.status).toBe(503);
    expect(await readiness.json()).toMatchObject({
      checks: { store: 'ok', writes: 'failing' },
      refusal: {
        code: 'not_recorded',
        detail: expect.stringContaining('because its disk is full'),
      },
    });
    expect(await stop(limited)).toBe(0);
    const again = serve();
    expect((await fetch(`${await listening(again)}/readyz?for=writes`)).status).toBe(200);
  }, 120_000);

  it.skipIf(!HAS_MOUNTS)(
    'at the start is told there, in the log and by readiness, while flags are served',
    async () => {
      const first = serve();
      await listening(first);
      await stop(first);
      const readOnly = serveIn(folder, {
        env: { COUNTERSIGN_POLICY_BUNDLE: fileURLToPath(DEMO) },
        within: within(`mount --bind '${folder}' '${folder}' && mount -o remount,bind,ro '${folder}'`),
      });
      running.push(readOnly);
      const url = await listening(readOnly);
      await readOnly.until('writes are refused (store_unwritable)');
      await readOnly.until('serves a copy');
      expect((await fetch(`${url}/readyz`)).status).toBe(200);
      expect(await (await fetch(`${url}/readyz?for=writes`)).json()).toMatchObject({
        refusal: { code: 'store_unwritable', detail: expect.stringContaining('mount its disk writable') },
      });
      expect(await stop(readOnly)).toBe(0);
      const again = serve();
      expect((await fetch(`${await listening(again)}/readyz?for=writes`)).status).toBe(200);
    },
    120_000,
  );
});
