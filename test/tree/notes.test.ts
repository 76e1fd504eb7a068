import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { openCheckpoint, signCheckpoint } from '../../src/tree/checkpoint.ts';
import { LogFault } from '../../src/tree/fault.ts';
import { EMPTY_ROOT, leafHash, rootOf } from '../../src/tree/hashes.ts';
import { noteSigner, openNote, parseVerifier, signNote } from '../../src/tree/note.ts';
import { formatProofFile, verifyProofFile } from '../../src/tree/proof-file.ts';
import { inclusionProof } from '../../src/tree/proofs.ts';
import { flipped, frontierOf, leavesOf, readFrom } from './samples.ts';

const ORIGIN = 'flags.example.com/log/1';
const signerOf = (name: string) => noteSigner(name, generateKeyPairSync('ed25519').privateKey);
const log = signerOf(ORIGIN);
const other = signerOf('other.example.com');
const root = rootOf(frontierOf(leavesOf(5)));
const signed = signCheckpoint({ size: 5, root }, log);

describe('a note', () => {
  const text = 'one\n\ntwo\n';

  it('is verified by the keys that are known', () => {
    const note = signNote(text, [other, log]);
    const line = signNote(text, [log]).slice(text.length + 1);
    expect(openNote(note, [log.verifier])).toEqual({ text, signedBy: [log.verifier], lines: [line] });
    expect(openNote(`${note}${line}`, [log.verifier])).toEqual(openNote(note, [log.verifier]));
    const both = openNote(note, [log.verifier, other.verifier]);
    expect(both.signedBy).toHaveLength(2);
    expect(`${text}\n${both.lines.join('')}`).toBe(note);
  });

  it('needs the signature of a known key', () => {
    const renewed = signerOf(ORIGIN);
    const note = signNote(text, [other]);
    expect(() => openNote(note, [log.verifier])).toThrow(`there is no signature of ${ORIGIN}`);
    expect(() => openNote(signNote(text, [renewed]), [log.verifier])).toThrow(LogFault);
  });

  it('is refused as a whole if a known key did not make its signature', () => {
    const [signature] = signNote('else\n', [log]).split('\n').slice(-2);
    const note = `${signNote(text, [other])}${signature}\n`;
    expect(() => openNote(note, [log.verifier, other.verifier])).toThrow('is not valid');
    expect(openNote(note, [other.verifier]).text).toBe(text);
  });

  it.each([
    ['nothing', ''],
    ['no signature', 'text\n\n'],
    ['no empty line', 'text\n— a AAAAAAAA\n'],
    ['another dash', signed.replace('—', '-')],
    ['no line break at the end', signed.slice(0, -1)],
    ['another line break', signed.replaceAll('\n', '\r\n')],
    ['a control character', signed.replace(ORIGIN, `${ORIGIN}\u0007`)],
    ['base64 without padding', signed.replace('==\n', '\n').replace('=\n', '\n')],
    [
      'a signature without bytes',
      `text\n\n— ${ORIGIN} ${Buffer.from(log.verifier.id, 'hex').toString('base64')}\n`,
    ],
    ['more than a thousand signatures', signed + signed.split('\n').at(-2)?.concat('\n').repeat(1000)],
    ['a text behind the signatures', `${signed}\nmore\n`],
  ])('is refused with %s', (_, note) => {
    expect(() => openNote(note, [log.verifier])).toThrow(LogFault);
  });

  it.each(['control\u0000\n', 'no end', 'a\u007fb\n', '\ud800\n'])('is not made of %j', (broken) => {
    expect(() => signNote(broken, [log])).toThrow('cannot be signed');
  });
});

describe('a verifying key', () => {
  const { vkey } = log.verifier;

  it('is read from its text, with white space around it', () => {
    expect(parseVerifier(`  ${vkey}\n`).vkey).toBe(vkey);
  });

  it.each([
    ['', 'malformed'],
    ['not a key', 'malformed'],
    [vkey.replace('+', ' '), 'malformed'],
    [vkey.slice(0, -2), 'malformed'],
    [vkey.replace(ORIGIN, 'elsewhere'), 'damaged'],
    [vkey.replace(ORIGIN, 'two words'), 'malformed'],
    [`${ORIGIN}+00000000+${vkey.slice(vkey.lastIndexOf('+', vkey.indexOf('+') + 10) + 1)}`, 'damaged'],
    [
      `${ORIGIN}+00000000+${Buffer.concat([Buffer.of(4), Buffer.alloc(32)]).toString('base64')}`,
      'unknown type',
    ],
    [`${ORIGIN}+00000000+${Buffer.alloc(40, 1).toString('base64')}`, 'unknown type'],
  ])('%j is refused', (text, message) => {
    expect(() => parseVerifier(text)).toThrow(message);
    expect(() => parseVerifier(text)).toThrow(LogFault);
  });
});

