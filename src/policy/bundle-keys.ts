import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';

/*
 * The keys that sign bundles, from the configuration. A key is never taken from a bundle.
 */

/** The algorithms that OPA signs with, without those that have one secret for both sides. */
export const BUNDLE_ALGORITHMS = [
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
] as const;

/** The curve of each algorithm on curves. */
const CURVES: Readonly<Record<string, string>> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
};

const MIN_RSA_BITS = 2048;

/** One key of `bundle_keys`. */
export const bundleKeySchema = z
  .strictObject({
    kid: z.string().min(1).max(200).meta({
      description:
        "names a public key that signs bundles: the `--verification-key-id` of `opa`, which is `default` without one. With any key, every new bundle must be [signed](policy.md#signatures), the first start's too",
    }),
    algorithm: z
      .enum(BUNDLE_ALGORITHMS)
      .meta({ description: `${BUNDLE_ALGORITHMS.map((name) => `\`${name}\``).join(', ')}` }),
    key_file: z
      .string()
      .min(1)
      .optional()
      .meta({ description: 'the file with the public key, as PEM or JWK' }),
    key: z.string().min(1).optional().meta({ description: 'the public key itself instead' }),
    scope: z.string().max(200).default('').meta({ description: 'the scope that the signature must have' }),
  })
  .refine(
    (entry) => (entry.key === undefined) !== (entry.key_file === undefined),
    'give either `key` or `key_file`',
  );

export type BundleKeyConfig = z.infer<typeof bundleKeySchema>;

/** A key that signs bundles. */
export interface BundleKey {
  algorithm: (typeof BUNDLE_ALGORITHMS)[number];
  key: KeyObject;
  scope: string;
}

/** Keys by the name that signatures give them. */
export type BundleKeys = ReadonlyMap<string, BundleKey>;

/**
 * Reads the keys.
 *
 * @returns null if none is configured: signatures are then not required
 * @throws Error with a message for the operator
 */
export async function loadBundleKeys(configured: readonly BundleKeyConfig[]): Promise<BundleKeys | null> {
  if (configured.length === 0) return null;
  const keys = new Map<string, BundleKey>();
  for (const { kid, algorithm, key_file, key = '', scope } of configured) {
    try {
      const text = key_file === undefined ? key : await readFile(key_file, 'utf8');
      keys.set(kid, { algorithm, key: parseKey(text, algorithm), scope });
    } catch (error) {
      throw new Error(`bundle_keys: the key "${kid}" cannot be used: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
  return keys;
}

function parseKey(text: string, algorithm: string): KeyObject {
  const trimmed = text.trim();
  const key = trimmed.startsWith('{') ? parseJwk(trimmed) : parsePem(trimmed);
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  const curve = CURVES[algorithm];
  const isFitting = curve === undefined ? type === 'rsa' : type === 'ec' && details?.namedCurve === curve;
  if (!isFitting) throw new Error(`it is not a key for ${algorithm}`);
  if (type === 'rsa' && (details?.modulusLength ?? 0) < MIN_RSA_BITS) {
    throw new Error(`it has fewer than ${MIN_RSA_BITS} bits`);
  }
  return key;
}

function parseJwk(text: string): KeyObject {
  let jwk: Record<string, unknown>;
  try {
    jwk = JSON.parse(text) as Record<string, unknown>;
  } catch {
    // The parser's message would quote the key.
    throw new Error('it is not valid JSON');
  }
  if (jwk.kty === 'oct') throw new Error('it is a secret, which could sign as well: use a public key');
  assertPublic(!Object.hasOwn(jwk, 'd'));
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch (error) {
    throw new Error('it is not a public key as JWK', { cause: error });
  }
}

function parsePem(text: string): KeyObject {
  assertPublic(!text.includes('PRIVATE KEY'));
  try {
    return createPublicKey(text);
  } catch (error) {
    throw new Error('it is neither a public key in PEM nor a JWK', { cause: error });
  }
}

function assertPublic(isPublic: boolean): void {
  if (!isPublic) throw new Error('it is a private key: configure the public key, and replace this one');
}
