import { z } from 'zod';
import {
  audienceSchema,
  flagDefinitionSchema,
  flagStateSchema,
  rolloutSchema,
  rulesSchema,
} from '../flags/model.ts';
import { DIGEST_PATTERN, sha256Hex } from '../json.ts';
import { findInexactNumber } from '../json-numbers.ts';
import { SnapshotFault } from './fault.ts';

/*
 * The body of a snapshot: canonical JSON with everything that evaluation needs. It is told by the digest of its bytes.
 */

/** The version of the form. A change that an earlier reader would misunderstand takes a new one. */
export const BODY_VERSION = 1;

/** Larger ones are refused before they are read whole: the flags of an environment have some megabytes at most. */
export const MAX_BODY_BYTES = 64 * 1024 * 1024;

// What evaluation depends on is strict: a rule of an unknown form must not be served as if it were not there. The rest of a
// definition may grow.
const bodySchema = z.strictObject({
  environment: z.string(),
  flags: z.array(
    z.strictObject({
      definition: z.looseObject(flagDefinitionSchema.shape),
      state: z.strictObject({
        ...flagStateSchema.shape,
        audience: audienceSchema,
        rules: rulesSchema,
        rollout: rolloutSchema.nullable(),
      }),
      version: z.int().min(0).meta({ description: 'The version of the state.' }),
    }),
  ),
  schema_version: z.literal(BODY_VERSION),
  version: z.int().min(0),
});

/** The flags of an environment at one version, without retired ones, sorted by their keys. */
export type SnapshotBody = z.infer<typeof bodySchema>;

/** Which body it is. */
export interface BodyName {
  environment: string;
  version: number;
  digest: string;
}

/** The digest of a body. */
export function bodyDigest(bytes: string | Uint8Array): string {
  return `sha256:${sha256Hex(bytes)}`;
}

/** The text of a body. @param flags the canonical JSON of each flag, sorted by its key */
export function formatBody(environment: string, version: number, flags: readonly string[]): string {
  return `{"environment":${JSON.stringify(environment)},"flags":[${flags.join(',')}],"schema_version":${BODY_VERSION},"version":${version}}`;
}

/** The name of the file with a body, below that of its environment. */
export function bodyFile({ version, digest }: Pick<BodyName, 'version' | 'digest'>): string {
  return `${version}-${digest.slice('sha256:'.length)}.json`;
}

/** What the name of a file says, or null if it is not that of a body. */
export function parseBodyFile(name: string): { version: number; digest: string } | null {
  const [, version = '', hex = ''] = /^(0|[1-9]\d{0,15})-([0-9a-f]{64})\.json$/.exec(name) ?? [];
  const digest = `sha256:${hex}`;
  return DIGEST_PATTERN.test(digest) ? { version: Number(version), digest } : null;
}

/**
 * Reads a body. Nothing of it is parsed before its bytes are the ones that were signed.
 *
 * @throws SnapshotFault
 */
export function openBody(bytes: Buffer, { environment, version, digest }: BodyName): SnapshotBody {
  if (bytes.length > MAX_BODY_BYTES)
    throw new SnapshotFault('too_large', `the body has ${bytes.length} bytes`);
  const found = bodyDigest(bytes);
  if (found !== digest)
    throw new SnapshotFault('body_other', `the body has the digest ${found}, and ${digest} was signed`);
  const body = parse(bytes);
  if (body.environment !== environment || body.version !== version)
    throw new SnapshotFault(
      'body_other',
      `the body is version ${body.version} of ${body.environment}, and its pointer names version ${version} of ${environment}`,
    );
  return body;
}

function parse(bytes: Buffer): SnapshotBody {
  const text = bytes.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SnapshotFault('malformed', 'the body is not JSON', error);
  }
  const inexact = findInexactNumber(text);
  if (inexact !== null)
    throw new SnapshotFault('malformed', `the number ${inexact} of the body cannot be kept exactly`);
  const parsed = bodySchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new SnapshotFault('malformed', `the body is malformed at /${placeOf(parsed.error)}`, parsed.error);
}

/** Where a value is malformed. */
export function placeOf({ issues: [issue] }: z.ZodError): string {
  return issue?.path.join('/') ?? '';
}
