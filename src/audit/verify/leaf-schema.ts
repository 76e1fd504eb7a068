import { z } from 'zod';
import { DIGEST_PATTERN } from '../../json.ts';

/* The form of a leaf. */

const digest = z.string().regex(DIGEST_PATTERN);
/** What stands in the place of a list that is too long. */
export const shortSchema = z.object({ count: z.int().min(0), digest });

function listOf<Item extends z.ZodType>(item: Item) {
  return z.union([z.array(item), shortSchema]);
}

const version = z.int().min(0);
const scopeName = z.string().nullable();
/** How one version of a flag moved. */
export const moveSchema = z.object({
  digest: digest.nullable(),
  environment: z.string().nullable(),
  flag: z.string(),
  namespace: z.string().optional(),
  retired: z.literal(true).optional(),
  version_after: version,
  version_before: version,
});
/** A stage of the promotion of policies. */
export const stageSchema = z.object({ environments: z.array(z.string()), name: z.string() });
const bundle = { archive: z.string(), hash: z.string() };

/** The members of version 1 of the leaf that say something about other records. */
export const recordSchema = z.object({
  activates: z
    .object({
      ...bundle,
      followers: z.array(z.object({ ...bundle, stage: z.string() })).optional(),
      stage: z.string().optional(),
      stages: listOf(stageSchema).optional(),
    })
    .nullable(),
  at_ms: z.int().min(0),
  authors: listOf(z.string()),
  digests: z.object({ details: digest, input: digest, result: digest }),
  environment: z.string().nullable(),
  erases: z.object({ places: listOf(z.int().min(1)) }).nullable(),
  flags: listOf(moveSchema),
  follows: z
    .object({ epoch: z.int(), origin: z.string().nullable(), root: z.string().nullable(), size: version })
    .optional(),
  freeze: z
    .object({
      change: z.enum(['engaged', 'lifted']),
      environment: scopeName,
      flag: scopeName,
      id: z.string(),
      namespace: scopeName,
      scope: z.enum(['all', 'environment', 'namespace', 'flag']),
    })
    .nullable(),
  guardrail: z.string().nullable(),
  id: z.string(),
  /** What it says is verified with the tree (`tree/key-chain.ts`). */
  log_key: z.looseObject({}).optional(),
  operation: z.string(),
  outcome: z.object({
    codes: listOf(z.string()),
    effect: z.enum(['allow', 'hold', 'deny']),
    note: z.string().nullable(),
  }),
  passed: z.object({ exception: z.boolean(), freezes: listOf(z.string()) }),
  person: z.string().nullable(),
  policy_hash: z.string(),
  principal: z.object({ issuer: z.string(), kind: z.string() }),
  request: z
    .object({
      digest: z.string(),
      from: z.string().nullable(),
      id: z.string(),
      kind: z.string(),
      to: z.string(),
    })
    .nullable(),
  retention: z
    .object({
      count: z.int().min(1),
      digest: digest.nullable(),
      from_place: z.int().min(1),
      to_place: z.int().min(1),
      what: z.enum(['inputs', 'evaluations']),
    })
    .optional(),
  schema: z.object({
    guardrails: z.int().nullable(),
    input: z.int().nullable(),
    record: z.literal(1),
    result: z.int(),
  }),
  snapshot: z.object({ digest, environment: z.string(), size: version, version }).optional(),
  stage: z.string().nullable(),
  votes: listOf(z.string()),
});
/** A leaf of version 1, as it is read. */
export type ParsedLeaf = z.infer<typeof recordSchema>;