describe('a checkpoint', () => {
  it('says how large the log is, and what its root is', () => {
    expect(openCheckpoint(signed, log.verifier)).toEqual({ origin: ORIGIN, size: 5, root });
    const empty = signCheckpoint({ size: 0, root: EMPTY_ROOT }, log);
    expect(openCheckpoint(empty, log.verifier)).toMatchObject({ size: 0 });
  });

  it('of another log is refused by name', () => {
    const foreign = signCheckpoint({ size: 5, root }, other);
    expect(() => openCheckpoint(foreign, log.verifier)).toThrow('its origin is "other.example.com"');
  });

  const lines = (...texts: string[]) => signNote(`${[ORIGIN, ...texts].join('\n')}\n`, [log]);
  const encoded = root.toString('base64');
  it.each([
    ['a size above 2^53', lines('9007199254740992', encoded)],
    ['a size of 64 bits', lines('18446744073709551615', encoded)],
    ['leading zeros', lines('05', encoded)],
    ['a sign', lines('+5', encoded)],
    ['no size', lines('', encoded)],
    ['no root', lines('5')],
    ['a short root', lines('5', encoded.slice(4))],
    ['another base64', lines('5', encoded.replace('=', ''))],
    ['a root of an empty log', lines('0', encoded)],
    ['an empty extension', lines('5', encoded, '', 'more')],
  ])('is refused with %s, although it is signed', (_, note) => {
    expect(() => openCheckpoint(note, log.verifier)).toThrow(LogFault);
  });

  it('may have extensions', () => {
    expect(openCheckpoint(lines('5', encoded, 'more'), log.verifier).size).toBe(5);
  });

  it('is refused after any change of a byte', () => {
    const bytes = Buffer.from(signed);
    for (let at = 0; at < bytes.length; at += 1) {
      const text = flipped(bytes, at * 8 + (at % 7)).toString();
      expect(() => openCheckpoint(text, log.verifier)).toThrow(LogFault);
    }
  });
});

describe('a proof file', () => {
  const leaves = leavesOf(5);
  const fileOf = async (index: number) =>
    formatProofFile({
      leaf: leaves[index] as Buffer,
      index,
      proof: await inclusionProof(index, 5, readFrom(leaves)),
      checkpoint: signed,
    });

  it('is verified with nothing but the key', async () => {
    for (const [index, leaf] of leaves.entries()) {
      const checkpoint = { origin: ORIGIN, size: 5, root };
      expect(verifyProofFile(await fileOf(index), log.verifier)).toEqual({ leaf, index, checkpoint });
    }
  });

  it('has the form of the specification', async () => {
    const [header, extra, index, ...rest] = (await fileOf(4)).split('\n');
    expect([header, index]).toEqual(['c2sp.org/tlog-proof@v1', 'index 4']);
    expect(extra).toBe(`extra ${leaves[4]?.toString('base64')}`);
    expect(rest[1]).toBe('');
    expect(rest.slice(2).join('\n')).toBe(signed);
  });

  it('is refused after any change of a byte', async () => {
    const bytes = Buffer.from(await fileOf(2));
    for (let at = 0; at < bytes.length; at += 1) {
      const text = flipped(bytes, at * 8 + (at % 7)).toString();
      expect(() => verifyProofFile(text, log.verifier)).toThrow(LogFault);
    }
  });

  it('is refused if it is cut off anywhere', async () => {
    const text = await fileOf(2);
    for (let end = 0; end < text.length; end += 1)
      expect(() => verifyProofFile(text.slice(0, end), log.verifier)).toThrow(LogFault);
  });

  it('of another leaf is refused by name', async () => {
    const file = await fileOf(2);
    const other = file.replace(/extra .*/, `extra ${leafHash('x').toString('base64')}`);
    expect(() => verifyProofFile(other, log.verifier)).toThrow('does not show that this leaf is number 2');
    expect(() => verifyProofFile(file.replace('index 2', 'index 9007199254740993'), log.verifier)).toThrow(
      'no valid "index" line',
    );
    expect(() => verifyProofFile(file.replace(/extra .*\n/, ''), log.verifier)).toThrow(
      'does not contain its leaf',
    );
  });
});
