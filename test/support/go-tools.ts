import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/* Tools of others, in Go, which are built where there is Go. Each is a module of its own in `tools`, with pinned versions. */

const run = promisify(execFile);
const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Whether there is Go. Without it, says loudly what is not tested. */
export function hasGo(skipped: string): boolean {
  const is = spawnSync('go', ['version']).status === 0;
  if (!is) process.emitWarning(`SKIPPED: ${skipped}, because there is no Go`);
  return is;
}

/**
 * Builds a tool, which takes a moment once it was built.
 *
 * @param name its name among the built ones
 * @param module its folder in `tools`
 * @param what the package
 * @returns its path
 */
export async function buildGoTool(name: string, module: string, what = '.'): Promise<string> {
  const tool = at(`.cache/bin/${name}`);
  const env = { ...process.env, GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local', CGO_ENABLED: '0' };
  const argv = ['build', '-C', at(`tools/${module}`), '-buildvcs=false', '-trimpath', '-o', tool, what];
  await run('go', argv, { env });
  return tool;
}
