import { z } from 'zod';
import { epochMs } from '../moment.ts';
import { identifier } from '../principal.ts';

/** Any JSON value. */
const json: z.ZodType = z.unknown();

/** The facts that Countersign computed about one change. They never come from the caller. */
const changeFactsSchema = z.strictObject({
  /** Whether the change affects the flag's state in the environment, or its definition (shared by all environments). */
  scope: z.enum(['state', 'definition']),
  /** `on`: nobody to someone; `off`: someone to nobody; `widen`/`narrow`; `neutral`: who sees what stays the same. */
  direction: z.enum(['on', 'off', 'widen', 'narrow', 'neutral']),
  /** True if someone who got the safe variant before may get another one now. */
  audience_grew: z.boolean(),
  /**
   * Named organizations whose served value may change. `added`: those that may be served a different value; `removed`:
   * those that may only lose one; none is in both. If a definition changes, the organizations named in any environment;
   * if the tier is lowered, all organizations named in any state. Sorted.
   */
  organizations_added: z.array(z.string()),
  organizations_removed: z.array(z.string()),
  users_added: z.array(z.string()),
  users_removed: z.array(z.string()),
  default_changed: z.boolean(),
  /** The earlier version that this change returns to, or null. */
  returns_to: z.int().nullable(),
  /** The tier before the change, if the change lowers it, or null. */
  tier_lowered_from: z.string().nullable(),
  /** True for a flag of kind `entitlement`, before or after. */
  entitlement: z.boolean(),
  /** True if the state after the change names single users. */
  exception_used: z.boolean(),
});

/** One change of a request, in the policy's input. */
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

export type ChangeFacts = z.infer<typeof changeFactsSchema>;

export type InputChange = z.infer<typeof inputChangeSchema>;

export type Direction = ChangeFacts['direction'];
