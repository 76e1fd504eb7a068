import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';
import { parseBase64 } from './base64.ts';
import { LogFault } from './fault.ts';

/*
 * Signed notes: a text with signatures below it. @see https://c2sp.org/signed-note
 */

/** The type of an Ed25519 signature over the text of a note. */
const ED25519 = 1;
const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const KEY_ID_BYTES = 4;
/** Limits what a stranger's note can cost. */
const MAX_NOTE_BYTES = 1_000_000;
const MAX_SIGNATURES = 100;

/** The names that keys can have: no spaces (of Unicode), no plus sign. */
const KEY_NAME = /^[^\s\u0085+\p{Cc}]+$/u;

/** A key that verifies notes. */
export interface NoteVerifier {
  name: string;
  /** The four bytes that name the key in a signature, as hexadecimal digits. */
  id: string;
  /** Its text form: `<name>+<id>+<key>`. */
  vkey: string;
  verify(text: string, signature: Buffer): boolean;
}

/** A key that signs notes. */
export interface NoteSigner {
  verifier: NoteVerifier;
  sign(text: string): Buffer;
}

/** Whether a key can have that name. */
export function isKeyName(name: string): boolean {
  return KEY_NAME.test(name);
}

/** A signer from an Ed25519 key. @param name the name of the key; for a log, its origin */
export function noteSigner(name: string, key: KeyObject): NoteSigner {
  return {
    verifier: verifierOf(name, publicKeyOf(key)),
    sign: (text) => sign(null, Buffer.from(text), key),
  };
}

/** The bytes of the public part of an Ed25519 key. */
export function publicKeyOf(key: KeyObject): Buffer {
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  return Buffer.from(x ?? '', 'base64url');
}

/** Reads the text form of a verifying key. @throws LogFault if it is malformed, or of another type */
export function parseVerifier(vkey: string): NoteVerifier {
  const { name, publicKey } = parseTypedKey(vkey, ED25519, 'The key of a log is an Ed25519 key.');
  return verifierOf(name, publicKey);
}

/** The bytes of a verifying key. */
export function publicKeyOfVerifier({ vkey }: Pick<NoteVerifier, 'vkey'>): Buffer {
  return parseTypedKey(vkey, ED25519, '').publicKey;
}

/**
 * Reads the text form of a key of a type.
 *
 * @param hint what is said of a key of another type
 * @throws LogFault if it is malformed, or of another type
 */
export function parseTypedKey(vkey: string, type: number, hint: string): { name: string; publicKey: Buffer } {
  const [name, id, encoded] = splitTwice(vkey.trim(), '+');
  const bytes = encoded === undefined ? null : parseBase64(encoded);
  if (name === undefined || id === undefined || bytes === null || !isKeyName(name))
    throw new LogFault('the key is malformed. It has the form <name>+<8 hexadecimal digits>+<base64>.');
  if (bytes[0] !== type || bytes.length !== 1 + PUBLIC_KEY_BYTES)
    throw new LogFault(`the key is of an unknown type. ${hint}`);
  const publicKey = bytes.subarray(1);
  const { id: own } = typedKeyOf(name, type, publicKey);
  if (own !== id)
    throw new LogFault(
      `the key is damaged: its id should be ${own}, but it says ${id}. Copy it again, whole.`,
    );
  return { name, publicKey };
}

function verifierOf(name: string, publicKey: Buffer): NoteVerifier {
  if (!isKeyName(name)) throw new LogFault(`${JSON.stringify(name)} cannot be the name of a key`);
  const { id, vkey, key } = typedKeyOf(name, ED25519, publicKey);
  return {
    name,
    id,
    vkey,
    verify: (text, signature) =>
      signature.length === SIGNATURE_BYTES && verify(null, Buffer.from(text), key, signature),
  };
}

/** The id, the text form and the object of an Ed25519 key, for signatures of a type. */
export function typedKeyOf(
  name: string,
  type: number,
  publicKey: Buffer,
): { id: string; vkey: string; key: KeyObject } {
  const typed = Buffer.concat([Buffer.of(type), publicKey]);
  const id = hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), typed]), 'hex').slice(
    0,
    2 * KEY_ID_BYTES,
  );
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') };
  return {
    id,
    vkey: `${name}+${id}+${typed.toString('base64')}`,
    key: createPublicKey({ key: jwk, format: 'jwk' }),
  };
}

