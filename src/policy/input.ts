import { z } from 'zod';
import { OPERATION_NAMES } from '../operations.ts';

/**
 * The input document of `countersign/decision`: everything a decision may depend on, and nothing else.
 *
 * The schemas here are the source; `policies/schemas/input.json` is generated from them (`npm run schema`) and a test
 * keeps the two equal, so Rego is checked against the document that the broker really builds.
 */

/** The version of the input document. It changes when a field changes its meaning or goes. */
export const INPUT_SCHEMA_VERSION = 1;

const identifier = z.string().min(1).max(512);
const epochMs = z.int().min(0);

/** Who is calling, as policy sees it. */
export const principalSchema = z.strictObject({
  /** `person:<issuer key>:<sub>`, `workload:<trust rule>:<sub>`, `agent:…`; `workload:countersign:scheduler` is the broker's own. */
  id: identifier,
  kind: z.enum(['person', 'workload', 'agent']),
  /**
   * The human behind the principal in canonical form: for a workload the person who triggered it, if that is known; for
   * an agent its sponsor, the person it acts for.
   */
  person: identifier.nullable(),
  /** The `iss` that vouched for the principal. */
  issuer: identifier,
  groups: z.array(z.string().max(512)).max(1000),
  /** The verified claims that configuration (people) or the trust rule (workloads) passes on. */
  claims: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())])),
  auth: z.strictObject({
    /** Strength of the sign-in as configured for the issuer: 0 unknown, 1 single factor, 2 multi-factor, 3 phishing-resistant. */
    level: z.int().min(0).max(9),
    acr: z.string().nullable(),
    amr: z.array(z.string()),
    auth_time_ms: epochMs.nullable(),
  }),
  token: z.strictObject({
    audience: z.string(),
    scope: z.array(z.string()),
    sender_constrained: z.boolean(),
    /** The trust rule that a workload's or an agent's token was issued under. */
    trust_rule: z.string().nullable(),
    /** When the token was issued, or the session opened; absent for the broker's own principals. */
    issued_ms: epochMs.optional(),
  }),
  /** For an agent, who acts: ids of workloads, newest first. Only the first one acts now. @see RFC 8693 section 4.1 */
  act: z.array(identifier).min(1).max(5).optional(),
});

const json: z.ZodType = z.unknown();

/** What Countersign itself computed about one change. Never the caller's word. */
export const changeFactsSchema = z.strictObject({
  /** Whether the change touches the flag's state in the environment, or its definition (which reaches all of them). */
  scope: z.enum(['state', 'definition']),
  /** `on`: nobody to somebody; `off`: somebody to nobody; `widen`/`narrow`; `neutral`: who sees what stays the same. */
  direction: z.enum(['on', 'off', 'widen', 'narrow', 'neutral']),
  /** True when someone who got the safe variant before may get another one now. */
  audience_grew: z.boolean(),
  /**
   * Organizations whose served value may change, as far as the flag names them: in `added` those that may be served
   * another value than before, in `removed` those that may only lose one, and none in both. Where a definition changes,
   * in whatever environment names them; with a lowered tier, all that some state names. Sorted.
   */
  organizations_added: z.array(z.string()),
  organizations_removed: z.array(z.string()),
  users_added: z.array(z.string()),
  users_removed: z.array(z.string()),
  default_changed: z.boolean(),
  /** The earlier version that this change returns to, or null. */
  returns_to: z.int().nullable(),
  /** The tier before the change when the change lowers it, or null. */
  tier_lowered_from: z.string().nullable(),
  /** True for a flag of kind `entitlement`, before or after. */
  entitlement: z.boolean(),
  /** True when the state after the change names single users. */
  exception_used: z.boolean(),
});

/** One change of a request, as policy sees it. */
export const inputChangeSchema = z.strictObject({
  flag: z.strictObject({
    key: identifier,
    namespace: identifier,
    tier: z.enum(['informational', 'operational', 'sensitive', 'high-risk']),
    kind: z.enum(['release', 'entitlement', 'operational', 'experiment']),
    owner: z.string(),
    expires_ms: epochMs.nullable(),
  }),
  action: z.enum([
    'create',
    'update',
    'enable',
    'disable',
    'set_audience',
    'set_rollout',
    'return_to_version',
    'retire',
  ]),
  before: json,
  after: json,
  facts: changeFactsSchema,
});

/** A person's word on one digest. Only words on the request's present digest are in the input. */
export const voteSchema = z.strictObject({
  principal: principalSchema,
  digest: identifier,
  at_ms: epochMs,
});

/** What a freeze covers. */
export const freezeScopeSchema = z.strictObject({
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

/** The request that the operation is about; null for operations without one. */
export const inputRequestSchema = z.strictObject({
  id: identifier,
  kind: z.enum(['flag.change', 'freeze.lift', 'revocation.lift']),
  digest: identifier,
  /** The principal who proposed it, as they were then. */
  proposer: principalSchema,
  /** Every person who wrote part of the present content: the proposer and each editor. None of them may approve. */
  authors: z.array(z.string()),
  created_ms: epochMs,
  reason: z.string(),
  ticket: z.string().nullable(),
  changes: z.array(inputChangeSchema),
  /** The freeze to lift, for `freeze.lift`. */
  freeze: inputFreezeSchema.nullable(),
  /** The revocation to lift, for `revocation.lift`. Fields that came after the first version are optional: old inputs stay valid. */
  revocation: inputRevocationSchema.extend({ id: identifier }).optional(),
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

/** The whole input document. */
export const inputSchema = z.strictObject({
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

export type PolicyInput = z.infer<typeof inputSchema>;
export type Principal = z.infer<typeof principalSchema>;
export type ChangeFacts = z.infer<typeof changeFactsSchema>;
export type InputChange = z.infer<typeof inputChangeSchema>;
export type InputRequest = z.infer<typeof inputRequestSchema>;
export type Vote = z.infer<typeof voteSchema>;
export type InputFreeze = z.infer<typeof inputFreezeSchema>;
export type InputRevocation = z.infer<typeof inputRevocationSchema>;
export type FreezeScope = z.infer<typeof freezeScopeSchema>;
export type Direction = ChangeFacts['direction'];

/** The emergency part of an input for operations that no emergency concerns: no freeze, no session. */
export const NO_EMERGENCY: PolicyInput['emergency'] = {
  frozen: false,
  freezes: [],
  engage: null,
  breakglass: null,
  breakglass_recent: 0,
};
