import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signCheckpoint } from '../../src/tree/checkpoint.ts';
import { openCosignatures, originHash, parseCosigner } from '../../src/tree/cosignature.ts';
import { noteSigner, textOfNote } from '../../src/tree/note.ts';
import { openWitness, type Witness } from '../../src/witness/witness.ts';
import { continuation, treeHash } from '../support/tree-oracle.ts';
import { leavesOf } from '../tree/samples.ts';

/* A witness, and what a log that has something to hide would send it. */

const ORIGIN = 'flags.example/log/1';
const NOW_MS = 1_795_000_000_000;
const log = noteSigner(ORIGIN, generateKeyPairSync('ed25519').privateKey);
const stranger = noteSigner(ORIGIN, generateKeyPairSync('ed25519').privateKey);
const other = leavesOf(20).map((leaf, index) => (index === 2 ? Buffer.from('another') : leaf));

let folder: string;
let witness: Witness;

const open = () =>
  openWitness({ folder, name: 'witness.example/w1', logs: [log.verifier], clock: () => NOW_MS });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-witness-'));
  witness = await open();
});
afterEach(async () => {
  witness.close();
  await rm(folder, { recursive: true, force: true });
});

const noteOf = (leaves: readonly Buffer[], signer = log) =>
  signCheckpoint({ size: leaves.length, root: treeHash(leaves) }, signer);

/** A submission as an honest log makes it. */
function submission(old: number, leaves: readonly Buffer[], signer = log): string {
  const proof = old === 0 || old >= leaves.length ? [] : continuation(old, leaves);
  const lines = [`old ${old}`, ...proof.map((hash) => hash.toString('base64'))];
  return `${lines.join('\n')}\n\n${noteOf(leaves, signer)}`;
}

const add = async (body: string) => (await witness.add(body)).status;

describe('a witness', () => {
  it('cosigns what continues the log, and says what it has cosigned', async () => {
    for (const [old, size] of [
      [0, 3],
      [3, 8],
      [8, 8],
      [8, 20],
    ] as const) {
      const note = noteOf(leavesOf(size));
      const { status, body } = await witness.add(submission(old, leavesOf(size)));
      expect(status).toBe(200);
      const [cosignature] = openCosignatures(textOfNote(note), body, [parseCosigner(witness.vkey)]);
      expect(cosignature?.time_s).toBe(NOW_MS / 1000);
      expect(await witness.latest(originHash(ORIGIN))).toBe(`${note}${body}`);
    }
    expect(await witness.latest(originHash('other'))).toBeNull();
  });

  it('refuses a fork, a step back and a size that it does not know', async () => {
    await add(submission(0, leavesOf(8)));
    expect(await add(submission(8, other))).toBe(422);
    expect(await add(submission(8, other.slice(0, 8)))).toBe(422);
    expect(await add(submission(8, leavesOf(5)))).toBe(400);
    for (const body of [submission(5, leavesOf(8)), submission(0, leavesOf(20)), submission(0, other)])
      expect(await witness.add(body)).toEqual({ status: 409, body: '8\n', isSize: true });
    expect(await add(submission(8, leavesOf(20)))).toBe(200);
  });

  it('remembers it after a restart, with the same key', async () => {
    await add(submission(0, leavesOf(8)));
    const { vkey } = witness;
    await expect(open()).rejects.toThrow();
    witness.close();
    witness = await open();
    expect(witness.vkey).toBe(vkey);
    expect(await add(submission(8, other))).toBe(422);
    expect(await add(submission(8, leavesOf(9)))).toBe(200);
  });

  it('answers nothing from a state that it cannot read', async () => {
    await add(submission(0, leavesOf(8)));
    await writeFile(join(folder, originHash(ORIGIN), 'checkpoint'), 'torn');
    await expect(witness.add(submission(8, leavesOf(9)))).rejects.toThrow();
    await expect(witness.add(submission(0, other))).rejects.toThrow();
  });

  it('cosigns one of two histories that arrive at once', async () => {
    await add(submission(0, leavesOf(2)));
    const answers = await Promise.all(
      [leavesOf(20), other, leavesOf(20), other].map((leaves) => add(submission(2, leaves))),
    );
    expect(answers.filter((status) => status === 200)).toHaveLength(1);
    expect(answers.filter((status) => status === 409)).toHaveLength(3);
  });

  it.each([
    ['an unknown log', 404, submission(0, leavesOf(3)).replace(ORIGIN, 'other.example/log/1')],
    ['a stranger’s signature', 403, submission(0, leavesOf(3), stranger)],
    ['a changed checkpoint', 403, submission(0, leavesOf(3)).replace('\n3\n', '\n4\n')],
    [
      'a proof from nothing',
      422,
      submission(0, leavesOf(3)).replace('old 0\n', `old 0\n${'A'.repeat(43)}=\n`),
    ],
    [
      'a proof that is too long',
      400,
      submission(0, leavesOf(3)).replace('old 0\n', `old 0\n${`${'A'.repeat(43)}=\n`.repeat(64)}`),
    ],
    ['a short hash', 400, submission(0, leavesOf(3)).replace('old 0\n', 'old 0\nAAAA\n')],
    ['a size with a sign', 400, submission(0, leavesOf(3)).replace('old 0', 'old +0')],
    ['a size above 2^53', 400, submission(0, leavesOf(3)).replace('old 0', 'old 9007199254740993')],
    ['nothing', 400, ''],
    ['no checkpoint', 404, 'old 0\n\n'],
  ])('refuses %s with %i', async (_, status, body) => {
    expect(await add(body)).toBe(status);
    expect(await witness.latest(originHash(ORIGIN))).toBeNull();
  });
});
