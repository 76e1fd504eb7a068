import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { extract, type Header, pack } from 'tar-stream';
import { buildBundle } from '../../src/policy/build-bundle.ts';
import type { Bundle } from '../../src/policy/bundle.ts';
import { readFolder } from '../../src/policy/bundle-folder.ts';
import { SHIPPED_MODULE, STARTER_DATA } from '../../src/policy/shipped.ts';

/** A bundle of fixtures/bundles, built from the Rego beside it. */
export function readFixtureBundle(
  name: 'anybody' | 'echo' | 'clock' | 'elsewhere' | 'text' | 'bomb',
): Promise<Buffer> {
  return readFile(new URL(`../../fixtures/bundles/${name}.tar.gz`, import.meta.url));
}

/** A member of a tar archive. */
export interface Member {
  header: Partial<Header> & { name: string };
  bytes: Buffer;
}

/** The members of an archive, to be changed and packed again. */
export async function unpackMembers(archive: Buffer): Promise<Member[]> {
  const reader = extract();
  reader.end(gunzipSync(archive));
  const members: Member[] = [];
  for await (const entry of reader) {
    members.push({ header: { name: entry.header.name, mode: 0o600 }, bytes: await buffer(entry) });
  }
  return members;
}

/** Packs members as they are, well-formed or not. */
export async function packMembers(members: readonly Member[]): Promise<Buffer> {
  const writer = pack();
  for (const { header, bytes } of members) {
    // A link has no bytes of its own.
    if (header.type === 'symlink' || header.type === 'link') writer.entry(header);
    else writer.entry(header, bytes);
  }
  writer.finalize();
  return gzipSync(await buffer(writer));
}

/**
 * The shipped module with the data that the tests of the Rego bring, which the cases of `fixtures/decisions` are about.
 */
export async function readTestDataBundle(): Promise<Bundle> {
  const [module, testData, starter] = await Promise.all([
    readFile(SHIPPED_MODULE),
    readFolder(fileURLToPath(new URL('../../policies/testdata', import.meta.url))),
    readFolder(STARTER_DATA),
  ]);
  // What belongs to the Rego as it is; everything else is the tests' own.
  const ofRego = [...starter].filter(([path]) =>
    /^config\/(operations|request_kinds|input_version)\//.test(path),
  );
  return buildBundle({ module, data: [new Map(ofRego), testData] });
}
