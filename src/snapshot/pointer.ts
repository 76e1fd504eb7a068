import { compactVerify, decodeProtectedHeader, errors } from 'jose';
import { z } from 'zod';
import { DIGEST_PATTERN } from '../json.ts';
import { findInexactNumber } from '../json-numbers.ts';
import { type NoteSigner, type NoteVerifier, publicKeyOfVerifier } from '../tree/note.ts';
import { placeOf } from './body.ts';
import { SnapshotFault } from './fault.ts';

/*
 * The pointer: which body is the newest of an environment, and until when that may be believed. It is a compact JWS (RFC 7515).
 *
 * The key of the log signs it. The proof of a snapshot ends in a checkpoint, so whoever verifies one has that key anyway: one key
 * to be given in advance, and one rotation with its overlap, which the log itself records. A key of its own would be sealed by
 * the same master key in the same database, and so be lost together with this one; what it could add is a second thing that
 * every reader has to renew. Keys of tokens change each month and are known from the broker alone, and a snapshot is to be
 * verified without it. Neither signature can be taken for the other: the text of a note has lines and begins with the name of
 * the log, and what a JWS signs is one line of base64url with a dot.
 */

/** The `typ` of a pointer, so that nothing else with a signature can be taken for one. */
export const POINTER_TYPE = 'countersign-snapshot+jwt';
const ALGORITHM = 'EdDSA';

const seconds = z.int().min(0);

const claimsSchema = z.strictObject({
  digest: z.string().regex(DIGEST_PATTERN),
  environment: z.string().min(1),
  epoch: z.int().min(1),
  exp: seconds,
  iat: seconds,
  origin: z.string().min(1),
  previous: z.string().regex(DIGEST_PATTERN).nullable(),
  size: z.int().min(0),
  version: z.int().min(0),
});

/** What a pointer says. Times are in seconds, as in a JWT. */
export type PointerClaims = z.infer<typeof claimsSchema>;

const headerSchema = z.strictObject({
  alg: z.literal(ALGORITHM),
  kid: z.string(),
  typ: z.literal(POINTER_TYPE),
});

/** The name of a key of the log in a pointer: as in the lines of its checkpoints. */
function kidOf({ name, id }: NoteVerifier): string {
  return `${name}+${id}`;
}

/** Signs a pointer. */
export function signPointer(claims: PointerClaims, { verifier, sign }: NoteSigner): string {
  const header = { alg: ALGORITHM, kid: kidOf(verifier), typ: POINTER_TYPE };
  const input = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${input}.${sign(input).toString('base64url')}`;
}

/**
 * Verifies the signature of a pointer, and reads it. There is one for each key that signs, so that readers who know one of
 * them only can go on during a rotation.
 *
 * @returns the claims, and the key that signed them
 * @throws SnapshotFault
 */
export async function openPointer(
  pointers: readonly string[],
  keys: readonly NoteVerifier[],
): Promise<{ claims: PointerClaims; key: NoteVerifier }> {
  const named = pointers.map((pointer) => ({ pointer, kid: readHeader(pointer).kid }));
  for (const { pointer, kid } of named) {
    const key = keys.find((each) => kidOf(each) === kid);
    if (key !== undefined) return { claims: await verified(pointer, key), key };
  }
  throw unknownKey(
    named.map(({ kid }) => kid),
    keys,
  );
}

function readHeader(pointer: string): z.infer<typeof headerSchema> {
  let header: unknown;
  try {
    header = decodeProtectedHeader(pointer);
  } catch (error) {
    throw new SnapshotFault('malformed', 'the pointer is not a JWS', error);
  }
  const parsed = headerSchema.safeParse(header);
  if (parsed.success) return parsed.data;
  throw new SnapshotFault(
    'malformed',
    `the header of the pointer is not that of a snapshot: it must have alg ${ALGORITHM}, typ ${POINTER_TYPE} and kid, and nothing else`,
    parsed.error,
  );
}

async function verified(pointer: string, key: NoteVerifier): Promise<PointerClaims> {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKeyOfVerifier(key).toString('base64url') };
  let payload: Uint8Array;
  try {
    ({ payload } = await compactVerify(pointer, jwk, { algorithms: [ALGORITHM] }));
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    throw new SnapshotFault('signature_invalid', `the pointer is not signed by the key ${kidOf(key)}`, error);
  }
  return readClaims(Buffer.from(payload).toString('utf8'));
}

function readClaims(text: string): PointerClaims {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SnapshotFault('malformed', 'the pointer does not contain JSON', error);
  }
  const parsed = claimsSchema.safeParse(value);
  const inexact = findInexactNumber(text);
  if (inexact !== null)
    throw new SnapshotFault('malformed', `the number ${inexact} of the pointer is inexact`);
  if (parsed.success) return parsed.data;
  throw new SnapshotFault('malformed', `the pointer is malformed at /${placeOf(parsed.error)}`, parsed.error);
}

/** The fault of a pointer that no known key signed. Names of logs that differ in the epoch alone tell of a restore. */
function unknownKey(kids: readonly string[], keys: readonly NoteVerifier[]): SnapshotFault {
  const signed = kids.join(' and ');
  const given = keys.map(kidOf).join(' and ');
  const withoutEpoch = (name: string) => name.replace(/\/\d+(\+[0-9a-f]+)?$/, '');
  const isOfOther = kids.some((kid) =>
    keys.some(({ name }) => withoutEpoch(kid) === withoutEpoch(name) && !kid.startsWith(`${name}+`)),
  );
  return isOfOther
    ? new SnapshotFault(
        'other_epoch',
        `the pointer is of another epoch: ${signed} signed it, and ${given} is known`,
      )
    : new SnapshotFault('unknown_key', `the pointer is signed by ${signed}, and the known keys are ${given}`);
}
