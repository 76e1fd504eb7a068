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
  principal: principalSchema,
  digest: identifier,
  at_ms: epochMs,
});

/** The scopes of a freeze. */
const freezeScopeSchema = z.strictObject({
  scope: z.enum(['all', 'environment', 'namespace', 'flag']),
  environment: z.string().nullable(),
  namespace: z.string().nullable(),
  flag: z.string().nullable(),
});

/** A freeze in the policy's input. */
export const inputFreezeSchema = freezeScopeSchema.extend({
  id: identifier,
  incident: z.string(),
  reason: z.string(),
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
  kind: z.enum(REVOCATION_KINDS),
  /** What is revoked, depending on `kind`. */
  value: identifier,
  /** Revokes what was issued before this time; null: everything, until the revocation is lifted. */
  issued_before_ms: epochMs.nullable(),
  incident: z.string(),
  reason: z.string(),
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
  id: identifier,
  kind: identifier,
  digest: identifier,
  /** The principal who proposed it, as of then. */
  proposer: principalSchema,
  /** Every person who wrote part of the current content: the proposer and each editor. None of them may approve. */
  authors: z.array(z.string()),
  created_ms: epochMs,
  reason: z.string(),
  ticket: z.string().nullable(),
  changes: z.array(inputChangeSchema),
  /** The object of the request, for kinds other than `flag.change`. */
  object: z.custom<RequestObject>().nullable(),
  /** When it is to be applied at the earliest; absent if at once. */
  start_ms: epochMs.optional(),
  /** True while an author or the proposer is disabled or revoked: the request is not applied. */
  parked: z.boolean().optional(),
  facts: z.strictObject({
    /** The most dangerous direction among the changes: on, widen, neutral, narrow, off in that order. */
    direction: z.enum(['on', 'off', 'widen', 'narrow', 'neutral']),
    /** True if at least one change has scope `definition`. */
    definition: z.boolean(),
    /** All organizations that some change adds or removes: those whose served value may change. Sorted. */
    organizations: z.array(z.string()),
    namespaces: z.array(z.string()),
  }),
});

/** A request that was applied a short time ago. */
const inputRecentSchema = z.strictObject({
  kind: identifier,
  environment: z.string().nullable(),
  namespaces: z.array(z.string()),
  applied_ms: epochMs,
});

/** The members of the current input document that all kinds of requests share. */
export const inputBaseSchema = z.strictObject({
  schema_version: z.literal(INPUT_SCHEMA_VERSION),
  operation: z.enum(OPERATION_NAMES),
  principal: principalSchema,
  /** Null for operations that concern no single environment. `kind` comes from policy data. */
  environment: z.strictObject({ key: identifier, kind: identifier }).nullable(),
  /** The namespace of a read, or null. Writes have theirs in `request.changes`. */
  namespace: z.string().nullable(),
  request: inputRequestSchema.nullable(),
  approvals: z.array(voteSchema),
  rejections: z.array(voteSchema),
  /** The revocation that `revocation.add` requests. */
  revocation: inputRevocationSchema.optional(),
  /**
   * The requests that were applied in the last minutes, newest first, without this one; at most 200. Only for requests, and
   * if the bundle asks for them with `recent.minutes` of its data.
   */
  recent: z.array(inputRecentSchema).optional(),
  emergency: z.strictObject({
    /** True if an active freeze covers any flag of the request. */
    frozen: z.boolean(),
    /** The active freezes that cover part of the request; for `freeze.engage`, the requested freeze is in `engage`. */
    freezes: z.array(inputFreezeSchema),
    engage: inputFreezeSchema.omit({ id: true }).nullable(),
    /** The caller's open break-glass session; for `breakglass.open`, the requested one. */
    breakglass: z
      .strictObject({
        id: identifier,
        opened_ms: epochMs,
        expires_ms: epochMs,
        incident: z.string(),
        reason: z.string(),
      })
      .nullable(),
    /** The number of break-glass sessions that this person opened in the last seven days. */
    breakglass_recent: z.int().min(0),
  }),
  clock: z.strictObject({
    now_ms: epochMs,
    /** The version of the time-zone database that `zones` was computed with. */
    tzdb: z.string(),
    zones: z.record(
      z.string(),
      z.strictObject({
        date: z.string(),
        iso_weekday: z.int().min(1).max(7),
        minute_of_day: z.int().min(0).max(1439),
        offset_min: z.int(),
      }),
    ),
  }),
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
  return inputBaseSchema.extend({ request: request.nullable() });
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
