import { z } from 'zod';
import { momentSchema, toEpochMs } from '../moment.ts';
import { FLAG_KINDS, type FlagDefinition, type FlagState, TIERS } from './model.ts';

/** What the inventory of flags can be limited to, besides environment and namespace. */
export const inventoryShape = {
  q: z.string().max(200).optional().meta({
    description: 'Only flags whose key, owner or purpose contains it, in upper or lower case.',
  }),
  tier: z.enum(TIERS).optional(),
  kind: z.enum(FLAG_KINDS).optional(),
  owner: z.string().max(200).optional(),
  enabled: z.boolean().optional().meta({ description: 'Whether they are switched on in the environment.' }),
  retired: z.boolean().optional().meta({ description: 'Whether they are retired. Default: both.' }),
  expires_before: momentSchema.optional().meta({
    description: 'Only flags that expire before; those without an expiry never do.',
  }),
};

const filterSchema = z.strictObject(inventoryShape);
/** A filter of the inventory. */
export type InventoryFilter = z.infer<typeof filterSchema>;

/** Whether anything is left out by a filter. */
export function isFiltered(filter: InventoryFilter): boolean {
  return Object.values(filter).some((value) => value !== undefined);
}

/** Whether a flag fits a filter. */
export function fits(
  { definition, state }: { definition: FlagDefinition; state: FlagState | null },
  { q, tier, kind, owner, enabled, retired, expires_before }: InventoryFilter,
): boolean {
  const { key, purpose, expires_ms } = definition;
  return (
    (tier === undefined || definition.tier === tier) &&
    (kind === undefined || definition.kind === kind) &&
    (owner === undefined || definition.owner === owner) &&
    (retired === undefined || definition.retired === retired) &&
    (enabled === undefined || (state?.enabled ?? false) === enabled) &&
    (expires_before === undefined || (expires_ms !== null && expires_ms < toEpochMs(expires_before))) &&
    (q === undefined || contains([key, definition.owner, purpose], q))
  );
}

function contains(texts: readonly string[], part: string): boolean {
  const wanted = part.toLowerCase();
  return texts.some((text) => text.toLowerCase().includes(wanted));
}
