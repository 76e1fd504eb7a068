import { z } from 'zod';
import type { DecisionRecord } from '../log/details.ts';
import type { RecordV1 } from '../log/record.ts';
import { epochMs } from '../moment.ts';
import { obligationSchema } from '../policy/decision.ts';
import { principalSchema } from '../principal.ts';
import { reasonSchema } from '../reason.ts';
import type { StoredRecord } from '../store/records.ts';

/*
 * Records in answers. `log/` defines what is recorded; the schemas here describe it to readers of the API.
 */

const { kind } = principalSchema.shape;
/** What a policy answers. */
export const effectSchema = z.enum(['allow', 'hold', 'deny']);

const operation = z.string().meta({
  description:
    'The name of an operation (docs/policy.md), or of what the broker records by itself, such as `denials.counted`.',
});
const digest = z.string().meta({ description: '`sha256:` and the hexadecimal hash.' });
const pseudonym = z.string();

/** The movement of one flag's version with a record. */
const flagMove = {
  flag: z.string(),
  environment: z.string().nullable().meta({ description: 'Null for the definition.' }),
  version_before: z.int(),
  version_after: z.int(),
};
const digestedMoveSchema = z
  .object({
    ...flagMove,
    namespace: z.string().optional().meta({ description: "Of a moved definition: the flag's namespace." }),
    retired: z
      .literal(true)
      .optional()
      .meta({ description: 'Of a moved definition: present if the flag is retired from now on.' }),
    digest: digest
      .nullable()
      .meta({ description: 'Digest of the new definition or state; null if nothing moved.' }),
  })
  .meta({ id: 'DigestedFlagMove' });

const leafObligationSchema = z
  .object({ kind: z.string(), role: z.string().optional(), count: z.int().optional() })
  .meta({ id: 'LeafObligation' });

const listDigestSchema = z.object({ count: z.int().min(0), digest }).meta({
  id: 'ListDigest',
  description: 'In place of a list, in a leaf that would be too large: its length and its salted digest.',
});

/** A list of a leaf, or its replacement. */
function listOf<Item extends z.ZodType>(item: Item) {
  return z.union([z.array(item).readonly(), listDigestSchema]);
}

const stageListItem = z
  .object({ name: z.string(), environments: z.array(z.string()).readonly() })
  .meta({ id: 'LeafStage' });
const activatedBundle = { hash: digest, archive: digest };
const activatesSchema = z.object({
  ...activatedBundle,
  stage: z.string().optional().meta({ description: 'The stage, if it is an earlier one.' }),
  stages: listOf(stageListItem).optional().meta({
    description: 'Of the last stage: the map of stages from now on; empty if one policy decides everything.',
  }),
  followers: z
    .array(z.object({ ...activatedBundle, stage: z.string() }))
    .readonly()
    .optional()
    .meta({ description: 'What becomes active in earlier stages with it.' }),
});

/** Version 1 of the hashed leaf. */
const leafSchema = z
  .object({
    schema: z
      .object({
        record: z.literal(1),
        input: z.int().nullable(),
        result: z.int(),
        guardrails: z.int().nullable(),
      })
      .meta({
        description: "Versions of this document, of the policy's input and result, and of the guardrails.",
      }),
    id: z.string(),
    at_ms: epochMs,
    operation,
    principal: z.object({
      pseudonym,
      kind,
      issuer: z.string(),
      trust_rule: z.string().nullable(),
      act: z
        .array(pseudonym)
        .meta({ description: 'For an agent: the acting principals, newest first; otherwise empty.' }),
    }),
    person: pseudonym.nullable().meta({ description: 'The human behind the principal.' }),
    environment: z
      .string()
      .nullable()
      .meta({ description: 'Null too for one that the policy did not know.' }),
    request: z
      .object({
        id: z.string(),
        kind: z.string(),
        object: z.object({ type: z.string(), id: z.string() }).nullable(),
        digest,
        from: z.string().nullable(),
        to: z.string(),
      })
      .nullable(),
    authors: listOf(pseudonym),
    votes: listOf(z.string()).meta({
      description: 'The counted votes, by the records of their decisions.',
    }),
    flags: listOf(digestedMoveSchema),
    freeze: z
      .object({
        change: z.enum(['engaged', 'lifted']),
        id: z.string(),
        scope: z.string(),
        environment: z.string().nullable(),
        namespace: z.string().nullable(),
        flag: z.string().nullable(),
      })
      .nullable(),
    passed: z
      .object({ freezes: listOf(z.string()), exception: z.boolean() })
      .meta({ description: 'The controls that the change bypassed.' }),
    activates: activatesSchema.nullable(),
    erases: z.object({ places: listOf(z.int()), pseudonyms: listOf(pseudonym) }).nullable(),
    follows: z
      .object({
        epoch: z.int(),
        origin: z
          .string()
          .nullable()
          .meta({ description: 'The name of its checkpoint; null if none is known.' }),
        root: z.string().nullable(),
        size: z.int().min(0),
      })
      .optional()
      .meta({
        description:
          'In the first record after a confirmed restore: the highest known checkpoint of the log that it has ended.',
      }),
    log_key: z
      .object({
        former: z.string(),
        key: z.string(),
        signature: z
          .string()
          .meta({ description: 'The signature of the former key over the new one, base64.' }),
      })
      .optional()
      .meta({
        description: 'In a record that hands the log over to a new key: the former key and the new one.',
      }),
    snapshot: z
      .object({
        environment: z.string(),
        version: z.int().min(0).meta({ description: 'The version of the environment.' }),
        digest: digest.meta({ description: 'The digest of the body.' }),
        size: z.int().min(0).meta({ description: 'How many records it reflects.' }),
      })
      .optional()
      .meta({ description: 'In a record that publishes a snapshot: which one.' }),
    retention: z
      .object({
        what: z.enum(['inputs', 'evaluations']),
        from_place: z.int().min(1),
        to_place: z.int().min(1),
        count: z.int().min(1).meta({ description: 'How many inputs, or rows of evaluations.' }),
        digest: digest
          .nullable()
          .meta({ description: 'The digest of the archive file; null for rows that are gone.' }),
      })
      .optional()
      .meta({
        description: 'In a record that takes something old out of the database: what, and of which records.',
      }),
    guardrail: z.string().nullable(),
    stage: z.string().nullable().meta({
      description: 'The stage whose policy decided; null if one policy governs all stages.',
    }),
    outcome: z.object({
      effect: effectSchema,
      codes: listOf(z.string()),
      obligations: listOf(leafObligationSchema),
      note: z.string().nullable(),
    }),
    digests: z
      .object({
        details: digest,
        reasons: digest,
        note: digest.nullable(),
        ticket: digest.nullable(),
        reason: digest.nullable(),
        input: digest,
        result: digest,
      })
      .meta({ description: "Digests with the record's own salt; docs/decision-log.md says of what." }),
    policy_hash: z.string(),
    correlation: z.object({ http_request_id: z.string().nullable(), ci_run: z.string().nullable() }),
  })
  .meta({ id: 'LeafV1' }) satisfies z.ZodType<RecordV1>;

