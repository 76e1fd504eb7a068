import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { systemClock } from '../src/clock.ts';
import { type Registry, startRegistry } from './support/registry.ts';
import { startTokenIssuer } from './support/token-issuer.ts';

// npm and the installed command take their time on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** The installed command starts with whatever `node` is first on the path: here the one that runs the tests. */
const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH ?? ''}` };
let folder: string;
let registry: Registry;
let command: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-package-'));
  registry = await startRegistry(await mkdtemp(join(folder, 'registry-')));
  const credentials = join(folder, 'publisher.npmrc');
  await writeFile(credentials, `registry=${registry.url}\n${registry.credentials}\n`);
  await run('npm', ['publish', '--silent', '--userconfig', credentials], { cwd: ROOT, env });
  await writeFile(join(folder, '.npmrc'), `registry=${registry.url}\n`);
  await run('npm', ['install', 'countersign'], { cwd: folder, env });
  command = join(folder, 'node_modules', '.bin', 'countersign');
}, 300_000);

afterAll(async () => {
  await registry?.close();
  await rm(folder, { recursive: true, force: true });
});

const installed = async (...words: string[]) => (await run(command, words, { cwd: folder, env })).stdout;

it('the package, published to a registry and installed from it in an empty folder, explains itself', async () => {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  expect(await installed('--version')).toBe(`${version}\n`);
  const help = await installed('--help');
  expect(help).toContain('serve');
  expect(help).toContain('propose');
  expect(await readdir(join(folder, 'node_modules/countersign'))).toEqual(
    expect.arrayContaining(['CHANGELOG.md', 'LICENSE', 'README.md', 'dist', 'docs', 'policies']),
  );
});

it('is published once as that version, only by an account of the registry, and only to the address it was told', async () => {
  const publish = (...words: string[]) =>
    run('npm', ['publish', '--ignore-scripts', ...words], { cwd: ROOT, env }).then(
      () => 'published',
      (error: { stderr: string }) => error.stderr,
    );
  expect(await publish('--registry', registry.url)).toContain('ENEEDAUTH');
  expect(await publish('--userconfig', join(folder, 'publisher.npmrc'))).toMatch(
    /previously published|EPUBLISHCONFLICT/,
  );
  const packument = (await (await fetch(`${registry.url}countersign`)).json()) as { versions: object };
  expect(Object.keys(packument.versions)).toHaveLength(1);
});

it.each([
  [['--registry=https://registry.npmjs.org/'], 'https://registry.npmjs.org/ is a public registry'],
  [['--registry=https://registry.yarnpkg.com'], 'https://registry.yarnpkg.com/ is a public registry'],
])('is not published to everybody by accident: %j', async (words, says) => {
  const told = await run('npm', ['run', 'prepublishOnly', ...words], { cwd: ROOT, env }).catch(
    (error: { stderr: string }) => error.stderr,
  );
  expect(told).toContain(says);
  expect(told).toContain('npm publish --registry https://npm.example.com/');
  await run('npm', ['run', 'prepublishOnly', ...words], {
    cwd: ROOT,
    env: { ...env, COUNTERSIGN_PUBLISH: 'public' },
  });
});

/** Serves in a folder while that is done, and stops. */
async function serve(
  cwd: string,
  environment: Record<string, string>,
  meanwhile: (url: string) => Promise<void>,
): Promise<void> {
  const child = spawn(command, ['serve'], { cwd, env: { ...env, COUNTERSIGN_PORT: '0', ...environment } });
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
  await meanwhile(url);
  const code = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  expect(await code).toBe(0);
}

const isReady = async (url: string) => expect((await fetch(`${url}/readyz`)).status).toBe(200);

it('the installed package serves from an empty folder, with its console, and stops gracefully', async () => {
  const empty = await mkdtemp(join(folder, 'empty-'));
  const bundle = join(folder, 'node_modules/countersign/policies/examples/demo/bundle.tar.gz');
  await serve(empty, { COUNTERSIGN_POLICY_BUNDLE: bundle }, async (url) => {
    await isReady(url);
    const page = await (await fetch(url)).text();
    const [script = ''] = /\/assets\/[\w.-]+\.js/.exec(page) ?? [];
    const served = await fetch(`${url}${script}`);
    expect(served.headers.get('content-type')).toContain('javascript');
    expect((await served.text()).length).toBeGreaterThan(100_000);
  });
  expect(await readdir(empty)).toContain('countersign.db');
});

it('the installed package writes a set-up, serves it, and answers a call of the command line', async () => {
  const people = await startTokenIssuer(systemClock);
  try {
    const setup = join(folder, 'setup');
    const told = await installed('init', setup, '--issuer', people.issuer, '--client-id', 'countersign-cli');
    expect(told).toContain('countersign serve');
    await serve(setup, {}, async (url) => {
      const answer = await run(command, ['whoami', '--json'], {
        cwd: folder,
        env: { ...env, COUNTERSIGN_URL: url, COUNTERSIGN_TOKEN: await people.idToken('dana') },
      });
      expect(JSON.parse(answer.stdout)).toMatchObject({ principal: { kind: 'person' } });
    });
  } finally {
    await people.close();
  }
});

it('the installed package begins a policy, checks, tests and builds it without opa, and serves it', async () => {
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
  await serve(own, { COUNTERSIGN_POLICY_BUNDLE: join(own, 'bundle.tar.gz') }, isReady);
});
