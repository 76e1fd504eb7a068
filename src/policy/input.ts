import { z } from 'zod';
import { inputChangeSchema } from '../flags/change-facts.ts';
import { epochMs } from '../moment.ts';
import { OPERATION_NAMES } from '../operations.ts';
import { identifier, principalSchema } from '../principal.ts';

/**
 * The input document of `countersign/decision`: everything that a decision may depend on, and nothing else.
 *
 * The schemas here are the source; `policies/schemas/input.json` is generated from them (`npm run schema`) and a test
 * keeps the two equal, so Rego is checked against the document that the broker actually builds.
 */

/**
 * The version of the input document. It changes if a field is removed or changes its meaning. A bundle declares the
 * version that it reads, and gets exactly that (`input-versions.ts`).
 */
export const INPUT_SCHEMA_VERSION = 2;

/** A person's vote on one digest. Only votes on the request's current digest are in the input. */
export const voteSchema = z.strictObject({
  principal: principalSchema.meta({
    description: 'Who voted, as of then; when a request is applied, with the groups last known.',
  }),
  digest: identifier.meta({ description: 'The content that the vote is about.' }),
  at_ms: epochMs.meta({ description: 'When it was given.' }),
});

/** The scopes of a freeze. */
const freezeScopeSchema = z.strictObject({
  scope: z.enum(['all', 'environment', 'namespace', 'flag']).meta({ description: 'What the freeze covers.' }),
  environment: z.string().nullable().meta({ description: 'The environment, for the scopes that name one.' }),
  namespace: z
    .string()
    .nullable()
    .meta({ description: 'The namespace, for the scopes `namespace` and `flag`.' }),
  flag: z.string().nullable().meta({ description: 'The flag, for the scope `flag`.' }),
});

/** A freeze in the policy's input. */
export const inputFreezeSchema = freezeScopeSchema.extend({
  id: identifier.meta({ description: 'The id of the freeze.' }),
  incident: z.string().meta({ description: 'The reference of the incident.' }),
  reason: z.string().meta({ description: 'Why it was engaged.' }),
});

/** The kinds of revocations. */
export const REVOCATION_KINDS = [
  'token',
  'session',
  'subject',
  'trust_rule',
  'issuer',
  'class',
  'key',
] as const;

/** A revocation in the policy's input; for `revocation.add`, the requested one. */
export const inputRevocationSchema = z.strictObject({
  kind: z.enum(REVOCATION_KINDS).meta({ description: 'What kind of thing is revoked.' }),
  value: identifier.meta({ description: 'What is revoked, depending on `kind`.' }),
  issued_before_ms: epochMs.nullable().meta({
    description:
      'Revokes what was issued before this time; null: everything, until the revocation is lifted.',
  }),
  incident: z.string().meta({ description: 'The reference of the incident.' }),
  reason: z.string().meta({ description: 'Why it is revoked.' }),
});

/** The object of a request of a kind other than `flag.change`: a union with the discriminator `type`. */
export interface RequestObject {
  type: string;
  [member: string]: unknown;
}

/** The properties of a kind of requests that the input document depends on. */
export interface InputKind {
  name: string;
  /** The schema of `request.object`; null if the kind has no object. */
  objectSchema: z.ZodObject | null;
}

/** The members of the request that all kinds share. */
export const inputRequestSchema = z.strictObject({
  id: identifier.meta({ description: 'The id of the request.' }),
  kind: identifier.meta({ description: 'The kind of the request.' }),
  digest: identifier.meta({
    description: "The digest of the request's content; votes on another one are not in the input.",
  }),
  proposer: principalSchema.meta({ description: 'The principal who proposed it, as of then.' }),
  authors: z.array(z.string()).meta({
    description:
      'Every person who wrote part of the current content: the proposer and each editor. None of them may approve.',
  }),
  created_ms: epochMs.meta({ description: 'When it was proposed.' }),
  reason: z.string().meta({ description: 'Why the change is proposed.' }),
  ticket: z.string().nullable().meta({ description: 'The reference of a ticket, or null.' }),
  changes: z.array(inputChangeSchema).meta({ description: 'The changes of flags; empty for other kinds.' }),
  object: z
    .custom<RequestObject>()
    .nullable()
    .meta({ description: 'The object of the request, for kinds other than `flag.change`.' }),
  start_ms: epochMs
    .optional()
    .meta({ description: 'When it is to be applied at the earliest; absent if at once.' }),
  parked: z.boolean().optional().meta({
    description: 'True while an author or the proposer is disabled or revoked: the request is not applied.',
  }),
  subject_takes_part: z.boolean().optional().meta({
    description:
      'Only for requests about a person: true if the caller, the proposer or an author is that person, or acts for them.',
  }),
  facts: z
    .strictObject({
      direction: z.enum(['on', 'off', 'widen', 'narrow', 'neutral']).meta({
        description:
          'The most dangerous direction among the changes: on, widen, neutral, narrow, off in that order.',
      }),
      definition: z.boolean().meta({ description: 'True if at least one change has scope `definition`.' }),
      organizations: z.array(z.string()).meta({
        description:
          'All organizations that some change adds or removes: those whose served value may change. Sorted.',
      }),
      namespaces: z.array(z.string()).meta({ description: 'The namespaces of all changes. Sorted.' }),
    })
    .meta({ description: 'What the broker computed about all changes together.' }),
});

/** A request that was applied a short time ago. */
const inputRecentSchema = z.strictObject({
  kind: identifier.meta({ description: 'The kind of the request.' }),
  environment: z.string().nullable().meta({ description: 'The environment of the request, or null.' }),
  namespaces: z.array(z.string()).meta({ description: 'The namespaces of its flags.' }),
  applied_ms: epochMs.meta({ description: 'When it was applied.' }),
});

