import { z } from 'zod';
import { epochMs } from '../moment.ts';
import {
  attributeSchema,
  flagKeySchema,
  namespaceSchema,
  organizationSchema,
  textSchema,
  userSchema,
  variantNameSchema,
} from './names.ts';
import { variantsSchema } from './variants.ts';

/*
 * Flags: their model, the effect of a change (`plan.ts`), and its facts (`facts.ts`), all as pure functions. Only
 * `routes.ts` reads the store; only `requests/write-flags.ts` writes flags.
 */

/**
 * A flag has a definition, which all environments share, and a state in each environment. Version numbers are stored
 * beside these documents, never in them, so that returning to an earlier version gives an equal document.
 */

/** What a flag is for. */
export const FLAG_KINDS = ['release', 'entitlement', 'operational', 'experiment'] as const;

const kindSchema = z.enum(FLAG_KINDS);

/** How dangerous a flag is, from least to most. */
export const TIERS = ['informational', 'operational', 'sensitive', 'high-risk'] as const;

/** How dangerous a flag is. */
const tierSchema = z.enum(TIERS);

/** The parts of a definition that people write; requests for a new flag and the definition itself share them. */
export const metadataShape = {
  kind: kindSchema,
  tier: tierSchema,
  owner: textSchema(200),
  purpose: textSchema(2000),
  variants: variantsSchema,
  safe_variant: variantNameSchema.meta({
    description: 'The variant that is served if nothing matches or the state is unknown.',
  }),
  retirement: textSchema(1000).meta({ description: 'The condition under which the flag is removed.' }),
  review_every_days: z.int().min(1).max(3650).nullable(),
  contract: textSchema(500)
    .nullable()
    .meta({ description: 'The contract behind an entitlement; null only for other kinds.' }),
};

/** The part of a flag that all environments share. */
export const flagDefinitionSchema = z.strictObject({
  key: flagKeySchema,
  namespace: namespaceSchema,
  ...metadataShape,
  created_ms: epochMs,
  expires_ms: epochMs.nullable(),
  retired: z.boolean(),
});

/** A share of the organizations in percent, to three decimals. */
const percentSchema = z
  .number()
  .min(0)
  .max(100)
  .refine((percent) => Math.round(percent * 1000) / 1000 === percent, 'Use at most three decimals.');

/** Shares of the organizations, in the order of bucket assignment; they sum to 100. */
export const rolloutSchema = z
  .array(z.strictObject({ variant: variantNameSchema, percent: percentSchema }))
  .min(1)
  .max(50)
  .meta({ id: 'Rollout' });

/** The operator of a condition; see `src/data/conditions.ts`. */
const operatorSchema = z.enum([
  'equals',
  'not_equals',
  'in',
  'not_in',
  'starts_with',
  'ends_with',
  'contains',
  'less_than',
  'less_or_equal',
  'greater_than',
  'greater_or_equal',
]);

const conditionValueSchema = z.union([
  z
    .string()
    .max(1000)
    .refine((text) => text.isWellFormed()),
  z.number(),
  z.boolean(),
]);

/** One comparison of one context attribute. */
const conditionSchema = z.strictObject({
  attribute: attributeSchema,
  operator: operatorSchema,
  values: z.array(conditionValueSchema).min(1).max(1000),
});

/** What a rule serves: one variant, or a rollout over organizations. */
const serveSchema = z.union([
  z.strictObject({ variant: variantNameSchema }),
  z.strictObject({ rollout: rolloutSchema }),
]);

/** A rule matches if all of its conditions do. The first matching rule wins. */
const ruleSchema = z
  .strictObject({
    name: textSchema(100),
    when: z.array(conditionSchema).min(1).max(20),
    serve: serveSchema,
  })
  .meta({ id: 'Rule', description: 'It matches if all of its conditions do. The first matching rule wins.' });

/** The ordered rules of a state. */
export const rulesSchema = z.array(ruleSchema).max(100);

/** An exception for a single user: the reason, who granted it, and its end (epoch milliseconds). */
const exceptionSchema = z.strictObject({
  reason: textSchema(1000),
  approved_by: textSchema(200).optional(),
  until_ms: epochMs,
});

/** Who sees the flag. Stored lists are sorted by code unit, for binary search during evaluation. */
export const audienceSchema = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('all') }),
    z.strictObject({ kind: z.literal('none') }),
    z.strictObject({
      kind: z.literal('some'),
      organizations: z.array(organizationSchema).max(2000),
      users: z.array(z.strictObject({ id: userSchema, exception: exceptionSchema })).max(1000),
    }),
  ])
  .meta({ id: 'Audience', description: 'Who sees the flag.' });

/** A flag's state in one environment. */
export const flagStateSchema = z
  .strictObject({
    enabled: z.boolean(),
    default_variant: variantNameSchema,
    audience: audienceSchema,
    rules: rulesSchema,
    rollout: rolloutSchema
      .nullable()
      .meta({ description: 'Null if everybody in the audience gets the default variant.' }),
  })
  .meta({ id: 'FlagState' });

export type FlagDefinition = z.infer<typeof flagDefinitionSchema>;
export type FlagState = z.infer<typeof flagStateSchema>;
export type Audience = z.infer<typeof audienceSchema>;
export type Rollout = z.infer<typeof rolloutSchema>;
export type Rule = z.infer<typeof ruleSchema>;
export type Condition = z.infer<typeof conditionSchema>;
