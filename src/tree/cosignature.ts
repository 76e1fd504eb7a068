import { hash, type KeyObject, sign, verify } from 'node:crypto';
import { LogFault } from './fault.ts';
import { isKeyName, parseTypedKey, publicKeyOf, signatureLines, typedKeyOf } from './note.ts';

/*
 * Cosignatures: the statement of a witness that a checkpoint continues every other one of the log that it has cosigned, and
 * when it said so. @see https://c2sp.org/tlog-cosignature
 */

/** The type of a timestamped Ed25519 cosignature. */
const COSIGNATURE = 4;
const TIME_BYTES = 8;
const SIGNATURE_BYTES = 64;

/** The key of a witness. */
export interface Cosigner {
  name: string;
  id: string;
  /** Its text form: `<name>+<id>+<key>`. */
  vkey: string;
  verify(text: string, signature: Buffer): boolean;
}

/** A cosignature that was verified. */
export interface Cosignature {
  cosigner: Cosigner;
  /** When it was made, by the clock of the witness. */
  time_s: number;
  /** The line of the note. */
  line: string;
}

/** Reads the text form of a witness' key. @throws LogFault if it is malformed, or of another type */
export function parseCosigner(vkey: string): Cosigner {
  const { name, publicKey } = parseTypedKey(vkey, COSIGNATURE, 'The key of a witness is for cosignatures.');
  return cosignerOf(name, publicKey);
}

/** Whether a text is the key of a witness. */
export function isCosigner(vkey: string): boolean {
  try {
    return parseCosigner(vkey).vkey === vkey;
  } catch (error) {
    if (error instanceof LogFault) return false;
    throw error;
  }
}

function cosignerOf(name: string, publicKey: Buffer): Cosigner {
  const { id, vkey, key } = typedKeyOf(name, COSIGNATURE, publicKey);
  return {
    name,
    id,
    vkey,
    verify: (text, signature) =>
      signature.length === TIME_BYTES + SIGNATURE_BYTES &&
      timeOf(signature) !== null &&
      verify(null, messageOf(text, timeOf(signature) ?? 0), key, signature.subarray(TIME_BYTES)),
  };
}

/** Cosigns for a witness. */
export interface CosignerKey {
  cosigner: Cosigner;
  /** @returns the line for the text of a note */
  cosign(text: string, timeS: number): string;
}

/** The key of a witness, to cosign with. @throws LogFault if no key can have that name */
export function cosignerKey(name: string, key: KeyObject): CosignerKey {
  if (!isKeyName(name)) throw new LogFault(`${JSON.stringify(name)} cannot be the name of a key`);
  const cosigner = cosignerOf(name, publicKeyOf(key));
  return {
    cosigner,
    cosign: (text, timeS) => {
      const time = Buffer.alloc(TIME_BYTES);
      time.writeBigUInt64BE(BigInt(timeS));
      const signature = sign(null, messageOf(text, timeS), key);
      const bytes = Buffer.concat([Buffer.from(cosigner.id, 'hex'), time, signature]);
      return `— ${name} ${bytes.toString('base64')}\n`;
    },
  };
}

/**
 * Verifies the cosignatures of a note. Those of unknown keys are ignored.
 *
 * @param text the text of the note
 * @param lines its signature lines
 * @throws LogFault if a line is malformed, or a known witness did not make its cosignature
 */
export function openCosignatures(text: string, lines: string, known: readonly Cosigner[]): Cosignature[] {
  return signatureLines(lines).flatMap(({ name, id, signature, line }) => {
    const cosigner = known.find((one) => one.name === name && one.id === id);
    if (cosigner === undefined) return [];
    if (!cosigner.verify(text, signature))
      throw new LogFault(`the cosignature of ${name} (key ${id}) is not valid`);
    return [{ cosigner, time_s: timeOf(signature) ?? 0, line }];
  });
}

function messageOf(text: string, timeS: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${timeS}\n${text}`);
}

function timeOf(signature: Buffer): number | null {
  const time = signature.readBigUInt64BE(0);
  return time <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(time) : null;
}

/** The name of a log in addresses: the hash of its origin. */
export function originHash(origin: string): string {
  return hash('sha256', origin, 'hex');
}
