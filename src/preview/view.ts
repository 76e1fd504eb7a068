import { z } from 'zod';

/*
 * Previews: what contexts are served before and after a change, by the states that the request stores. Nothing is
 * written, and no live state is read.
 */

/** The most contexts of one preview. */
const MAX_CONTEXTS = 200;

/** The evaluation contexts of a preview. */
export const contextsSchema = z
  .array(z.record(z.string().max(200), z.unknown()))
  .min(1)
  .max(MAX_CONTEXTS)
  .meta({ description: 'Evaluation contexts as applications send them, such as {"organization": "acme"}.' });

/** What one context is served. */
const servedSchema = z
  .object({
    variant: z.string(),
    value: z.unknown(),
    reason: z.enum(['STATIC', 'TARGETING_MATCH', 'SPLIT', 'DISABLED', 'DEFAULT']),
  })
  .meta({ id: 'Served' });

/** A flag for one context. */
const previewedFlagSchema = z
  .object({
    flag: z.string(),
    environment: z.string(),
    before: servedSchema.nullable().meta({ description: 'Null if the flag is not served before.' }),
    after: servedSchema.nullable().meta({ description: 'Null if the flag is not served afterwards.' }),
    changed: z.boolean().meta({ description: 'Whether another value is served afterwards.' }),
  })
  .meta({ id: 'PreviewedFlag' });

/** A preview. */
export const previewSchema = z
  .object({
    digest: z.string().meta({ description: 'The digest of the content that was previewed.' }),
    results: z
      .array(z.object({ flags: z.array(previewedFlagSchema) }))
      .meta({ description: 'One for each context, in their order.' }),
    changed: z.int().meta({ description: 'The number of contexts for which some value changes.' }),
  })
  .meta({ id: 'Preview' });
export type Preview = z.infer<typeof previewSchema>;
