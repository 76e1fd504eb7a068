import { z } from 'zod';
import type { RequestKind } from '../../decide/control.ts';
import { changeSchema } from '../../flags/changes.ts';
import { environmentKeySchema } from '../../flags/names.ts';
import { type ContentOf, commonShape } from '../content.ts';
import { namedByChanges } from '../named-flags.ts';
import { planFlags } from '../plan-flags.ts';
import { flagsMoved } from '../write-flags.ts';

const changes = z
  .array(changeSchema)
  .min(1, 'name at least one change')
  .max(100, 'at most 100 changes per request');

/** A proposal to change flags in one environment, applied as a whole or not at all. */
export const flagChangeContentSchema = z
  .strictObject({
    kind: z.literal('flag.change').default('flag.change'),
    environment: environmentKeySchema,
    changes,
    ...commonShape,
  })
  .meta({ id: 'FlagChangeProposal' });
export type FlagChangeContent = ContentOf<typeof flagChangeContentSchema>;

/** Changes of flags: the only kind that is governed by the tiers. */
export const flagChange: RequestKind<FlagChangeContent> = {
  name: 'flag.change',
  contentSchema: flagChangeContentSchema,
  editable: { changes },
  objectSchema: null,
  planVersion: 2,
  conflict: 'A flag has changed since the request was proposed.',
  plan: async (db, content, context) => {
    const { changes, bases, writes } = await planFlags(db, content, context);
    return { plan: { version: 2, changes, object: null, bases }, effects: [flagsMoved(writes)] };
  },
  environmentOf: ({ environment }) => environment,
  flagsOf: ({ changes }) => [...new Set(changes.map(({ flag }) => flag))],
  namespacesOf: ({ changes }) => [...new Set(changes.map(({ flag }) => flag.namespace))].sort(),
  namedBy: namedByChanges,
  sentence: () => null,
};
