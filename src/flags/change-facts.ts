import { z } from 'zod';
import { epochMs } from '../moment.ts';
import { identifier } from '../principal.ts';

/** Any JSON value. */
const json: z.ZodType = z.unknown();

/** The facts that Countersign computed about one change. They never come from the caller. */
export const changeFactsSchema = z.strictObject({
  scope: z.enum(['state', 'definition']).meta({
    description:
      "Whether the change affects the flag's state in the environment, or its definition (shared by all environments).",
  }),
  direction: z.enum(['on', 'off', 'widen', 'narrow', 'neutral']).meta({
    description:
      '`on`: nobody to someone; `off`: someone to nobody; `widen`/`narrow`; `neutral`: who sees what stays the same.',
  }),
  audience_grew: z
    .boolean()
    .meta({ description: 'True if someone who got the safe variant before may get another one now.' }),
  safe: z.boolean().optional().meta({
    description:
      'True only if it is shown that every possible context, now and at every later moment, is served the value of before or the safe variant. Never for a definition.',
  }),
  swaps: z
    .array(
      z.strictObject({
        from: z.string().meta({ description: 'The variant that was served.' }),
        to: z.string().meta({ description: 'The variant that takes its place.' }),
      }),
    )
    .optional()
    .meta({
      description:
        'Which variant may take the place of which, both other than the safe one, if nothing else keeps the change from being safe. Empty if somebody may be newly exposed, or if there are more than 50. Sorted.',
    }),
  moved_percent: z.number().min(0).max(100).optional().meta({
    description:
      'The greatest share of organizations in one rollout, in percent, that were served another variant than the safe one, and are served a different one after the change. 0 for a widened share of two variants. Absent if there is no rollout before or after it, or if nobody is exposed before or after it.',
  }),
  organizations_named: z.array(z.string()).optional().meta({
    description:
      'Organizations that the state after the change chooses by name and may expose, and that the state before did not: they were not exposed, or only through everybody, a negation or other attributes. Sorted.',
  }),
  reaches_everybody: z.boolean().optional().meta({
    description:
      'True if the change may serve another value than the safe one to organizations that are not named, or chooses some of them in a new way. True for a definition if it changes what is served, or lowers the tier, and for retiring a flag that is served to organizations that are not named.',
  }),
  organizations_added: z.array(z.string()).meta({
    description:
      'Named organizations that may be served a different value than before. If a definition changes, those named in any environment; if the tier is lowered, all that are named in any state. Sorted.',
  }),
  organizations_removed: z
    .array(z.string())
    .meta({ description: 'Named organizations that may only lose a value. Sorted.' }),
  users_added: z
    .array(z.string())
    .meta({ description: 'Single users whose served value may change, as for organizations. Sorted.' }),
  users_removed: z.array(z.string()).meta({ description: 'Single users who may only lose a value. Sorted.' }),
  default_changed: z
    .boolean()
    .meta({ description: 'Whether the variant that is served when nothing else matches has changed.' }),
  returns_to: z
    .int()
    .nullable()
    .meta({ description: 'The earlier version that this change returns to, or null.' }),
  tier_lowered_from: z
    .string()
    .nullable()
    .meta({ description: 'The tier before the change, if the change lowers it, or null.' }),
  entitlement: z.boolean().meta({ description: 'True for a flag of kind `entitlement`, before or after.' }),
  exception_used: z.boolean().meta({ description: 'True if the state after the change names single users.' }),
});

/** One change of a request, in the policy's input. */
export const inputChangeSchema = z.strictObject({
  flag: z
    .strictObject({
      key: identifier.meta({ description: "The flag's key." }),
      namespace: identifier.meta({ description: "The flag's namespace." }),
      tier: z.enum(['informational', 'operational', 'sensitive', 'high-risk']).meta({
        description:
          'How dangerous the flag is: the highest that it has before or at any point within the request.',
      }),
      kind: z
        .enum(['release', 'entitlement', 'operational', 'experiment'])
        .meta({ description: 'What the flag is for.' }),
      owner: z.string().meta({ description: 'Who owns the flag.' }),
      expires_ms: epochMs.nullable().meta({ description: 'When the flag is to be gone, or null.' }),
    })
    .meta({ description: 'The flag.' }),
  action: z
    .enum([
      'create',
      'update',
      'enable',
      'disable',
      'set_audience',
      'set_rollout',
      'return_to_version',
      'retire',
    ])
    .meta({ description: 'What is done.' }),
  before: json.meta({ description: 'The state or the definition before the change; null for a new flag.' }),
  after: json.meta({ description: 'The state or the definition after the change.' }),
  facts: changeFactsSchema.meta({
    description: 'What the broker computed about the change. It never comes from the caller.',
  }),
});

export type ChangeFacts = z.infer<typeof changeFactsSchema>;

export type InputChange = z.infer<typeof inputChangeSchema>;

export type Direction = ChangeFacts['direction'];
