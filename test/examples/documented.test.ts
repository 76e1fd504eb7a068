import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readBundle } from '../../src/policy/bundle.ts';
import { EXAMPLES } from '../../src/policy/shipped.ts';
import { MAIN } from '../support/serving.ts';

/*
 * The commands of docs/examples.md, as they are, on a machine that has neither Go nor OPA.
 */

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-documented-'));
  await symlink(join(ROOT, 'policies'), join(folder, 'policies'));
  const command = join(folder, 'countersign');
  await writeFile(command, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
  await chmod(command, 0o700);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

it('an example becomes a bundle of its own without a compiler', async () => {
  const page = await readFile(join(ROOT, 'docs/examples.md'), 'utf8');
  const [, commands = ''] = /^```\n(mkdir .*?)^```$/ms.exec(page) ?? [];
  expect(commands).toContain('countersign policy build policy -o bundle.tar.gz');
  const env = { PATH: `${folder}:/usr/bin:/bin`, HOME: folder };
  await expect(run('sh', ['-c', 'command -v go || command -v opa'], { env })).rejects.toThrow();
  const { stdout } = await run('sh', ['-ec', commands], { cwd: folder, env });
  expect(stdout).toContain('20 passed');
  const built = await readBundle(await readFile(join(folder, 'bundle.tar.gz')));
  const shipped = await readBundle(await readFile(join(EXAMPLES, 'small-team/bundle.tar.gz')));
  expect([built.hash, built.archive_digest]).toEqual([shipped.hash, shipped.archive_digest]);
}, 60_000);
