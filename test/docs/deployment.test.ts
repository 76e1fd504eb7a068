import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { listRoutes } from '../../src/routes.ts';
import { buildImage, pathOf, pathsIn, type Stage } from '../support/dockerfile.ts';
import { createDatabase } from '../support/postgres.ts';
import { hasPostgres } from '../support/postgres-server.ts';
import { readPage } from './pages.ts';

// The build installs what the lock file names.
vi.setConfig({ testTimeout: 120_000 });

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

interface Resource {
  kind: string;
  // biome-ignore lint/suspicious/noExplicitAny: a resource of Kubernetes
  [member: string]: any;
}
/** The resources of a manifest, by their kinds. */
function manifest(name: string): (kind: string) => Resource {
  const resources = parseAllDocuments(readPage(`docs/examples/deployment/${name}`)).map(
    (document) => document.toJS() as Resource,
  );
  return (kind) => {
    const found = resources.find((each) => each.kind === kind);
    if (found === undefined) throw new Error(`no ${kind}`);
    return found;
  };
}
const onFile = manifest('kubernetes.yaml');
const onServer = manifest('kubernetes-postgresql.yaml');
const podOf = (resource: (kind: string) => Resource) => resource('Deployment').spec.template.spec;
const [container] = podOf(onFile).containers;

let folder: string;
let image: Stage;
/** The user of the container; null where the tests may not become another one. */
let user: { uid: number; gid: number } | null;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-image-'));
  await chmod(folder, 0o755);
  image = await buildImage(ROOT, join(folder, 'stages'));
  const [uid = 0, gid = 0] = image.user.split(':').map(Number);
  user = process.getuid?.() === 0 ? { uid, gid } : null;
  await mountVolumes();
}, 600_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const within = (text: string) => pathsIn(image.root, text);
const env = (more: Record<string, string> = {}) => ({
  ...image.env,
  ...Object.fromEntries(
    container.env.map(({ name, value }: Record<string, string>) => [name, within(value ?? '')]),
  ),
  PATH: pathOf(image.root),
  ...more,
});

/** The volumes of the manifest, with a set-up that the image itself has made. Only data and tmp can be written. */
async function mountVolumes(): Promise<void> {
  for (const { mountPath } of container.volumeMounts)
    await mkdir(join(image.root, mountPath), { recursive: true });
  const setup = join(folder, 'setup');
  const groups = ['flag-deployer=engineers', 'flag-approver=leads', 'security-approver=security'];
  await run(
    'countersign',
    ['init', setup, '--issuer', 'https://login.example.com', '--client-id', 'cli', '--group', ...groups],
    { env: env() },
  );
  const config = onFile('ConfigMap').data['countersign.yaml'] as string;
  await writeFile(join(image.root, 'etc/countersign/countersign.yaml'), within(config));
  const bundle = join(image.root, 'etc/countersign/policy/bundle.tar.gz');
  await writeFile(bundle, await readFile(join(setup, 'bundle.tar.gz')));
  const key = join(image.root, 'run/secrets/countersign/master.key');
  await writeFile(key, `${Buffer.alloc(32, 7).toString('base64')}\n`, { mode: 0o440 });
  for (const each of ['data', 'tmp']) {
    const path = join(image.root, each);
    if (user !== null) await chown(path, user.uid, user.gid);
  }
  if (user !== null) await chown(key, 0, user.gid);
}

/** Starts the container, and resolves with its address once it listens. */
async function start() {
  const [program = '', ...words] = [...image.entrypoint, ...container.args].map(within);
  const child = spawn(program, words, {
    cwd: join(image.root, image.workdir),
    env: env({ COUNTERSIGN_PORT: '0', COUNTERSIGN_HOST: '127.0.0.1' }),
    stdio: ['ignore', 'pipe', 'pipe'],
    ...user,
  });
  const exit = once(child, 'close').then(([code]) => code as number | null);
  let log = '';
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const isOver = exit.then(() => true);
  while (!/listening\s+\S+\n/.test(said)) {
    const ended = await Promise.race([once(child.stderr, 'data').then(() => false), isOver]);
    if (ended) throw new Error(`it ended:\n${said}${log}`);
  }
  const port = new URL(/listening\s+(\S+)/.exec(said)?.[1] ?? '').port;
  return { child, exit, port, url: `http://127.0.0.1:${port}`, log: () => log };
}