/** Signs a text. @param text ends in a line break, and has no other control characters */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  if (!isNoteText(text)) throw new Error('this text cannot be signed as a note');
  return `${text}\n${signers.map((signer) => signatureLine(signer, text)).join('')}`;
}

function signatureLine({ verifier, sign: signText }: NoteSigner, text: string): string {
  const signature = Buffer.concat([Buffer.from(verifier.id, 'hex'), signText(text)]);
  return `— ${verifier.name} ${signature.toString('base64')}\n`;
}

/**
 * Verifies a note. Signatures of other keys are ignored.
 *
 * @param verifiers the known keys
 * @returns the text, the known keys that signed it, at least one, and a signature line of each, with its line break
 * @throws LogFault if the note is malformed, a signature of a known key does not fit, or there is none
 */
export function openNote(
  note: string,
  verifiers: readonly NoteVerifier[],
): { text: string; signedBy: NoteVerifier[]; lines: string[] } {
  const { text, signatures } = parseNote(note);
  const lines = new Map<NoteVerifier, string>();
  for (const { name, id, signature, line } of signatures) {
    const verifier = verifiers.find((known) => known.name === name && known.id === id);
    if (verifier === undefined) continue;
    if (!verifier.verify(text, signature))
      throw new LogFault(`the signature of ${name} (key ${id}) is not valid`);
    lines.set(verifier, line);
  }
  if (lines.size === 0) {
    const found = signatures.map(({ name, id }) => `${name} (key ${id})`).join(', ');
    const wanted = verifiers.map(({ name, id }) => `${name} (key ${id})`).join(', ');
    throw new LogFault(`there is no signature of ${wanted}; it is signed by ${found}`);
  }
  return { text, signedBy: [...lines.keys()], lines: [...lines.values()] };
}

/** The text of a note, unverified. @throws LogFault if it is malformed */
export function textOfNote(note: string): string {
  return parseNote(note).text;
}

/** The signature lines of a note, unverified. @throws LogFault if it is malformed */
export function signaturesOf(note: string): string {
  return parseNote(note)
    .signatures.map(({ line }) => line)
    .join('');
}

/** The names and the ids of the keys whose signatures a note has, unverified. @throws LogFault if it is malformed */
export function keysOfNote(note: string): { name: string; id: string }[] {
  return parseNote(note).signatures.map(({ name, id }) => ({ name, id }));
}

interface NoteSignature {
  name: string;
  id: string;
  signature: Buffer;
  /** As it stands in the note, with its line break. */
  line: string;
}

/** Reads the signature lines of a note. @throws LogFault if one is malformed */
export function signatureLines(below: string): NoteSignature[] {
  if (!below.endsWith('\n')) throw new LogFault('the signatures of the note do not end in a line break');
  const lines = below.slice(0, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw new LogFault('the note has too many signatures');
  return lines.map(parseSignature);
}

function parseNote(note: string): { text: string; signatures: NoteSignature[] } {
  if (note.length > MAX_NOTE_BYTES) throw new LogFault('the note is too long');
  const end = note.lastIndexOf('\n\n');
  const text = note.slice(0, end + 1);
  const below = note.slice(end + 2);
  if (end < 0 || !isNoteText(text) || !below.endsWith('\n'))
    throw new LogFault('this is not a signed note: a text, an empty line, and signatures');
  return { text, signatures: signatureLines(below) };
}

function parseSignature(line: string): NoteSignature {
  const [, name, encoded] = /^— (\S+) (\S+)$/u.exec(line) ?? [];
  const bytes = encoded === undefined ? null : parseBase64(encoded);
  if (name === undefined || !isKeyName(name) || bytes === null || bytes.length <= KEY_ID_BYTES)
    throw new LogFault('the note has a malformed signature line. It has the form: — <name> <base64>');
  return {
    name,
    id: bytes.toString('hex', 0, KEY_ID_BYTES),
    signature: bytes.subarray(KEY_ID_BYTES),
    line: `${line}\n`,
  };
}

/** Lines of text without control characters or damaged UTF-8, each with a line break. */
function isNoteText(text: string): boolean {
  return text.endsWith('\n') && !/[\p{Cc}\ufffd]/u.test(text.replaceAll('\n', '')) && text.isWellFormed();
}

function splitTwice(text: string, mark: string): string[] {
  const [first = '', second, ...rest] = text.split(mark);
  return second === undefined ? [first] : [first, second, rest.join(mark)];
}
