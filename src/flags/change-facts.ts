import { z } from 'zod';
import { epochMs } from '../moment.ts';
import { identifier } from '../principal.ts';

/** Any JSON value. */
const json: z.ZodType = z.unknown();

/** The facts that Countersign computed about one change. They never come from the caller. */
export const changeFactsSchema = z.strictObject({
  /** Whether the change affects the flag's state in the environment, or its definition (shared by all environments). */
  scope: z.enum(['state', 'definition']),
  /** `on`: nobody to someone; `off`: someone to nobody; `widen`/`narrow`; `neutral`: who sees what stays the same. */
  direction: z.enum(['on', 'off', 'widen', 'narrow', 'neutral']),
  /** True if someone who got the safe variant before may get another one now. */
  audience_grew: z.boolean(),
  /**
   * True only if it is shown that every possible context, now and at every later moment, is served the value of before or
   * the safe variant. Never for a definition.
   */
  safe: z.boolean().optional(),
  /**
   * Which variant may take the place of which, both other than the safe one, if nothing else keeps the change from being
   * safe. Empty if somebody may be newly exposed, or if there are more than 50. Sorted.
   */
  swaps: z.array(z.strictObject({ from: z.string(), to: z.string() })).optional(),
  /**
   * Organizations that the state after the change chooses by name and may expose, and that the state before did not: they
   * were not exposed, or only through everybody, a negation or other attributes. Sorted.
   */
  organizations_named: z.array(z.string()).optional(),
  /**
   * True if the change may serve another value than the safe one to organizations that are not named, or chooses some of
   * them in a new way. True for a definition if it changes what is served, or lowers the tier, and for retiring a flag
   * that is served to organizations that are not named.
   */
  reaches_everybody: z.boolean().optional(),
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
