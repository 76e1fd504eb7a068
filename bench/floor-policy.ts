import { readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { loadPolicy } from '@open-policy-agent/opa-wasm';
import { extract } from 'tar-stream';

/** What a policy answers. */
export interface FloorResult {
  effect: string;
}

/** The files of a bundle, by their paths in it. */
export async function readArchive(file: string): Promise<Map<string, Buffer>> {
  const reader = extract();
  reader.end(gunzipSync(readFileSync(file)));
  const files = new Map<string, Buffer>();
  for await (const entry of reader) files.set(entry.header.name.replace(/^\//, ''), await buffer(entry));
  return files;
}

/** Loads a bundle with the SDK, and nothing around it. An input is an object, or the bytes of JSON. */
export async function openFloorPolicy(file: string): Promise<{ evaluate(input: object): FloorResult }> {
  const files = await readArchive(file);
  const wasm = Uint8Array.from(files.get('policy.wasm') ?? []).buffer;
  const policy = await loadPolicy(wasm, { initial: 5, maximum: 256 });
  policy.setData(JSON.parse(String(files.get('data.json'))) as object);
  return {
    evaluate: (input) => {
      const [first] = policy.evaluate(input, 'countersign/decision') as { result: FloorResult }[];
      if (first === undefined) throw new Error('the policy has no answer');
      return first.result;
    },
  };
}
