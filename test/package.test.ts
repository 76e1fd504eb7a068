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

/** Serves that bundle in a folder, and stops when it is ready. */
async function serve(cwd: string, bundle: string): Promise<void> {
  const child = spawn(command, ['serve'], {
    cwd,
    env: { ...env, COUNTERSIGN_PORT: '0', COUNTERSIGN_POLICY_BUNDLE: bundle },
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
}

it('the packed tarball serves from an empty folder, and stops gracefully', async () => {
  const empty = await mkdtemp(join(folder, 'empty-'));
  await serve(empty, join(folder, 'node_modules/countersign/policies/examples/demo/bundle.tar.gz'));
  expect(await readdir(empty)).toContain('countersign.db');
});

it('the packed tarball begins a policy, checks, tests and builds it without opa, and serves it', async () => {
  const own = await mkdtemp(join(folder, 'own-'));
  const policy = async (...words: string[]) =>
    (await run(command, ['policy', ...words], { cwd: own, env: { ...env, PATH: dirname(process.execPath) } }))
      .stdout;
  await policy('init', 'policy', '--issuer', 'https://login.example.com');
  expect(await policy('check', 'policy')).toMatch(/cases +\d+ passed, 0 failed/);
  expect(await policy('test', 'policy')).toMatch(/0 failed/);
  expect(await policy('build', 'policy', '-o', 'bundle.tar.gz')).toContain('module: shipped');
  const files = await readdir(join(folder, 'node_modules/countersign/policies'), { recursive: true });
  expect(files.filter((path) => /_test\.rego$|testdata/.test(path))).toEqual([]);
  await serve(own, join(own, 'bundle.tar.gz'));
});