describe('the image', () => {
  it('starts as a user without rights on files that nobody may change, is healthy, stops on SIGTERM, and starts again', async () => {
    for (const round of [1, 2]) {
      const { child, exit, port, url } = await start();
      const [program = '', ...words] = image.healthcheck;
      const health = words.map((word) => word.replace(':8480/', `:${port}/`));
      expect(health.join(' ')).not.toContain('8480');
      await run(program, health, { env: env(), ...user });
      expect((await fetch(`${url}/readyz?for=writes`)).status, `start ${round}`).toBe(200);
      child.kill('SIGTERM');
      expect(await exit).toBe(0);
      // Nothing answers any more, so it is not healthy.
      await expect(run(program, health, { env: env(), ...user })).rejects.toMatchObject({ code: 1 });
    }
    expect(await readdir(join(image.root, 'data'))).toContain('countersign.db');
    expect(await readdir(join(image.root, 'tmp'))).toEqual([]);
  });

  it('takes the command line, and serves by itself', async () => {
    const { stdout } = await run('countersign', ['--version'], { env: env(), ...user });
    expect(stdout).toBe(`${JSON.parse(readPage('package.json')).version}\n`);
    expect(image.cmd).toEqual(container.args);
    expect(image.env).toMatchObject({ COUNTERSIGN_HOST: '0.0.0.0', NODE_ENV: 'production' });
  });

  it('lists what is in it, and has nothing that only its development needs', async () => {
    const sbom = JSON.parse(await readFile(join(image.root, 'app/sbom.cdx.json'), 'utf8'));
    expect(sbom).toMatchObject({ bomFormat: 'CycloneDX' });
    const listed = new Set((sbom.components as { name: string }[]).map(({ name }) => name));
    const { dependencies, devDependencies } = JSON.parse(readPage('package.json'));
    for (const name of Object.keys(dependencies)) expect(listed).toContain(name);
    const installed = await readdir(join(image.root, 'app/node_modules'));
    for (const name of ['vitest', 'typescript', 'oidc-provider', 'node']) {
      expect(Object.keys(devDependencies)).toContain(name);
      expect(installed).not.toContain(name);
      expect(listed).not.toContain(name);
    }
  });

  it('runs on the version of Node.js that is tested', () => {
    const versions = [...readPage('Dockerfile').matchAll(/^FROM node:([\d.]+)-/gm)].map(
      ([, version]) => version,
    );
    const { packages } = JSON.parse(readPage('package-lock.json'));
    expect(versions).toEqual([packages['node_modules/node'].version, packages['node_modules/node'].version]);
  });
});

/** What is the same for one broker and for several. */
describe.each([
  ['one broker', onFile],
  ['two brokers', onServer],
])('the manifest for Kubernetes, of %s', (_, resource) => {
  const pod = podOf(resource);
  const [own] = pod.containers;

  it('probes paths that there are, and never restarts a broker because it takes no writes', () => {
    const paths = new Set(listRoutes(requestKinds).map(({ path }) => path));
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
      expect(paths).toContain(own[probe].httpGet.path);
    expect(own.startupProbe.httpGet.path).toBe('/healthz');
    expect(own.livenessProbe.httpGet.path).toBe('/healthz');
  });

  it('runs without rights', () => {
    const job = resource === onServer ? [resource('Job').spec.template.spec] : [];
    for (const { securityContext, containers } of [pod, ...job]) {
      expect(containers[0].securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      const { runAsUser, runAsGroup, runAsNonRoot } = securityContext;
      expect([runAsNonRoot, `${runAsUser}:${runAsGroup}`]).toEqual([true, image.user]);
    }
  });

  it('mounts each volume that it has, and selects its own pods', () => {
    const mounted = own.volumeMounts.map(({ name }: { name: string }) => name).toSorted();
    expect(mounted).toEqual(pod.volumes.map(({ name }: { name: string }) => name).toSorted());
    const { labels } = resource('Deployment').spec.template.metadata;
    expect(labels).toMatchObject(resource('Service').spec.selector);
    expect(labels).toMatchObject(resource('Deployment').spec.selector.matchLabels);
  });
});

describe('how many brokers there are', () => {
  it('is one at a time on a file', () => {
    const { replicas, strategy } = onFile('Deployment').spec;
    expect({ replicas, strategy }).toEqual({ replicas: 1, strategy: { type: 'Recreate' } });
    expect(onFile('PersistentVolumeClaim').spec.accessModes).toEqual(['ReadWriteOncePod']);
  });

  it('is never none of two on a server, and its own disruption budget covers them', () => {
    const { replicas, strategy, selector } = onServer('Deployment').spec;
    expect([replicas, strategy.rollingUpdate.maxUnavailable]).toEqual([2, 0]);
    expect(onServer('PodDisruptionBudget').spec).toEqual({ minAvailable: 1, selector });
    const images = [podOf(onServer), onServer('Job').spec.template.spec].map(
      (pod) => pod.containers[0].image,
    );
    expect(new Set(images)).toEqual(new Set([container.image]));
  });

  it.skipIf(!hasPostgres('two containers on a PostgreSQL server'))(
    'is two on one server, after the job has made the tables',
    async () => {
      const database = await createDatabase();
      const [, name = ''] = /\/(test_\w+)$/.exec(database.address) ?? [];
      const role = `${name}_broker`;
      await database.run(`create role ${role} login`);
      const [job] = onServer('Job').spec.template.spec.containers;
      const words = (job.args as string[]).map((word) =>
        word.startsWith('postgres:') ? database.address : word.replace(/^countersign$/, role),
      );
      await run('countersign', words, { env: env(), ...user });
      const config = onServer('ConfigMap').data['countersign.yaml'] as string;
      await writeFile(join(image.root, 'etc/countersign/countersign.yaml'), within(config));
      await mkdir(join(image.root, 'run/secrets/database'), { recursive: true });
      const address = database.address.replace('postgres@', `${role}@`);
      await writeFile(join(image.root, 'run/secrets/database/address'), `${address}\n`);
      const both = await Promise.all([start(), start()]);
      for (const { url } of both) expect((await fetch(`${url}/readyz?for=writes`)).status).toBe(200);
      for (const { child } of both) child.kill('SIGTERM');
      expect(await Promise.all(both.map(({ exit }) => exit))).toEqual([0, 0]);
      await database.remove();
      await database.dropRoles(role);
    },
  );
});