/** The readable details of a record. Those of version 0 have the same members. */
const detailsSchema = z.object({
  id: z.string(),
  at_ms: epochMs,
  operation,
  principal: z.object({
    id: z.string(),
    kind,
    person: z.string().nullable().meta({ description: 'For an agent: its sponsor, the person it acts for.' }),
    issuer: z.string(),
    trust_rule: z.string().nullable(),
    act: z
      .array(z.string())
      .readonly()
      .optional()
      .meta({ description: 'For an agent: the acting principals, newest first.' }),
  }),
  environment: z.string().nullable(),
  outcome: z.object({
    effect: effectSchema,
    reasons: z.array(reasonSchema).readonly(),
    obligations: z.array(obligationSchema).readonly(),
    note: reasonSchema.nullable().meta({ description: "The broker's own note on the outcome." }),
  }),
  request: z
    .object({ id: z.string(), digest, from: z.string().nullable(), to: z.string() })
    .nullable()
    .meta({ description: 'The request, and its state before and after.' }),
  flags: z.array(z.object(flagMove)).readonly(),
  policy_hash: z.string(),
  input_digest: digest,
  correlation: z
    .object({
      http_request_id: z.string().nullable(),
      trace_id: z.string().optional().meta({
        description:
          'The trace that the call belongs to, by the `traceparent` of its caller or of the broker itself.',
      }),
      ticket: z.string().nullable(),
      ci_run: z.string().nullable(),
      token: z.string().nullable().meta({
        description: "The id of the token or session used; null for the broker's own principals.",
      }),
      origins: z.array(z.string()).readonly().optional().meta({
        description: 'The ids of the credentials that the token was issued for.',
      }),
      session: z
        .string()
        .optional()
        .meta({ description: 'Its session at the provider, as `<issuer>#<sid>`.' }),
    })
    .meta({ description: 'Ids that link the record to events elsewhere.' }),
  lists: z
    .object({
      'activates.stages': z.array(stageListItem).readonly().optional(),
      authors: z.array(pseudonym).readonly(),
      votes: z.array(z.string()).readonly(),
      flags: z.array(digestedMoveSchema).readonly(),
      'passed.freezes': z.array(z.string()).readonly(),
      'erases.places': z.array(z.int()).readonly(),
      'erases.pseudonyms': z.array(pseudonym).readonly(),
      'outcome.codes': z.array(z.string()).readonly(),
      'outcome.obligations': z.array(leafObligationSchema).readonly(),
    })
    .optional()
    .meta({ description: 'The lists of a record whose leaf has only their digests.' }),
}) satisfies z.ZodType<DecisionRecord>;

/** A record in an answer: its place in the log, its readable details, and its hashed leaf. */
export const recordViewSchema = detailsSchema
  .extend({
    place: z.int().min(1).meta({ description: 'Its place in the log, without gaps.' }),
    record: leafSchema.nullable().meta({
      description: 'The leaf; null for records of version 0, whose leaf is only a digest.',
    }),
  })
  .meta({ id: 'DecisionRecord' });
export type RecordView = z.infer<typeof recordViewSchema>;

/** A record with the input and the result of its decision. */
export const fullRecordViewSchema = recordViewSchema
  .extend({
    input: z.unknown().meta({ description: "The policy's input; its version is in the leaf." }),
    result: z.unknown().meta({ description: "The policy's result." }),
  })
  .meta({ id: 'FullDecisionRecord' });

/** Converts a record to its answer. */
export function toView({ place, details, schema_version, leaf }: StoredRecord): RecordView {
  return {
    place,
    ...(JSON.parse(details) as z.infer<typeof detailsSchema>),
    record: schema_version === 0 ? null : (JSON.parse(leaf) as z.infer<typeof leafSchema>),
  };
}
