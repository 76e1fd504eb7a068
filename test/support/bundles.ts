import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { gunzipSync, gzipSync } from 'node:zlib';
import { extract, type Header, pack } from 'tar-stream';

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
