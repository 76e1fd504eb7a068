import { z } from 'zod';
import { epochMs } from '../moment.ts';
import { identifier } from '../principal.ts';

/** Any JSON value. */
const json: z.ZodType = z.unknown();

/** What Countersign itself computed about one change. Never the caller's word. */
const changeFactsSchema = z.strictObject({
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

export type ChangeFacts = z.infer<typeof changeFactsSchema>;

export type InputChange = z.infer<typeof inputChangeSchema>;

export type Direction = ChangeFacts['direction'];
