import { z } from 'zod';
import { FLAG_KINDS, TIERS } from '../flags/model.ts';
import { epochMs } from '../moment.ts';

/*
 * Flags by the organizations that see them: what an organization is served and why, and what has changed for it. Only
 * flags that the caller may read.
 */

/** Why an organization is served a variant. */
export const WHY = ['disabled', 'not_in_audience', 'rule', 'rollout', 'default'] as const;

/** An organization that some flag names. */
export const namedOrganizationSchema = z
  .object({ organization: z.string() })
  .meta({ id: 'NamedOrganization' });

/** A flag as one organization sees it. */
export const organizationFlagSchema = z
  .object({
    key: z.string(),
    namespace: z.string(),
    kind: z.enum(FLAG_KINDS),
    tier: z.enum(TIERS),
    version: z.int().meta({ description: 'The version of the state.' }),
    variant: z.string(),
    value: z.unknown(),
    why: z.enum(WHY).meta({ description: 'What chose the variant.' }),
    rule: z.string().nullable().meta({ description: 'The name of the rule that matched, or null.' }),
    bucket: z.number().nullable().meta({
      description: 'Of `rollout`: the place of the organization in it, in percent; otherwise null.',
    }),
    named: z.boolean().meta({ description: 'Whether the audience or a rule names the organization.' }),
    conditional: z.boolean().meta({
      description:
        'Whether some context of the organization may be served something else: rules ask for more than it.',
    }),
    exceptions: z
      .array(
        z.object({
          user: z.string(),
          reason: z.string(),
          approved_by: z.string().nullable(),
          until_ms: epochMs,
        }),
      )
      .meta({
        description: 'The single users of the flag, of whatever organization: states do not say which.',
      }),
  })
  .meta({ id: 'OrganizationFlag' });
export type OrganizationFlag = z.infer<typeof organizationFlagSchema>;

/** A change that touched an organization. */
export const organizationChangeSchema = z
  .object({
    flag: z.string(),
    version: z.int(),
    at_ms: epochMs,
    request_id: z.string(),
    decision_id: z.string(),
    before: z.object({ variant: z.string(), value: z.unknown() }).nullable(),
    after: z.object({ variant: z.string(), value: z.unknown() }).nullable(),
    named: z.enum(['added', 'removed', 'kept', 'no']).meta({
      description: 'Whether the state names the organization, and whether that has changed.',
    }),
  })
  .meta({ id: 'OrganizationChange' });
export type OrganizationChange = z.infer<typeof organizationChangeSchema>;
