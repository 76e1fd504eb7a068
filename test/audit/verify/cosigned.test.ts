import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { QuorumMissing } from '../../../src/audit/verify/cosigned.ts';
import { createVerification } from '../../../src/audit/verify/verification.ts';
import { signCheckpoint } from '../../../src/tree/checkpoint.ts';
import { cosignerKey } from '../../../src/tree/cosignature.ts';
import { LogFault, UnreadableFile } from '../../../src/tree/fault.ts';
import { textOfNote } from '../../../src/tree/note.ts';
import { treeHash } from '../../support/tree-oracle.ts';
import { publishLeaves, sampleLeaves, signer } from './sample-log.ts';

/* A log that shows its witnesses another history than it has, or has cosignatures that say less than they seem to. */

const leaves = sampleLeaves();
const bytes = leaves.map((leaf) => Buffer.from(leaf));
const files = publishLeaves(leaves);
const latest = String(files.get('checkpoint'));
const [w1, w2] = ['w1', 'w2'].map((name) =>
  cosignerKey(`witness.example/${name}`, generateKeyPairSync('ed25519').privateKey),
) as [ReturnType<typeof cosignerKey>, ReturnType<typeof cosignerKey>];

const noteOf = (some: readonly Buffer[]) =>
  signCheckpoint({ size: some.length, root: treeHash(some) }, signer);
const cosigned = (note: string, ...witnesses: [typeof w1, number][]) =>
  note + witnesses.map(([key, timeS]) => key.cosign(textOfNote(note), timeS)).join('');

/** Verifies the log with what is said to be cosigned. */
async function verify(
  given: { checkpoint?: string; cosigned?: string },
  quorum = 2,
): ReturnType<() => Promise<{ size: number; at_ms: number } | null>> {
  const read = async (path: string) => {
    const text = path === 'cosigned' ? given.cosigned : path === 'checkpoint' ? given.checkpoint : undefined;
    const file = text === undefined ? files.get(path) : Buffer.from(text);
    if (file === undefined) throw new UnreadableFile(path);
    return file;
  };
  const witnesses = { known: [w1.cosigner, w2.cosigner], quorum };
  const verification = createVerification({ read, pinned: signer.verifier, witnesses });
  await verification.advance();
  return verification.cosigned();
}

describe('cosignatures', () => {
  it('of the largest checkpoint that a quorum agrees on count, with the time when it was complete', async () => {
    const older = cosigned(noteOf(bytes.slice(0, 5)), [w1, 100], [w2, 90]);
    expect(await verify({ cosigned: older })).toMatchObject({ size: 5, at_ms: 90_000 });
    expect(await verify({ cosigned: older }, 1)).toMatchObject({ size: 5, at_ms: 100_000 });
    const both = cosigned(latest, [w1, 200], [w2, 300]);
    expect(await verify({ checkpoint: both, cosigned: older })).toMatchObject({
      size: leaves.length,
      at_ms: 200_000,
    });
    const one = cosigned(latest, [w1, 200]);
    expect(await verify({ checkpoint: one, cosigned: older })).toMatchObject({ size: 5 });
  });

  it('of one witness on many lines are those of one', async () => {
    const twice = cosigned(noteOf(bytes.slice(0, 5)), [w1, 100], [w1, 101]);
    await expect(verify({ cosigned: twice })).rejects.toThrow(QuorumMissing);
    expect(await verify({ cosigned: twice }, 1)).toMatchObject({ at_ms: 101_000 });
  });

  it('of different checkpoints are no agreement', async () => {
    const given = {
      checkpoint: cosigned(latest, [w1, 100]),
      cosigned: cosigned(noteOf(bytes.slice(0, 5)), [w2, 100]),
    };
    await expect(verify(given)).rejects.toThrow('only 1 of the 2 known witnesses');
  });

  it('of an empty log say nothing of one with leaves', async () => {
    const empty = cosigned(noteOf([]), [w1, 100], [w2, 100]);
    await expect(verify({ cosigned: empty })).rejects.toThrow('only 0 of the 2 known witnesses');
  });

  it('of another history convict the log, and name who saw it', async () => {
    const forked = [...bytes.slice(0, 4), Buffer.from('another')];
    const fault = verify({ cosigned: cosigned(noteOf(forked), [w1, 100]) }, 1);
    await expect(fault).rejects.toThrow(/another history.*witness\.example\/w1 cosigned/);
  });

  it('of what the key of the log has not signed convict it, too', async () => {
    const stranger = latest.replace(/— .*\n/, '');
    const given = `${stranger.trimEnd()}\n\n${w1.cosign(textOfNote(latest), 100)}`;
    await expect(verify({ cosigned: given }, 1)).rejects.toThrow(LogFault);
  });

  it('ahead of the checkpoint wait for it: the log may grow meanwhile', async () => {
    const ahead = [...bytes, Buffer.from('more')];
    await expect(verify({ cosigned: cosigned(noteOf(ahead), [w1, 100], [w2, 100]) })).rejects.toThrow(
      QuorumMissing,
    );
  });

  it.each([
    ['the checkpoint that follows', cosigned(latest, [w1, 100], [w2, 100]), leaves.length],
    ['an older one', cosigned(noteOf(bytes.slice(0, 5)), [w1, 100], [w2, 100]), 5],
  ])('of %s count while the log grows', async (_, text, size) => {
    // The log grows as the file is read, and has the partial tiles of its former size no more.
    const former = publishLeaves(leaves.slice(0, -1));
    let now = former;
    const taken: number[] = [];
    const read = async (path: string) => {
      if (path === 'cosigned') now = files;
      const file = path === 'cosigned' ? Buffer.from(text) : now.get(path);
      if (file === undefined) throw new UnreadableFile(path);
      return file;
    };
    const verification = createVerification({
      read,
      pinned: signer.verifier,
      witnesses: { known: [w1.cosigner, w2.cosigner], quorum: 2 },
      progress: (done) => taken.push(done),
    });
    expect((await verification.advance()).size).toBe(leaves.length);
    expect(verification.cosigned()).toMatchObject({ size });
    expect(taken).toEqual([leaves.length - 1, leaves.length]);
  });
});
