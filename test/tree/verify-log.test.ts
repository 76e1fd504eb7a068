import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Checkpoint } from '../../src/tree/checkpoint.ts';
import { LogFault } from '../../src/tree/fault.ts';
import { formatBundle, tilePath, tilesOf } from '../../src/tree/tiles.ts';
import { type LogVerification, verifyLog } from '../../src/tree/verify-log.ts';
import { tileHashes, treeHash } from '../support/tree-oracle.ts';
import { flipped, leavesOf } from './samples.ts';

/* A log in memory, made by the oracle, with a fault in it. */

const ORIGIN = 'flags.example/log/1';

/** The files of a log with these leaves. */
function publish(leaves: readonly Buffer[]): Map<string, Buffer> {
  return new Map(
    [...tilesOf(leaves.length)].map((tile) => {
      const first = tile.index * 256;
      const content =
        tile.level === null
          ? formatBundle(leaves.slice(first, first + tile.width))
          : Buffer.concat(tileHashes(tile.level, tile.index, leaves));
      return [tilePath(tile), content];
    }),
  );
}

const checkpointOf = (leaves: readonly Buffer[]): Checkpoint => ({
  origin: ORIGIN,
  size: leaves.length,
  root: treeHash(leaves),
});

function readerOf(files: ReadonlyMap<string, Buffer>): LogVerification['read'] {
  return async (path) => {
    const bytes = files.get(path);
    if (bytes === undefined) throw new LogFault(`${path} cannot be read`);
    return bytes;
  };
}

const leaves = leavesOf(600);
const files = publish(leaves);
const checkpoint = checkpointOf(leaves);

/** Verifies the log with other files in the place of some. */
function verify(changed: Readonly<Record<string, Buffer>> = {}, more: Partial<LogVerification> = {}) {
  return verifyLog({ checkpoint, read: readerOf(new Map([...files, ...Object.entries(changed)])), ...more });
}

describe('a log that fits', () => {
  it.each([0, 1, 255, 256, 257, 512, 600])(
    'of %i leaves is valid, and every file of it was read',
    async (size) => {
      const part = leaves.slice(0, size);
      const own = publish(part);
      const read: string[] = [];
      const seen: Buffer[] = [];
      await verifyLog({
        checkpoint: checkpointOf(part),
        read: readerOf(own),
        verified: async (path) => {
          read.push(path);
        },
        leaves: (more, index) => {
          expect(index).toBe(seen.length);
          seen.push(...more);
        },
      });
      expect(read.toSorted()).toEqual([...own.keys()].toSorted());
      expect(seen).toEqual(part);
    },
  );

  it('continues every earlier checkpoint', async () => {
    for (const size of [0, 1, 255, 256, 300, 512, 599, 600])
      await verify({}, { continues: checkpointOf(leaves.slice(0, size)) });
  });

  it('is read again only where it grew, if it was verified before', async () => {
    const read: string[] = [];
    const verified = async (path: string) => {
      read.push(path);
    };
    await verify({}, { since: checkpointOf(leaves.slice(0, 520)), verified });
    expect(read.toSorted()).toEqual(['tile/0/002.p/88', 'tile/1/000.p/2', 'tile/entries/002.p/88']);
  });
});

describe('a fault', () => {
  it('of any bit of any file is found, and named with its file or its record', async () => {
    const paths = [...files.keys()];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), fc.nat(), async (path, bit) => {
        const bytes = files.get(path) as Buffer;
        const error = await verify({ [path]: flipped(bytes, bit % (bytes.length * 8)) }).catch(
          (thrown) => thrown,
        );
        expect(error).toBeInstanceOf(LogFault);
        expect(error.message).toContain(path);
      }),
      { numRuns: 300 },
    );
  });

  it('of every single byte of a leaf names its place', async () => {
    const path = 'tile/entries/001';
    const place = 256 + 10;
    const changed = leaves.slice(256, 512).with(9, Buffer.from('leaf 265!'));
    await expect(verify({ [path]: formatBundle(changed) })).rejects.toThrow(
      `the record at place ${place} was changed`,
    );
  });

  it('of two leaves that changed places is found', async () => {
    const [first, second] = leaves as [Buffer, Buffer];
    const swapped = formatBundle([second, first, ...leaves.slice(2, 256)]);
    await expect(verify({ 'tile/entries/000': swapped })).rejects.toThrow(
      'the record at place 1 was changed',
    );
  });

  it('of a leaf with its hash, up to any level, is found where it meets the tree', async () => {
    const forged = leaves.with(300, Buffer.from('forged'));
    const other = publish(forged);
    const take = (...paths: string[]) =>
      Object.fromEntries(paths.map((path) => [path, other.get(path) as Buffer]));
    await expect(verify(take('tile/entries/001', 'tile/0/001'))).rejects.toThrow('tile/0/001 was changed');
    await expect(verify(take('tile/entries/001', 'tile/0/001', 'tile/1/000.p/2'))).rejects.toThrow(
      'do not have the root of the checkpoint',
    );
  });

  it('of a tile that is cut off, missing, empty or of another log is found', async () => {
    const foreign = publish(Array.from({ length: 600 }, (_, at) => Buffer.from(`other ${at}`)));
    for (const path of files.keys()) {
      const bytes = files.get(path) as Buffer;
      for (const wrong of [
        bytes.subarray(0, -1),
        bytes.subarray(0, 32),
        Buffer.alloc(0),
        Buffer.concat([bytes, bytes]),
        foreign.get(path) as Buffer,
      ])
        await expect(verify({ [path]: wrong })).rejects.toThrow(LogFault);
      const without = new Map(files);
      without.delete(path);
      await expect(verifyLog({ checkpoint, read: readerOf(without) })).rejects.toThrow(path);
    }
  });

  it('of the checkpoint is found', async () => {
    const { root } = checkpoint;
    for (const wrong of [
      { size: 601, root },
      { size: 599, root },
      { size: 600, root: flipped(root, 5) },
      { size: 2 ** 53 - 1, root },
    ])
      await expect(verify({}, { checkpoint: { origin: ORIGIN, ...wrong } })).rejects.toThrow(LogFault);
  });

  it('is a history that does not continue an older checkpoint', async () => {
    const longer = checkpointOf(leavesOf(601));
    await expect(verify({}, { continues: longer })).rejects.toThrow('was cut off: it has 600 leaves');
    for (const size of [1, 256, 300, 600]) {
      const older = { ...checkpointOf(leaves.slice(0, size)), root: treeHash([]) };
      await expect(verify({}, { continues: older })).rejects.toThrow('another history');
      await expect(verify({}, { since: older })).rejects.toThrow('another history');
    }
  });
});
