import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { MAIN, serveIn, stop } from '../../support/serving.ts';
import { backUp } from '../../support/sqlite/file.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** What a page runs against: `demo` is `make demo` after its story, `dev` is `make dev`, which has no flags. */
export type StageName = 'demo' | 'dev';

/** A broker of a page's own, with all that its reader has. */
export interface PageStage {
  url: string;
  /** A clean clone of this repository, where the terminals begin. */
  clone: string;
  /** The environment of a new terminal. */
  env: Record<string, string>;
  close(): Promise<void>;
}

/** `make demo`, which runs once for all pages. */
export interface Demo {
  /** What it printed in the end. */
  printed: string;
  /** Where its parts listen, by the addresses that the pages name. */
  addresses: Readonly<Record<string, string>>;
  /** A broker on a copy of what the demo has, so that pages do not disturb each other. */
  openFor(page: string, stage: StageName): Promise<PageStage>;
  close(): Promise<void>;
}

/** Starts the demo on free ports, and waits until its story is over. */
export async function startDemo(): Promise<Demo> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-pages-'));
  const ports = await freePorts(3);
  const demo = join(folder, 'demo');
  const env = { ...cleanEnv(folder), DEMO_PORTS: ports.join(','), DEMO_FOLDER: demo };
  const child = spawn(process.execPath, ['fixtures/demo/main.ts'], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const printed = await untilPrinted(child, /Authorization: Bearer .*\n/);
  const [broker, provider, ci] = ports.map((port) => `http://127.0.0.1:${port}`) as [string, string, string];
  const bin = join(folder, 'bin');
  await writeCommands(bin);
  return {
    printed,
    addresses: {
      'http://127.0.0.1:8480': broker,
      'http://127.0.0.1:9401': provider,
      'http://127.0.0.1:9402': ci,
    },
    openFor: async (page, stage) => {
      const own = await mkdtemp(join(folder, `${page.replaceAll(/[^a-z]/gi, '-')}-`));
      return openStage({ own, demo, stage, bin });
    },
    close: async () => {
      const ended = once(child, 'close');
      child.kill('SIGTERM');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function openStage({
  own,
  demo,
  stage,
  bin,
}: {
  own: string;
  demo: string;
  stage: StageName;
  bin: string;
}): Promise<PageStage> {
  const state = join(own, 'state');
  const [home, clone] = [join(own, 'home'), join(own, 'clone')];
  for (const each of [state, home, clone]) await mkdir(each);
  await copyState(demo, state, stage);
  const [port = 0] = await freePorts(1);
  const config = parse(await readFile(join(demo, 'countersign.yaml'), 'utf8'));
  await writeFile(
    join(state, 'countersign.yaml'),
    stringify({ ...config, listen: { ...config.listen, port } }),
  );
  const serving = serveIn(state, { env: { ...cleanEnv(home), COUNTERSIGN_PORT: String(port) } });
  await serving.until('listening');
  for (const name of ['node_modules', 'src', 'policies', 'docs', 'Makefile', 'package.json'])
    await symlink(join(ROOT, name), join(clone, name));
  const url = `http://127.0.0.1:${port}`;
  const env = cleanEnv(home);
  return {
    url,
    clone,
    env: { ...env, PATH: `${bin}:${env.PATH}`, COUNTERSIGN_URL: url, COUNTERSIGN_PORT: '0' },
    close: async () => {
      await stop(serving);
    },
  };
}

/** What the demo's broker has: everything, or for `dev` only what it is configured with. */
async function copyState(demo: string, to: string, stage: StageName): Promise<void> {
  const database = 'countersign.db';
  const always = ['bundle.tar.gz', 'web-client-secret'];
  const mark = `${database}.acknowledged`;
  for (const name of stage === 'dev' ? always : [...always, `${database}.master-key`, mark])
    await copyFile(join(demo, name), join(to, name));
  if (stage === 'dev') return;
  // After the mark: the copy must have all that the mark says.
  await backUp(join(demo, database), join(to, database));
}

/** `countersign` for pages that do not say what it is, and a browser that opens nothing: addresses are read off the screen. */
async function writeCommands(bin: string): Promise<void> {
  await mkdir(bin);
  const commands = { countersign: `exec '${process.execPath}' '${MAIN}' "$@"`, 'xdg-open': 'exit 0' };
  for (const [name, line] of Object.entries(commands)) {
    await writeFile(join(bin, name), `#!/bin/sh\n${line}\n`);
    await chmod(join(bin, name), 0o700);
  }
}

function cleanEnv(home: string): Record<string, string> {
  return {
    HOME: home,
    LANG: 'C.UTF-8',
    PATH: `${dirname(process.execPath)}:/usr/bin:/bin`,
    NODE_COMPILE_CACHE: join(ROOT, '.cache/node'),
  };
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  for (const server of servers) server.close();
  return ports;
}

async function untilPrinted(child: ChildProcess, last: RegExp): Promise<string> {
  let printed = '';
  const ended = once(child, 'close').then(() => {
    throw new Error(`the demo ended:\n${printed}`);
  });
  const done = new Promise<string>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        printed += text;
        if (last.test(printed)) resolve(printed);
      });
    }
  });
  ended.catch(() => undefined);
  return Promise.race([done, ended]);
}
