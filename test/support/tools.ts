import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sha256Hex } from '../../src/json.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Long enough to install a tool on a slow machine. */
export const INSTALL_MS = 300_000;

const INSTALLED = join(ROOT, '.cache/tools');

/**
 * Loads a package that few tests need, so that nobody else has to install it: each folder of `tools/` with a lock file is
 * installed when it is first wanted.
 *
 * @param tool the folder
 * @param name the package
 */
export async function loadTool<T>(tool: string, name: string): Promise<T> {
  const source = join(ROOT, 'tools', tool);
  const lock = await readFile(join(source, 'package-lock.json'), 'utf8');
  const folder = join(INSTALLED, `${tool}-${sha256Hex(lock).slice(0, 16)}`);
  if (!(await isThere(folder))) await install(source, folder);
  return createRequire(join(folder, 'package.json'))(name) as T;
}

/** Appears as a whole, so that a broken installation is never used, and several tests may want it at the same time. */
async function install(source: string, folder: string): Promise<void> {
  await mkdir(INSTALLED, { recursive: true });
  const begun = await mkdtemp(`${folder}-`);
  await cp(source, begun, { recursive: true });
  await run('npm', ['ci', '--silent', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: begun });
  try {
    await rename(begun, folder);
  } catch (error) {
    await rm(begun, { recursive: true, force: true });
    if (!(await isThere(folder))) throw error;
  }
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
