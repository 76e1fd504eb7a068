import { generateKeyPairSync } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signCheckpoint } from '../../src/tree/checkpoint.ts';
import { openCosignatures, originHash, parseCosigner } from '../../src/tree/cosignature.ts';
import { noteSigner, signNote, textOfNote } from '../../src/tree/note.ts';
import { openWitness, type Witness } from '../../src/witness/witness.ts';
import { HAS_STRACE, traceFiles } from '../support/file-trace.ts';
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

  it('cosigns nothing once its state is lost or older than what it has cosigned', async () => {
    const lost = `${folder}-away`;
    const file = join(folder, originHash(ORIGIN), 'checkpoint');
    await add(submission(0, leavesOf(3)));
    const older = await readFile(file);
    await add(submission(3, leavesOf(8)));
    const newer = await readFile(file);

    await rename(folder, lost);
    await expect(witness.add(submission(0, other))).rejects.toThrow('deleted or moved');
    // A copy of it is no state, either: it has another file that is locked.
    await cp(lost, folder, { recursive: true });
    await expect(witness.add(submission(8, leavesOf(9)))).rejects.toThrow('replaced');
    await rm(folder, { recursive: true });
    await rename(lost, folder);

    await rm(file);
    await expect(witness.add(submission(0, other))).rejects.toThrow('lost or changed');
    await rm(join(folder, originHash(ORIGIN)), { recursive: true });
    await expect(witness.add(submission(0, other))).rejects.toThrow('lost or changed');
    await mkdir(join(folder, originHash(ORIGIN)));
    await writeFile(file, older);
    await expect(witness.add(submission(3, [...leavesOf(3), ...other.slice(3)]))).rejects.toThrow('lost');
    await writeFile(file, newer);
    expect(await add(submission(8, leavesOf(9)))).toBe(200);
  });

  it('does not begin anew if what it has cosigned was lost while it was stopped', async () => {
    expect(witness.logs()).toEqual([{ origin: ORIGIN, size: null }]);
    await add(submission(0, leavesOf(3)));
    expect(witness.logs()).toEqual([{ origin: ORIGIN, size: 3 }]);
    witness.close();
    const file = join(folder, originHash(ORIGIN), 'checkpoint');
    const note = await readFile(file);
    for (const lost of [file, join(folder, originHash(ORIGIN))]) {
      await rm(lost, { recursive: true });
      await expect(open()).rejects.toThrow('is missing, although this witness has cosigned that log');
    }
    await mkdir(join(folder, originHash(ORIGIN)), { recursive: true });
    await writeFile(file, note);
    witness = await open();
    expect(await add(submission(0, other))).toBe(409);
    expect(await add(submission(3, leavesOf(8)))).toBe(200);
  });

  it('cosigns nothing from a state that another put there', async () => {
    const file = join(folder, originHash(ORIGIN), 'checkpoint');
    await writeFile(file, noteOf(other.slice(0, 8)));
    await expect(witness.add(submission(8, other))).rejects.toThrow('lost or changed');
    expect(await witness.latest(originHash(ORIGIN))).toBeNull();
  });

  it('serves the signatures that it has verified, and none else of what it was sent', async () => {
    const note = noteOf(leavesOf(3));
    const signature = note.slice(note.lastIndexOf('\n\n') + 2);
    const [name, id] = witness.vkey.split('+');
    const falseLine = `— ${name} ${Buffer.concat([Buffer.from(id ?? '', 'hex'), Buffer.alloc(72, 1)]).toString('base64')}\n`;
    const strange = noteOf(leavesOf(3), stranger).slice(note.lastIndexOf('\n\n') + 2);
    const sent = `${submission(0, leavesOf(3))}${falseLine}${strange}${signature.repeat(97)}`;
    const first = await witness.add(sent);
    expect(first.status).toBe(200);
    expect(await witness.latest(originHash(ORIGIN))).toBe(`${note}${first.body}`);
    // What it has stored can be read: it goes on, now and after a restart.
    const second = await witness.add(submission(3, leavesOf(8)));
    expect(second.status).toBe(200);
    witness.close();
    witness = await open();
    expect(await witness.latest(originHash(ORIGIN))).toBe(`${noteOf(leavesOf(8))}${second.body}`);
    expect(await add(`${submission(8, leavesOf(9))}${strange.repeat(100)}`)).toBe(400);
    expect(await add(submission(8, leavesOf(9)))).toBe(200);
  });

  it('keeps the signature of each known key of the log', async () => {
    witness.close();
    const logs = [log.verifier, stranger.verifier];
    witness = await openWitness({ folder, name: 'witness.example/w1', logs, clock: () => NOW_MS });
    const both = signNote(textOfNote(noteOf(leavesOf(3))), [log, stranger]);
    const { body } = await witness.add(`old 0\n\n${both}`);
    expect(await witness.latest(originHash(ORIGIN))).toBe(`${both}${body}`);
  });

  // An entry of a folder that was not synchronized is lost with the power, and the witness would begin anew.
  it.runIf(HAS_STRACE)(
    'has durable folders for all logs before it answers',
    async () => {
      witness.close();
      const others = ['flags.example/log/2', 'flags.example/log/3'];
      const keys = others.map(
        (name) => noteSigner(name, generateKeyPairSync('ed25519').privateKey).verifier.vkey,
      );
      const logs = keys.flatMap((vkey) => ['--log', vkey]);
      const options = ['--name', 'witness.example/w1', '--state', folder, '--listen', '127.0.0.1:0'];
      const { calls, errors } = await traceFiles(
        [process.execPath, 'src/main.ts', 'witness', ...options, ...logs],
        { log: join(folder, 'calls'), isEnough: (output) => output.includes('answers at') },
      );
      expect(errors).toBe('');
      const real = await realpath(folder);
      expect(calls.some(({ name, path, succeeded }) => name === 'fsync' && path === real && succeeded)).toBe(
        true,
      );
      for (const name of others)
        expect((await stat(join(folder, originHash(name)))).isDirectory()).toBe(true);
      witness = await open();
    },
    60_000,
  );

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
