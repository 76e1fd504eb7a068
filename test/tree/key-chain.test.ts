import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { signCheckpoint } from '../../src/tree/checkpoint.ts';
import { LogFault } from '../../src/tree/fault.ts';
import { createKeyChain, handOver, type KeyHandover } from '../../src/tree/key-chain.ts';
import { type NoteSigner, noteSigner } from '../../src/tree/note.ts';
import { formatBundle, tilePath, tilesOf } from '../../src/tree/tiles.ts';
import { verifySignedLog } from '../../src/tree/verify-signed-log.ts';
import { tileHashes, treeHash } from '../support/tree-oracle.ts';
import { leavesOf } from './samples.ts';

/* Three keys of one log, handed over by leaves 10 and 300 of 310. */

const ORIGIN = 'flags.example/log/1';
const signerOf = (name = ORIGIN) => noteSigner(name, generateKeyPairSync('ed25519').privateKey);
const [first, second, third, thief] = [signerOf(), signerOf(), signerOf(), signerOf()];
const SIZE = 310;

const leafOf = (log_key: KeyHandover | object) => Buffer.from(JSON.stringify({ id: 'x', log_key, more: 1 }));

/** A log with these leaves in the places of its own. */
function logWith(special: Readonly<Record<number, Buffer>>, size = SIZE): Buffer[] {
  return leavesOf(size).map((leaf, index) => special[index] ?? leaf);
}

const toSecond = leafOf(handOver(first, second.verifier));
const toThird = leafOf(handOver(second, third.verifier));
const sound = logWith({ 10: toSecond, 300: toThird });

const noteOf = (leaves: readonly Buffer[], ...signers: [NoteSigner, ...NoteSigner[]]) =>
  signCheckpoint({ size: leaves.length, root: treeHash(leaves) }, ...signers);

/** Verifies a log of the oracle. @returns the ids of its keys */
async function verify(
  leaves: readonly Buffer[],
  { note, pinned, older }: { note: string; pinned: NoteSigner; older?: string },
): Promise<string[]> {
  const files = new Map(
    [...tilesOf(leaves.length)].map((tile) => {
      const from = tile.index * 256;
      const content =
        tile.level === null
          ? formatBundle(leaves.slice(from, from + tile.width))
          : Buffer.concat(tileHashes(tile.level, tile.index, leaves));
      return [tilePath(tile), content];
    }),
  );
  const { keys } = await verifySignedLog({
    note,
    pinned: pinned.verifier,
    older,
    read: async (path) => files.get(path) ?? Promise.reject(new LogFault(`${path} cannot be read`)),
  });
  return keys.map(({ verifier }) => verifier.id);
}

const idOf = ({ verifier }: NoteSigner) => verifier.id;

describe('the keys of a log', () => {
  it.each([
    ['first', first],
    ['second', second],
    ['third', third],
  ])('are found in its leaves by whoever has the %s', async (_, pinned) => {
    const note = noteOf(sound, third);
    expect(await verify(sound, { note, pinned })).toEqual([first, second, third].map(idOf));
  });

  it('sign together during the overlap', async () => {
    const note = noteOf(sound, third, second, first);
    expect(await verify(sound, { note, pinned: first })).toHaveLength(3);
  });

  it('are those of each size: an older checkpoint has an older key', async () => {
    const older = noteOf(sound.slice(0, 200), second);
    const note = noteOf(sound, third);
    expect(await verify(sound, { note, pinned: first, older })).toHaveLength(3);
    const tooOld = noteOf(sound.slice(0, 200), first);
    await expect(verify(sound, { note, pinned: third, older: tooOld })).rejects.toThrow(
      `with 200 leaves is signed by key ${idOf(first)}, which was rotated out at place 11`,
    );
  });

  it('sign nothing more once they were rotated out', async () => {
    for (const [stale, place] of [
      [first, 301],
      [second, 301],
    ] as const) {
      const note = noteOf(sound, stale);
      for (const pinned of [first, second, third])
        await expect(verify(sound, { note, pinned })).rejects.toThrow(
          `signed by key ${idOf(stale)}, which was rotated out at place ${place}; since then the key is ${idOf(third)}`,
        );
    }
  });

  it('must sign from their own record on, and not before', async () => {
    const at = sound.slice(0, 11);
    await expect(verify(at, { note: noteOf(at, first), pinned: first })).rejects.toThrow('rotated out');
    expect(await verify(at, { note: noteOf(at, second), pinned: first })).toHaveLength(2);
    const before = sound.slice(0, 10);
    expect(await verify(before, { note: noteOf(before, first), pinned: first })).toHaveLength(1);
    await expect(verify(before, { note: noteOf(before, second), pinned: first })).rejects.toThrow(
      `there is no signature of ${ORIGIN}`,
    );
  });

  it('do not come from anybody but the key before them', async () => {
    const forged = {
      ...handOver(first, thief.verifier),
      signature: handOver(thief, thief.verifier).signature,
    };
    const stolen = handOver(second, thief.verifier);
    const skipped = handOver(first, thief.verifier);
    for (const [leaf, fault] of [
      [leafOf(forged), 'has not signed that the log goes over'],
      [leafOf({ ...stolen, former: first.verifier.vkey }), 'has not signed that the log goes over'],
      [leafOf({ key: thief.verifier.vkey }), 'malformed'],
      [leafOf({ ...skipped, key: 'no key' }), 'the key is malformed'],
    ] as const) {
      const leaves = logWith({ 10: leaf });
      await expect(verify(leaves, { note: noteOf(leaves, first, thief), pinned: first })).rejects.toThrow(
        fault,
      );
    }
    const again = logWith({ 10: toSecond, 300: leafOf(skipped) });
    await expect(verify(again, { note: noteOf(again, thief), pinned: first })).rejects.toThrow(
      'which was not its key',
    );
  });

  it('are not those of the log before a confirmed restore, whose leaves come first', async () => {
    const former = [signerOf('flags.example/log/0'), signerOf('flags.example/log/0')] as const;
    const leaves = logWith({ 5: leafOf(handOver(former[0], former[1].verifier)) });
    expect(await verify(leaves, { note: noteOf(leaves, first), pinned: first })).toEqual([idOf(first)]);
  });

  it('are none that a stranger pins', async () => {
    const note = noteOf(sound, third);
    await expect(verify(sound, { note, pinned: thief })).rejects.toThrow('none of the keys of this log');
    const plain = logWith({});
    await expect(verify(plain, { note: noteOf(plain, first), pinned: thief })).rejects.toThrow(
      `there is no signature of ${ORIGIN}`,
    );
  });

  it('are not taken from a text that only has the letters of one', () => {
    const chain = createKeyChain(first.verifier);
    for (const text of ['"log_key":{', '{"log_key":{', '{"a":"\\"log_key\\":{"}', '{"a":{"log_key":{}}}'])
      chain.add(Buffer.from(text), 0);
    expect(chain.keys()).toHaveLength(1);
  });
});