/** The members of the current input document that all kinds of requests share. */
export const inputBaseSchema = z.strictObject({
  schema_version: z.literal(INPUT_SCHEMA_VERSION).meta({ description: 'The version of this document.' }),
  operation: z.enum(OPERATION_NAMES).meta({ description: 'What the caller asks for.' }),
  principal: principalSchema.meta({ description: 'The caller.' }),
  environment: z
    .strictObject({
      key: identifier.meta({ description: 'Its key, such as production.' }),
      kind: identifier.meta({ description: 'Its kind, such as production.' }),
    })
    .nullable()
    .meta({
      description: 'Null for operations that concern no single environment. `kind` comes from policy data.',
    }),
  namespace: z
    .string()
    .nullable()
    .meta({ description: 'The namespace of a read, or null. Writes have theirs in `request.changes`.' }),
  request: inputRequestSchema
    .nullable()
    .meta({ description: 'The request that the operation is about, or null.' }),
  approvals: z
    .array(voteSchema)
    .meta({ description: 'The approvals of the current digest, one for each person.' }),
  rejections: z.array(voteSchema).meta({ description: 'The rejections of the current digest.' }),
  revocation: inputRevocationSchema
    .optional()
    .meta({ description: 'The revocation that `revocation.add` requests.' }),
  recent: z.array(inputRecentSchema).optional().meta({
    description:
      'The requests that were applied in the last minutes, newest first, without this one; at most 200. Only for requests, and if the bundle asks for them with `recent.minutes` of its data.',
  }),
  log: z
    .strictObject({
      size: z.int().min(0).meta({ description: 'The number of its records.' }),
      cosigned: z
        .strictObject({
          size: z.int().min(0).meta({ description: 'The number of records that they have cosigned.' }),
          at_ms: epochMs.meta({ description: 'When the quorum was complete.' }),
        })
        .nullable()
        .meta({ description: 'What a quorum of witnesses has cosigned last, or null.' }),
    })
    .optional()
    .meta({
      description:
        'The decision log as the decision finds it. Only for changes of flags that are not shown to be safe, and if the bundle asks for it with `cosigned` of its data.',
    }),
  emergency: z
    .strictObject({
      frozen: z.boolean().meta({ description: 'True if an active freeze covers any flag of the request.' }),
      freezes: z.array(inputFreezeSchema).meta({
        description:
          'The active freezes that cover part of the request; for `freeze.engage`, the requested freeze is in `engage`.',
      }),
      engage: inputFreezeSchema
        .omit({ id: true })
        .nullable()
        .meta({ description: 'The freeze that `freeze.engage` requests, or null.' }),
      breakglass: z
        .strictObject({
          id: identifier.meta({ description: 'The id of the session.' }),
          opened_ms: epochMs.meta({ description: 'When it was opened.' }),
          expires_ms: epochMs.meta({ description: 'When it ends.' }),
          incident: z.string().meta({ description: 'The reference of the incident.' }),
          reason: z.string().meta({ description: 'Why the session was opened.' }),
        })
        .nullable()
        .meta({
          description: "The caller's open break-glass session; for `breakglass.open`, the requested one.",
        }),
      breakglass_recent: z.int().min(0).meta({
        description: 'The number of break-glass sessions that this person opened in the last seven days.',
      }),
    })
    .meta({ description: 'Freezes and break-glass as they concern the operation.' }),
  clock: z
    .strictObject({
      now_ms: epochMs.meta({ description: 'The time of the decision.' }),
      tzdb: z
        .string()
        .meta({ description: 'The version of the time-zone database that `zones` was computed with.' }),
      zones: z
        .record(
          z.string(),
          z.strictObject({
            date: z.string().meta({ description: 'The local date, such as 2026-06-16.' }),
            iso_weekday: z
              .int()
              .min(1)
              .max(7)
              .meta({ description: 'The local day of the week; 1 is Monday.' }),
            minute_of_day: z
              .int()
              .min(0)
              .max(1439)
              .meta({ description: 'The local time in minutes after midnight.' }),
            offset_min: z.int().meta({ description: 'The offset from UTC in minutes.' }),
          }),
        )
        .meta({ description: 'The local time in each zone of `config/zones`.' }),
    })
    .meta({ description: 'The time; a policy has no other.' }),
});

/**
 * The whole input document, for the given kinds of requests.
 *
 * @param kinds all kinds
 */
export function inputSchemaOf(kinds: readonly InputKind[]) {
  const objects = kinds.flatMap(({ objectSchema }) => objectSchema ?? []);
  const names = kinds.map(({ name }) => name);
  const request = inputRequestSchema.extend({
    kind: z.enum(names),
    object: objects.length === 0 ? z.null() : z.union(objects).nullable(),
  });
  return inputBaseSchema.extend({
    request: request.nullable().meta({ description: 'The request that the operation is about, or null.' }),
  });
}

export type PolicyInput = z.infer<typeof inputBaseSchema>;
export type InputRequest = z.infer<typeof inputRequestSchema>;
export type Vote = z.infer<typeof voteSchema>;
export type InputFreeze = z.infer<typeof inputFreezeSchema>;
export type InputRevocation = z.infer<typeof inputRevocationSchema>;
export type InputRecent = z.infer<typeof inputRecentSchema>;
export type FreezeScope = z.infer<typeof freezeScopeSchema>;

/** The emergency part of an input for operations that emergencies do not affect: no freeze, no session. */
export const NO_EMERGENCY: PolicyInput['emergency'] = {
  frozen: false,
  freezes: [],
  engage: null,
  breakglass: null,
  breakglass_recent: 0,
};
