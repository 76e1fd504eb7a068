import { readFile } from 'node:fs/promises';
import { readBundle } from './bundle.ts';

const path = process.argv[2];
if (path === undefined) {
  process.stderr.write('usage: print-hash.ts <bundle.tar.gz>\n');
  process.exit(2);
}
process.stdout.write(`${(await readBundle(await readFile(path))).hash}\n`);
