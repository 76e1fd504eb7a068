import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packArchive, unpackArchive } from '../src/policy/archive.ts';
import { buildBundle } from '../src/policy/build-bundle.ts';
import { readFolder } from '../src/policy/bundle-folder.ts';
import { readCases, runCases } from '../src/policy/cases.ts';
import { createEngine } from '../src/policy/engine.ts';
import { inputVersions } from '../src/policy/input-versions.ts';
import { EXAMPLES, SHIPPED_MODULE, STARTER_DATA } from '../src/policy/shipped.ts';
import { requestKinds } from '../src/requests/kinds/kinds.ts';

/*
 * Writes the module that opa built, and the bundle of each example that passes its cases, where files changed: compressed bytes are not
 * stable, so archives are compared by what is in them.
 *   node policies/build-examples.ts MODULE [--check]   with --check it writes nothing, and fails if something would change
 */

const [module = '', option] = process.argv.slice(2);
const isCheck = option === '--check';

async function put(file: string, archive: Buffer): Promise<void> {
  const present = await readFile(file).catch(() => null);
  if (present !== null && (await isSame(present, archive))) return;
  if (isCheck) {
    console.error(`policies: ${file} is not what its sources build; run make policies`);
    process.exitCode = 1;
    return;
  }
  await writeFile(file, archive);
}

async function isSame(one: Buffer, other: Buffer): Promise<boolean> {
  const [ones, others] = await Promise.all([unpackArchive(one), unpackArchive(other)]);
  return ones.size === others.size && [...ones].every(([path, bytes]) => others.get(path)?.equals(bytes));
}

// Without the empty data.json that opa adds.
const files = [...(await unpackArchive(await readFile(module)))].filter(([path]) => path !== 'data.json');
const archive = await packArchive(new Map(files));
await put(SHIPPED_MODULE, archive);

const starter = await readFolder(STARTER_DATA);
for (const name of (await readdir(EXAMPLES)).toSorted()) {
  const folder = join(EXAMPLES, name);
  const [data, cases] = await Promise.all([
    readFolder(join(folder, 'data')),
    readFolder(join(folder, 'cases')),
  ]);
  const bundle = await buildBundle({ module: archive, data: [starter, data], cases });
  const { evaluate } = await createEngine(bundle);
  const read = { evaluate, inputs: inputVersions(requestKinds.all), version: bundle.broker.input_version };
  const { passed, failed } = runCases(read, readCases(await unpackArchive(bundle.archive)));
  for (const { name: failing, detail } of failed) console.error(`policies: ${name}: ${failing}: ${detail}`);
  if (failed.length > 0) process.exitCode = 1;
  else await put(join(folder, 'bundle.tar.gz'), bundle.archive);
  console.log(`${name} ${bundle.hash} (${passed} cases)`);
}
