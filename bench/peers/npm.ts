import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CACHE } from './outside.ts';

const run = promisify(execFile);

/** Installs a pinned version from npm, unless it is there. @returns the folder of the package */
export async function installPackage(name: string, version: string): Promise<string> {
  const around = join(CACHE, name);
  const folder = join(around, 'node_modules', name);
  if ((await installedVersion(folder)) !== version) {
    await mkdir(around, { recursive: true });
    // Or npm would take the project around it for the one to install into.
    await writeFile(join(around, 'package.json'), '{"private":true}');
    const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    await run('npm', ['install', ...options, `${name}@${version}`], { cwd: around });
  }
  return folder;
}

async function installedVersion(folder: string): Promise<string | null> {
  try {
    const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    return version;
  } catch {
    return null;
  }
}
