import { compactVerify, decodeProtectedHeader } from 'jose';
import { z } from 'zod';
import type { BundleFiles } from './archive.ts';
import { BundleError } from './bundle-error.ts';
import { parseBundleJson } from './bundle-json.ts';
import type { BundleKey, BundleKeys } from './bundle-keys.ts';
import { fileHash } from './file-hash.ts';

/** The file with the signature. It is the only one that the signature does not cover. */
const SIGNATURES = '.signatures.json';

const signaturesSchema = z.strictObject({
  signatures: z.array(z.string()).length(1, 'exactly one signature is required'),
  /** Another verifier than OPA's own. */
  plugin: z.literal('_default').optional(),
});

/** Members such as `iat` and `iss` only inform. */
const payloadSchema = z.looseObject({
  files: z.array(z.looseObject({ name: z.string(), hash: z.string(), algorithm: z.string() })),
  /** The deprecated place of the key's name. */
  keyid: z.string().optional(),
  scope: z.string().default(''),
});

type Payload = z.infer<typeof payloadSchema>;

/**
 * Verifies the signature of a bundle: by a configured key, over exactly the files that the bundle has. There is no time of
 * expiry: that an older bundle does not become active again is decided by the active policy, as every activation.
 *
 * @throws BundleError if it has none, or anything does not match
 * @see OPA documentation, "Signing"
 */
export async function verifySignature(files: BundleFiles, keys: BundleKeys): Promise<void> {
  const bytes = files.get(SIGNATURES);
  if (bytes === undefined) {
    throw new BundleError(
      'the bundle is not signed, and `bundle_keys` are configured: build it with opa build --bundle --signing-key',
    );
  }
  const {
    signatures: [token = ''],
  } = within(() => signaturesSchema.parse(parseBundleJson(bytes)));
  const { key, kid } = keyOf(token, keys);
  const payload = await payloadOf(token, { key, kid });
  if (payload.scope !== key.scope) {
    throw invalid(`it has the scope "${payload.scope}", and the key "${kid}" is for "${key.scope}"`);
  }
  assertSame(files, payload);
}

/** Which key it is, as OPA finds it; what is read here is not verified yet. */
function keyOf(token: string, keys: BundleKeys): { key: BundleKey; kid: string } {
  const kid = within(() => decodeProtectedHeader(token).kid ?? unverifiedPayload(token).keyid);
  const key = kid === undefined ? undefined : keys.get(kid);
  if (kid === undefined || key === undefined) {
    throw invalid(
      `it is by the key ${kid === undefined ? 'without a name' : `"${kid}"`}, which is not in bundle_keys`,
    );
  }
  return { key, kid };
}

function unverifiedPayload(token: string): Payload {
  return payloadSchema.parse(parseBundleJson(Buffer.from(token.split('.')[1] ?? '', 'base64url')));
}

async function payloadOf(token: string, { key, kid }: { key: BundleKey; kid: string }): Promise<Payload> {
  try {
    const { payload } = await compactVerify(token, key.key, { algorithms: [key.algorithm] });
    return within(() => payloadSchema.parse(parseBundleJson(payload)));
  } catch (error) {
    if (error instanceof BundleError) throw error;
    throw new BundleError(
      `the signature of the bundle is invalid: the key "${kid}" with ${key.algorithm} does not verify it`,
      error,
    );
  }
}

/** Every file is listed, every listed file is there, and each has its hash. */
function assertSame(files: BundleFiles, payload: Payload): void {
  const listed = new Map<string, string>();
  for (const { name, hash, algorithm } of payload.files) {
    if (listed.has(name)) throw invalid(`it lists ${name} twice`);
    if (algorithm !== 'SHA-256')
      throw invalid(`it has a hash of ${name} by ${algorithm}; only SHA-256 is accepted`);
    if (!files.has(name)) throw invalid(`it lists ${name}, which the bundle does not have`);
    listed.set(name, hash.toLowerCase());
  }
  for (const [path, bytes] of files) {
    if (path === SIGNATURES) continue;
    const hash = listed.get(path);
    if (hash === undefined) throw invalid(`it does not cover ${path}`);
    if (within(() => fileHash(path, bytes)) !== hash)
      throw invalid(`${path} was changed after it was signed`);
  }
}

function within<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof BundleError) throw error;
    throw new BundleError(`the signature of the bundle is invalid: ${(error as Error).message}`, error);
  }
}

function invalid(detail: string): BundleError {
  return new BundleError(`the signature of the bundle is invalid: ${detail}`);
}
