import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/*
 * Builds the console for a checkout, into a folder where the broker finds it, unless what is there is of the same sources.
 */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SOURCES = join(ROOT, 'src/console');
const CACHE = join(ROOT, '.cache');

/** Where it is built. */
export const CONSOLE = join(CACHE, 'console');

/** The file that names the sources of what is built. */
const BUILT_FROM = 'built-from';
const LOCK = join(CACHE, 'console.lock');
const LOCK_MS = 120_000;

/** Builds it if it is missing or of other sources; of several at once, one builds and the others wait. @returns its folder */
export async function buildConsole(): Promise<string> {
  const sources = digestOfSources();
  mkdirSync(CACHE, { recursive: true });
  for (let waitedMs = 0; !isBuiltFrom(sources); waitedMs += 100) {
    if (waitedMs > LOCK_MS) rmSync(LOCK, { recursive: true, force: true });
    if (takeLock()) {
      try {
        if (!isBuiltFrom(sources)) await build(sources);
      } finally {
        rmSync(LOCK, { recursive: true, force: true });
      }
    } else await sleep(100);
  }
  return CONSOLE;
}

function isBuiltFrom(sources: string): boolean {
  const file = join(CONSOLE, BUILT_FROM);
  return existsSync(file) && readFileSync(file, 'utf8') === sources;
}

function takeLock(): boolean {
  try {
    mkdirSync(LOCK);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function build(sources: string): Promise<void> {
  // A test that builds it hands its own down, with which React is built as for development: twice as large, and another one.
  process.env.NODE_ENV = 'production';
  // Loaded only if there is something to build.
  const vite = await import('vite');
  const folder = `${CONSOLE}.new`;
  await vite.build({
    configFile: join(SOURCES, 'vite.config.ts'),
    mode: 'production',
    logLevel: 'warn',
    build: { outDir: folder },
  });
  writeFileSync(join(folder, BUILT_FROM), sources);
  rmSync(CONSOLE, { recursive: true, force: true });
  renameSync(folder, CONSOLE);
}

/** Over all that the build reads: the sources, and the versions of the libraries. */
function digestOfSources(): string {
  const hash = createHash('sha256');
  const names = readdirSync(SOURCES, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  for (const name of [join(ROOT, 'package-lock.json'), ...names]) {
    hash
      .update(`${name.slice(ROOT.length)}\0`)
      .update(readFileSync(name))
      .update('\0');
  }
  return hash.digest('hex');
}

if (import.meta.main) await buildConsole();
