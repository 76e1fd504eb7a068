import { z } from 'zod';
import { changeSchema } from '../flags/changes.ts';
import { environmentKeySchema, textSchema } from '../flags/names.ts';

/**
 * The content of a change request: what its author wrote, and what its digest and so each approval is about.
 */

const reason = textSchema(2000);
const ticket = textSchema(200).nullable().default(null);
/** When to apply at the earliest: epoch milliseconds, or ISO 8601 with an offset. Null: as soon as policy allows. */
const start = z
  .union([z.int().min(0), z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))])
  .nullable()
  .default(null);
/** `auto`: applied by the broker as soon as policy allows; `manual`: waits for a call to apply. */
const apply = z.enum(['auto', 'manual']).default('auto');

/** A proposal to change flags in one environment, applied as a whole or not at all. */
export const flagChangeContentSchema = z.strictObject({
  kind: z.literal('flag.change').default('flag.change'),
  environment: environmentKeySchema,
  changes: z.array(changeSchema).min(1, 'name at least one change').max(100, 'at most 100 changes a request'),
  reason,
  ticket,
  apply,
  start_ms: start,
});

/** A proposal to lift a freeze. */
export const freezeLiftContentSchema = z.strictObject({
  kind: z.literal('freeze.lift'),
  freeze: z.uuid(),
  reason,
  ticket,
  apply,
  start_ms: start,
});

/** A proposal to lift a revocation. */
export const revocationLiftContentSchema = z.strictObject({
  kind: z.literal('revocation.lift'),
  revocation: z.uuid(),
  reason,
  ticket,
  apply,
  start_ms: start,
});

/** What `POST /v1/requests` takes. */
export const contentSchema = z.union([
  flagChangeContentSchema,
  freezeLiftContentSchema,
  revocationLiftContentSchema,
]);

export type FlagChangeContent = z.infer<typeof flagChangeContentSchema>;
export type FreezeLiftContent = z.infer<typeof freezeLiftContentSchema>;
export type RevocationLiftContent = z.infer<typeof revocationLiftContentSchema>;
export type RequestContent = z.infer<typeof contentSchema>;

/** What an edit may replace; what is left out stays. Kind, environment, freeze and revocation are what the request is: they stay. */
export const editSchema = z
  .strictObject({
    changes: flagChangeContentSchema.shape.changes,
    reason,
    ticket: textSchema(200).nullable(),
    apply: z.enum(['auto', 'manual']),
    start_ms: z.union([
      z.int().min(0),
      z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)),
      z.null(),
    ]),
  })
  .partial();
export type RequestEdit = z.infer<typeof editSchema>;
