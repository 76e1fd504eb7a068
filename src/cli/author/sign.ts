import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CompactSign } from 'jose';
import { packArchive, unpackArchive } from '../../policy/archive.ts';
import { fileHash } from '../../policy/file-hash.ts';
import { usageError } from '../cli-error.ts';

/** With what a bundle is signed. */
export interface SigningKey {
  key: KeyObject;
  algorithm: string;
  /** The name of the key in the broker's `bundle_keys`. */
  kid: string;
}

/** The algorithm of a key on a curve. */
const BY_CURVE: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};

/** Reads a private key in PEM. @throws CliError `usage` if it is none that signs bundles */
export async function readSigningKey(file: string, kid: string): Promise<SigningKey> {
  let key: KeyObject;
  try {
    key = createPrivateKey(await readFile(file));
  } catch (error) {
    throw usageError(`--sign: ${file} is not a private key in PEM: ${(error as Error).message}`);
  }
  const { namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  const algorithm = key.asymmetricKeyType === 'rsa' ? 'RS256' : BY_CURVE[namedCurve];
  if (algorithm === undefined)
    throw usageError(`--sign: use a key of P-256, P-384, P-521 or RSA; ${file} is ${key.asymmetricKeyType}.`);
  return { key, algorithm, kid };
}

/** The bundle with an OPA bundle signature over all of its files. @see OPA documentation, "Signing" */
export async function signArchive(archive: Buffer, { key, algorithm, kid }: SigningKey): Promise<Buffer> {
  const files = await unpackArchive(archive);
  files.delete('.signatures.json');
  const payload = {
    files: [...files].map(([name, bytes]) => ({ name, hash: fileHash(name, bytes), algorithm: 'SHA-256' })),
    keyid: kid,
  };
  const token = await new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader({ alg: algorithm, kid })
    .sign(key);
  return packArchive(files.set('.signatures.json', Buffer.from(JSON.stringify({ signatures: [token] }))));
}
