import { z } from 'zod';
import { momentTextSchema } from '../moment.ts';
import { audienceSchema, metadataShape, rolloutSchema, rulesSchema } from './model.ts';
import { flagKeySchema, namespaceSchema, variantNameSchema } from './names.ts';

const expiresMs = z.int().min(0).nullable();

const expires = momentTextSchema
  .nullable()
  .meta({ description: 'ISO 8601; a date means the start of that day in UTC.' });

const newDefinitionSchema = z.strictObject({
  ...metadataShape,
  namespace: namespaceSchema,
  safe_variant: metadataShape.safe_variant.optional().meta({
    description: 'Required unless there are two variants and one of them is `off` or `false`.',
  }),
  default_variant: variantNameSchema.optional().meta({
    description:
      'The variant that the flag serves once it is enabled. Required unless there are two variants.',
  }),
  expires_ms: expiresMs
    .optional()
    .meta({ description: 'Set `expires_ms` or `expires`, or neither, but not both.' }),
  expires: expires.optional(),
  review_every_days: metadataShape.review_every_days.optional(),
  contract: metadataShape.contract.optional(),
});

/** The namespace is not included: it decides who may approve, so a flag cannot move between namespaces. */
const definitionUpdateSchema = z
  .strictObject({
    ...metadataShape,
    expires_ms: expiresMs,
    expires,
  })
  .partial();

const flag = flagKeySchema;

/** One requested change to one flag. Unknown members are refused. */
export const changeSchema = z
  .discriminatedUnion('action', [
    z.strictObject({ action: z.literal('create'), flag, definition: newDefinitionSchema }),
    z.strictObject({ action: z.literal('update'), flag, set: definitionUpdateSchema }),
    z.strictObject({ action: z.literal('enable'), flag }),
    z.strictObject({ action: z.literal('disable'), flag }),
    z.strictObject({ action: z.literal('set_audience'), flag, audience: audienceSchema }),
    z.strictObject({
      action: z.literal('set_rollout'),
      flag,
      rollout: rolloutSchema.nullable().optional().meta({
        description:
          'Null removes the rollout; everybody in the audience then gets the default variant. Shares of the same two variants as before stay in their order, so that an organization whose share grows keeps it.',
      }),
      rules: rulesSchema
        .optional()
        .meta({ description: 'All rules, in order; they replace the current ones.' }),
      default_variant: variantNameSchema.optional(),
    }),
    z.strictObject({ action: z.literal('return_to_version'), flag, version: z.int().min(1) }),
    z.strictObject({ action: z.literal('retire'), flag }),
  ])
  .meta({ id: 'FlagChange' });

export type Change = z.infer<typeof changeSchema>;
export type ChangeOf<Action extends Change['action']> = Extract<Change, { action: Action }>;
export type NewDefinition = z.infer<typeof newDefinitionSchema>;
export type DefinitionUpdate = z.infer<typeof definitionUpdateSchema>;
