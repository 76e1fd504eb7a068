import { z } from 'zod';
import { DIGEST_PATTERN } from '../json.ts';
import type { NoteSigner, NoteVerifier } from '../tree/note.ts';
import { openSigned, type SignedKind, signClaims } from './signed.ts';

/*
 * The pointer: which body is the newest of an environment, and until when that may be believed.
 *
 * The key of the log signs it. The proof of a snapshot ends in a checkpoint, so whoever verifies one has that key anyway: one key
 * to be given in advance, and one rotation with its overlap, which the log itself records. A key of its own would be sealed by
 * the same master key in the same database, and so be lost together with this one; what it could add is a second thing that
 * every reader has to renew. Keys of tokens change each month and are known from the broker alone, and a snapshot is to be
 * verified without it.
 */

/** The `typ` of a pointer, so that nothing else with a signature can be taken for one. */
export const POINTER_TYPE = 'countersign-snapshot+jwt';

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

const POINTER: SignedKind<PointerClaims> = { type: POINTER_TYPE, what: 'pointer', claims: claimsSchema };

/** Signs a pointer. */
export function signPointer(claims: PointerClaims, signer: NoteSigner): string {
  return signClaims(POINTER, claims, signer);
}

/**
 * Verifies the signature of a pointer, and reads it.
 *
 * @param pointers one for each key that signs
 * @returns the claims, and the key that signed them
 * @throws SnapshotFault
 */
export function openPointer(
  pointers: readonly string[],
  keys: readonly NoteVerifier[],
): Promise<{ claims: PointerClaims; key: NoteVerifier }> {
  return openSigned(POINTER, pointers, keys);
}
