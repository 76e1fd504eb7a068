import { generateKeyPairSync } from 'node:crypto';
import { bodyDigest } from '../../src/snapshot/body.ts';
import { formatLatest, PUBLISHES } from '../../src/snapshot/latest.ts';
import { type PointerClaims, signPointer } from '../../src/snapshot/pointer.ts';
import { signCheckpoint } from '../../src/tree/checkpoint.ts';
import { leafHash, nodeHash } from '../../src/tree/hashes.ts';
import { type NoteSigner, noteSigner } from '../../src/tree/note.ts';
import { formatProofFile } from '../../src/tree/proof-file.ts';

/* Snapshots that nobody published, made with keys of the test's own. */

const ORIGIN = 'flags.example/log/1';
export const NOW_MS = Date.UTC(2026, 10, 18, 9, 30);
const NOW_S = NOW_MS / 1000;

export const newSigner = (origin = ORIGIN): NoteSigner =>
  noteSigner(origin, generateKeyPairSync('ed25519').privateKey);

export const BODY = '{"environment":"production","flags":[],"schema_version":1,"version":7}';

/** The claims of a sound pointer, with these in place of its own. */
export function claimsOf(claims: Partial<PointerClaims> = {}): PointerClaims {
  return {
    digest: bodyDigest(BODY),
    environment: 'production',
    epoch: 1,
    exp: NOW_S + 300,
    iat: NOW_S,
    origin: ORIGIN,
    previous: null,
    size: 1,
    version: 7,
    ...claims,
  };
}

/** The leaf that publishes what a pointer claims. */
export function leafOf(
  { digest, environment, size, version }: PointerClaims,
  operation: string = PUBLISHES,
): string {
  return JSON.stringify({ operation, snapshot: { digest, environment, size, version } });
}

/** A log of two records, the second of which is the leaf, and the proof that it is there. */
export function proofOf(signer: NoteSigner, leaf: string): string {
  const first = leafHash(Buffer.from('the first record'));
  const bytes = Buffer.from(leaf);
  const checkpoint = signCheckpoint({ size: 2, root: nodeHash(first, leafHash(bytes)) }, signer);
  return formatProofFile({ leaf: bytes, index: 1, proof: [first], checkpoint });
}

/** The file with a pointer and its proof. */
export function latestOf(signer: NoteSigner, claims: PointerClaims = claimsOf()): Buffer {
  return Buffer.from(formatLatest([signPointer(claims, signer)], proofOf(signer, leafOf(claims))));
}

/** A JWS with that header and that payload, signed by the key. */
export function jwsOf(signer: NoteSigner, header: object, payload: string): string {
  const input = [JSON.stringify(header), payload]
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.');
  return `${input}.${signer.sign(input).toString('base64url')}`;
}

/** The header of a pointer of that key. */
export function headerOf({ verifier }: NoteSigner): { alg: string; kid: string; typ: string } {
  return { alg: 'EdDSA', kid: `${verifier.name}+${verifier.id}`, typ: 'countersign-snapshot+jwt' };
}
