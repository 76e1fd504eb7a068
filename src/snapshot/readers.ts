import { z } from 'zod';
import { canonicalJson, DIGEST_PATTERN, sha256Hex } from '../json.ts';
import type { NoteSigner, NoteVerifier } from '../tree/note.ts';
import { SnapshotFault } from './fault.ts';
import { assertInTime, assertOfLog, openSigned, parseFile, type SignedKind, signClaims } from './signed.ts';

/*
 * Who may read the flags of an environment, so that a relay can tell without the broker: the keys of the broker's tokens, the
 * trust rules by which platforms' tokens read, with the keys of their issuers, and what is revoked.
 *
 * The key of the log signs it, as it does pointers. It names no log entry that proves it: whoever could forge it could forge
 * pointers, too, and only those change what is served.
 */

/** The name of the file, below that of its environment. */
export const READERS_FILE = 'readers.json';

/** The `typ`, so that no pointer can be taken for it, nor it for a pointer. */
export const READERS_TYPE = 'countersign-readers+jwt';

/** How many revocations there may be. What is beyond is made coarser, and never left out. */
export const MAX_READER_REVOCATIONS = 10_000;

const MAX_SIGNERS = 8;
/** Some thousand rules and revocations, for each key that signs. */
export const MAX_READERS_BYTES = 8 * 1024 * 1024;

const seconds = z.int().min(0);
const keySetSchema = z.strictObject({ keys: z.array(z.record(z.string(), z.unknown())).max(200) });
const humanClaim = z.strictObject({ claim: z.string(), prefix: z.string() });

/** A trust rule by which a platform's token reads: as in the policy, without what only an exchange needs. */
const readerRuleSchema = z.strictObject({
  name: z.string().min(1),
  issuer: z.string().min(1),
  platform: z.string().optional(),
  audience: z.string().min(1),
  claims: z.record(z.string(), z.union([z.string(), z.array(z.string()).min(1)])),
  person: humanClaim.optional(),
  rerun_by: humanClaim.optional(),
  namespaces: z.array(z.string()),
});

const claimsSchema = z.strictObject({
  environment: z.string().min(1),
  epoch: z.int().min(1),
  origin: z.string().min(1),
  /** The size of the log that it reflects: it never steps back within an epoch. */
  sequence: z.int().min(0),
  iat: seconds,
  exp: seconds,
  /** The digest of everything below: equal for equal contents. */
  digest: z.string().regex(DIGEST_PATTERN),
  /** The `iss` of the broker's tokens, and the keys that verify them. */
  tokens: z.strictObject({ issuer: z.string().min(1), jwks: keySetSchema }),
  rules: z.array(readerRuleSchema).max(5000),
  /** The issuers of those rules. */
  issuers: z
    .array(
      z.strictObject({
        issuer: z.string().min(1),
        algorithms: z.array(z.string()),
        /** Null: the broker could not learn them since it started; whoever had some keeps them. */
        jwks: keySetSchema.nullable(),
        /** What people are signed in with there: a token for one of these is no workload's. */
        people: z.array(z.string()),
      }),
    )
    .max(1000),
  /** What is revoked ({@link revokedName}), and before which moment it must have been issued; null: whenever. */
  revoked: z
    .array(z.tuple([z.string().length(22), z.int().min(0).nullable()]))
    .max(MAX_READER_REVOCATIONS + 1),
});

/** What the file says. Times are in seconds, as in a JWT, but those of revocations. */
export type ReadersClaims = z.infer<typeof claimsSchema>;

/** A rule in the file. */
export type ReaderRule = ReadersClaims['rules'][number];

/** What the file says of who may read, whoever signs it and when. */
export type ReadersContent = Pick<ReadersClaims, 'tokens' | 'rules' | 'issuers' | 'revoked'>;

const READERS: SignedKind<ReadersClaims> = {
  type: READERS_TYPE,
  what: 'list of readers',
  claims: claimsSchema,
};

const fileSchema = z.strictObject({ readers: z.array(z.string()).min(1).max(MAX_SIGNERS) });

/** What a relay has had last of an environment, and must not fall behind. */
export type SeenReaders = Pick<ReadersClaims, 'epoch' | 'sequence' | 'iat' | 'digest'>;

/** What is expected of the file. */
export interface ExpectedReaders {
  /** The keys of the log that are known. */
  keys: readonly NoteVerifier[];
  environment: string;
  after?: SeenReaders | undefined;
  /** The time, in epoch milliseconds. Null: when it expires makes no difference. */
  nowMs: number | null;
}

/** The digest of what it says. */
export function readersDigest({ tokens, rules, issuers, revoked }: ReadersContent): string {
  return `sha256:${sha256Hex(canonicalJson({ tokens, rules, issuers, revoked }))}`;
}

/**
 * How the file names what is revoked: by a hash, so that it tells of no person, workload or token. Whoever guesses a name can
 * confirm the guess, since every relay must be able to.
 *
 * @param name the kind and the value of a revocation
 */
export function revokedName(origin: string, name: string): string {
  const hex = sha256Hex(JSON.stringify([READERS_TYPE, origin, name]));
  return Buffer.from(hex.slice(0, 32), 'hex').toString('base64url');
}

/** Signs the file. @param signers one or more keys of the log */
export function signReaders(claims: ReadersClaims, signers: readonly NoteSigner[]): string {
  return JSON.stringify({ readers: signers.map((signer) => signClaims(READERS, claims, signer)) });
}

/**
 * Verifies the file, and reads it.
 *
 * @throws SnapshotFault for the first thing that is wrong
 */
export async function openReaders(
  bytes: Buffer,
  { keys, environment, after, nowMs }: ExpectedReaders,
): Promise<ReadersClaims> {
  const { readers } = parseFile(bytes, {
    what: READERS.what,
    maxBytes: MAX_READERS_BYTES,
    schema: fileSchema,
  });
  const { claims, key } = await openSigned(READERS, readers, keys);
  assertOfLog(READERS.what, claims, { key, environment });
  if (readersDigest(claims) !== claims.digest)
    throw new SnapshotFault('malformed', 'the digest of the list of readers is another one');
  assertNotBehind(claims, after);
  if (nowMs !== null) assertInTime(READERS.what, claims, nowMs);
  return claims;
}

/**
 * Several brokers sign for themselves, so one with the same content may be older: it is no step back.
 *
 * @throws SnapshotFault `stepped_back`
 */
function assertNotBehind(
  { epoch, sequence, iat, digest }: ReadersClaims,
  after: SeenReaders | undefined,
): void {
  if (after === undefined || epoch > after.epoch) return;
  const isBehind =
    epoch < after.epoch || sequence < after.sequence || (sequence === after.sequence && iat < after.iat);
  if (!isBehind || (epoch === after.epoch && digest === after.digest)) return;
  throw new SnapshotFault(
    'stepped_back',
    `the list of readers is number ${sequence} in epoch ${epoch}, and number ${after.sequence} in epoch ${after.epoch} was there before`,
  );
}
