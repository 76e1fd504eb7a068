import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** The installed command starts with whatever `node` is first on the path: here the one that runs the tests. */
const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH ?? ''}` };
let folder: string;
let command: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-package-'));
  await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: ROOT, env });
  const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz'));
  if (tarball === undefined) throw new Error('npm pack made no tarball');
  await run(
    'npm',
    ['install', '--silent', '--no-audit', '--no-fund', '--omit=dev', '--prefer-offline', `./${tarball}`],
    {
      cwd: folder,
      env,
    },
  );
  command = join(folder, 'node_modules', '.bin', 'countersign');
}, 240_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

it('the packed tarball, installed in an empty folder, explains itself', async () => {
  const { stdout } = await run(command, ['--help'], { cwd: folder, env });
  expect(stdout).toContain('serve');
  expect(stdout).toContain('propose');
});

it('the packed tarball serves from an empty folder, and stops gracefully', async () => {
  const empty = await mkdtemp(join(folder, 'empty-'));
  const example = join(folder, 'node_modules/countersign/policies/examples/demo/bundle.tar.gz');
  const child = spawn(command, ['serve'], {
    cwd: empty,
    env: { ...env, COUNTERSIGN_PORT: '0', COUNTERSIGN_POLICY_BUNDLE: example },
  });
  let told = '';
  const url = await new Promise<string>((resolve, reject) => {
    const listen = (chunk: Buffer) => {
      told += chunk.toString();
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(told);
      if (found !== null) resolve(found[0]);
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    child.once('exit', (code) => reject(new Error(`serve ended with ${code}: ${told}`)));
  });
  const ready = await fetch(`${url}/readyz`);
  expect(ready.status).toBe(200);
  const code = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  expect(await code).toBe(0);
  expect(await readdir(empty)).toContain('countersign.db');
});
