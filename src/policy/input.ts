import { z } from 'zod';
import { inputChangeSchema } from '../flags/change-facts.ts';
import { epochMs } from '../moment.ts';
import { OPERATION_NAMES } from '../operations.ts';
import { identifier, principalSchema } from '../principal.ts';

/**
 * The input document of `countersign/decision`: everything a decision may depend on, and nothing else.
 *
 * The schemas here are the source; `policies/schemas/input.json` is generated from them (`npm run schema`) and a test
 * keeps the two equal, so Rego is checked against the document that the broker really builds.
 */

/**
 * The version of the input document. It changes when a field changes its meaning or goes. A bundle declares the version
 * that it reads, and gets exactly that (`input-versions.ts`).
 */
export const INPUT_SCHEMA_VERSION = 2;

/** A person's vote on one digest. Only votes on the request's present digest are in the input. */
const voteSchema = z.strictObject({
  principal: principalSchema,
  digest: identifier,
  at_ms: epochMs,
});

/** What a freeze covers. */
const freezeScopeSchema = z.strictObject({
  scope: z.enum(['all', 'environment', 'namespace', 'flag']),
  environment: z.string().nullable(),
  namespace: z.string().nullable(),
  flag: z.string().nullable(),
});

/** A freeze as policy sees it. */
export const inputFreezeSchema = freezeScopeSchema.extend({
  id: identifier,
  incident: z.string(),
  reason: z.string(),
});

/** What can be revoked. */
export const REVOCATION_KINDS = [
  'token',
  'session',
  'subject',
  'trust_rule',
  'issuer',
  'class',
  'key',
] as const;

/** A revocation as policy sees it: for `revocation.add` the one asked for. */
export const inputRevocationSchema = z.strictObject({
  kind: z.enum(REVOCATION_KINDS),
  /** What is revoked; what it means follows from `kind`. */
  value: identifier,
  /** What was issued before this moment is revoked; null: everything, until the revocation is lifted. */
  issued_before_ms: epochMs.nullable(),
  incident: z.string(),
  reason: z.string(),
});

/** What a request of another kind than `flag.change` is about: one member of a union that `type` tells apart. */
export interface RequestObject {
  type: string;
  [member: string]: unknown;
}

/** What of a kind of requests the input document depends on. */
export interface InputKind {
  name: string;
  /** The schema of `request.object`; null where there is none. */
  objectSchema: z.ZodObject | null;
}

/** The request that the operation is about, as far as it is the same for all kinds. */
export const inputRequestSchema = z.strictObject({
  id: identifier,
  kind: identifier,
  digest: identifier,
  /** The principal who proposed it, as they were then. */
  proposer: principalSchema,
  /** Every person who wrote part of the present content: the proposer and each editor. None of them may approve. */
  authors: z.array(z.string()),
  created_ms: epochMs,
  reason: z.string(),
  ticket: z.string().nullable(),
  changes: z.array(inputChangeSchema),
  /** What the request is about, for other kinds than `flag.change`. */
  object: z.custom<RequestObject>().nullable(),
  /** True while an author or the proposer is disabled or revoked: nothing of theirs is applied. */
  parked: z.boolean().optional(),
  facts: z.strictObject({
    /** The most dangerous direction among the changes: on, widen, neutral, narrow, off in that order. */
    direction: z.enum(['on', 'off', 'widen', 'narrow', 'neutral']),
    /** True when at least one change has scope `definition`. */
    definition: z.boolean(),
    /** All organizations that some change adds or removes: those whose served value may change. Sorted. */
    organizations: z.array(z.string()),
    namespaces: z.array(z.string()),
  }),
});

/** The input document of the present version, as far as it is the same for all kinds of requests. */
export const inputBaseSchema = z.strictObject({
  schema_version: z.literal(INPUT_SCHEMA_VERSION),
  operation: z.enum(OPERATION_NAMES),
  principal: principalSchema,
  /** Null for operations that concern no single environment. `kind` comes from policy data. */
  environment: z.strictObject({ key: identifier, kind: identifier }).nullable(),
  /** The namespace a read is about, or null. Writes have theirs in `request.changes`. */
  namespace: z.string().nullable(),
  request: inputRequestSchema.nullable(),
  approvals: z.array(voteSchema),
  rejections: z.array(voteSchema),
  /** What `revocation.add` asks for. */
  revocation: inputRevocationSchema.optional(),
  emergency: z.strictObject({
    /** True when an active freeze covers any flag of the request. */
    frozen: z.boolean(),
    /** The active freezes that cover something in the request; for `freeze.engage` the freeze asked for is in `engage`. */
    freezes: z.array(inputFreezeSchema),
    engage: inputFreezeSchema.omit({ id: true }).nullable(),
    /** The caller's open break-glass session, or for `breakglass.open` the one asked for. */
    breakglass: z
      .strictObject({
        id: identifier,
        opened_ms: epochMs,
        expires_ms: epochMs,
        incident: z.string(),
        reason: z.string(),
      })
      .nullable(),
    /** How many break-glass sessions this person opened in the last seven days. */
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
 * The whole input document, for the kinds of requests that there are.
 *
 * @param kinds all of them
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
export type FreezeScope = z.infer<typeof freezeScopeSchema>;

/** The emergency part of an input for operations that no emergency concerns: no freeze, no session. */
export const NO_EMERGENCY: PolicyInput['emergency'] = {
  frozen: false,
  freezes: [],
  engage: null,
  breakglass: null,
  breakglass_recent: 0,
};
