import { compactVerify, decodeProtectedHeader, errors } from 'jose';
import { z } from 'zod';
import { findInexactNumber } from '../json-numbers.ts';
import { type NoteSigner, type NoteVerifier, publicKeyOfVerifier } from '../tree/note.ts';
import { placeOf } from './body.ts';
import { SnapshotFault } from './fault.ts';

/*
 * What the key of the log signs beside checkpoints, as compact JWS (RFC 7515). Each kind has a `typ` of its own, so that none can
 * be taken for another. Nor can a checkpoint: the text of a note has lines and begins with the name of the log, and what a JWS
 * signs is one line of base64url with a dot.
 */

const ALGORITHM = 'EdDSA';

/** How far the clock of the broker may be ahead. */
const LEEWAY_S = 60;

/** One kind of what is signed. */
export interface SignedKind<Claims> {
  /** The `typ` of its header. */
  readonly type: string;
  /** What it is called in a sentence. */
  readonly what: string;
  readonly claims: z.ZodType<Claims>;
}

/** The name of a key of the log in a header: as in the lines of its checkpoints. */
function kidOf({ name, id }: NoteVerifier): string {
  return `${name}+${id}`;
}

/** Signs claims. */
export function signClaims<Claims>(
  { type }: SignedKind<Claims>,
  claims: Claims,
  { verifier, sign }: NoteSigner,
): string {
  const header = { alg: ALGORITHM, kid: kidOf(verifier), typ: type };
  const input = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${input}.${sign(input).toString('base64url')}`;
}

/**
 * Verifies the signature of one of several texts, and reads it. There is one for each key that signs, so that readers who know
 * one of them only can go on during a rotation.
 *
 * @returns the claims, and the key that signed them
 * @throws SnapshotFault
 */
export async function openSigned<Claims>(
  kind: SignedKind<Claims>,
  texts: readonly string[],
  keys: readonly NoteVerifier[],
): Promise<{ claims: Claims; key: NoteVerifier }> {
  const named = texts.map((text) => ({ text, kid: readKid(kind, text) }));
  for (const { text, kid } of named) {
    const key = keys.find((each) => kidOf(each) === kid);
    if (key !== undefined) return { claims: await verified(kind, text, key), key };
  }
  throw unknownKey(
    kind,
    named.map(({ kid }) => kid),
    keys,
  );
}

function readKid<Claims>({ type, what }: SignedKind<Claims>, text: string): string {
  let header: unknown;
  try {
    header = decodeProtectedHeader(text);
  } catch (error) {
    throw new SnapshotFault('malformed', `the ${what} is not a JWS`, error);
  }
  const schema = z.strictObject({ alg: z.literal(ALGORITHM), kid: z.string(), typ: z.literal(type) });
  const parsed = schema.safeParse(header);
  if (parsed.success) return parsed.data.kid;
  throw new SnapshotFault(
    'malformed',
    `the header of the ${what} is another one: it must have alg ${ALGORITHM}, typ ${type} and kid, and nothing else`,
    parsed.error,
  );
}

async function verified<Claims>(kind: SignedKind<Claims>, text: string, key: NoteVerifier): Promise<Claims> {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKeyOfVerifier(key).toString('base64url') };
  let payload: Uint8Array;
  try {
    ({ payload } = await compactVerify(text, jwk, { algorithms: [ALGORITHM] }));
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    throw new SnapshotFault(
      'signature_invalid',
      `the ${kind.what} is not signed by the key ${kidOf(key)}`,
      error,
    );
  }
  return readClaims(kind, Buffer.from(payload).toString('utf8'));
}

function readClaims<Claims>({ what, claims }: SignedKind<Claims>, text: string): Claims {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SnapshotFault('malformed', `the ${what} does not contain JSON`, error);
  }
  const parsed = claims.safeParse(value);
  const inexact = findInexactNumber(text);
  if (inexact !== null)
    throw new SnapshotFault('malformed', `the number ${inexact} of the ${what} is inexact`);
  if (parsed.success) return parsed.data;
  throw new SnapshotFault('malformed', `the ${what} is malformed at /${placeOf(parsed.error)}`, parsed.error);
}

/**
 * Reads a file with what is signed, which may lie anywhere.
 *
 * @throws SnapshotFault `too_large`, `not_a_snapshot`
 */
export function parseFile<T>(
  bytes: Buffer,
  { what, maxBytes, schema }: { what: string; maxBytes: number; schema: z.ZodType<T> },
): T {
  if (bytes.length > maxBytes) throw new SnapshotFault('too_large', `the ${what} has ${bytes.length} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    const begins = JSON.stringify(bytes.toString('utf8', 0, 40));
    throw new SnapshotFault('not_a_snapshot', `this is not JSON: it begins with ${begins}`, error);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new SnapshotFault(
    'not_a_snapshot',
    `this is not a ${what}: it is malformed at /${placeOf(parsed.error)}`,
    parsed.error,
  );
}

/**
 * Asserts that what is signed is of an environment, and of the log whose key signed it.
 *
 * @throws SnapshotFault `other_environment`, `other_epoch`
 */
export function assertOfLog(
  what: string,
  claims: { environment: string; origin: string; epoch: number },
  { key, environment }: { key: NoteVerifier; environment: string },
): void {
  if (claims.environment !== environment)
    throw new SnapshotFault(
      'other_environment',
      `the ${what} is of ${claims.environment}, and ${environment} was asked for`,
    );
  if (claims.origin !== key.name || !key.name.endsWith(`/${claims.epoch}`))
    throw new SnapshotFault(
      'other_epoch',
      `the ${what} names epoch ${claims.epoch} of the log ${claims.origin}, and the key of ${key.name} signed it`,
    );
}

/** @throws SnapshotFault `not_yet_valid`, `expired` */
export function assertInTime(what: string, { iat, exp }: { iat: number; exp: number }, nowMs: number): void {
  const nowS = nowMs / 1000;
  const at = (s: number) => new Date(s * 1000).toISOString();
  if (iat > nowS + LEEWAY_S)
    throw new SnapshotFault('not_yet_valid', `the ${what} was signed at ${at(iat)}, and it is ${at(nowS)}`);
  if (exp <= nowS) throw new SnapshotFault('expired', `the ${what} has expired at ${at(exp)}`);
}

/** The fault of a text that no known key signed. Names of logs that differ in the epoch alone tell of a restore. */
function unknownKey<Claims>(
  { what }: SignedKind<Claims>,
  kids: readonly string[],
  keys: readonly NoteVerifier[],
): SnapshotFault {
  const signed = kids.join(' and ');
  const given = keys.map(kidOf).join(' and ');
  const withoutEpoch = (name: string) => name.replace(/\/\d+(\+[0-9a-f]+)?$/, '');
  const isOfOther = kids.some((kid) =>
    keys.some(({ name }) => withoutEpoch(kid) === withoutEpoch(name) && !kid.startsWith(`${name}+`)),
  );
  return isOfOther
    ? new SnapshotFault(
        'other_epoch',
        `the ${what} is of another epoch: ${signed} signed it, and ${given} is known`,
      )
    : new SnapshotFault('unknown_key', `the ${what} is signed by ${signed}, and the known keys are ${given}`);
}
