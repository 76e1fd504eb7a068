import { z } from 'zod';
import type { RequestKind } from '../../decide/control.ts';
import { describeScope } from '../../emergency/scope.ts';
import { freezeLifted, namespacesOfFreeze, placeOfFreeze, toInputFreeze } from '../../emergency/state.ts';
import { BrokerError } from '../../errors.ts';
import { inputFreezeSchema } from '../../policy/input.ts';
import { findFreeze } from '../../store/emergency.ts';
import { type ContentOf, commonShape } from '../content.ts';

const contentSchema = z
  .strictObject({ kind: z.literal('freeze.lift'), freeze: z.uuid(), ...commonShape })
  .meta({ id: 'FreezeLiftProposal' });

const objectSchema = inputFreezeSchema.extend({
  type: z.literal('freeze').meta({ description: 'The discriminator.' }),
});

/** Lifts a freeze. */
export const freezeLift: RequestKind<ContentOf<typeof contentSchema>> = {
  name: 'freeze.lift',
  contentSchema,
  editable: {},
  objectSchema,
  planVersion: 1,
  conflict: 'The freeze has already been lifted.',
  plan: async (db, content) => {
    const row = await findFreeze(db, content.freeze);
    if (row === undefined || row.lifted_ms !== null) {
      throw new BrokerError('invalid_change', 'No active freeze has this id.', {
        errors: [{ pointer: '#/freeze', detail: 'GET /v1/freezes lists the active freezes' }],
      });
    }
    return {
      plan: {
        version: 1,
        changes: [],
        object: { type: 'freeze', ...toInputFreeze(row) },
        bases: [{ of: `freeze:${row.id}`, version: 1 }],
      },
      effects: [freezeLifted(row)],
    };
  },
  environmentOf: (_content, { object }) => objectSchema.parse(object).environment,
  flagsOf: () => [],
  namespacesOf: ({ object }) => namespacesOfFreeze(objectSchema.parse(object)),
  namedBy: async (db, { freeze }) => {
    const row = await findFreeze(db, freeze);
    return [
      {
        operation: 'freeze.read',
        places: row === undefined ? null : [await placeOfFreeze(db, row)],
        unknown: { what: 'freeze', name: freeze, pointer: '#/freeze' },
      },
    ];
  },
  sentence: ({ object }) => {
    const freeze = objectSchema.parse(object);
    return `lift freeze ${freeze.id} of ${describeScope(freeze)}`;
  },
};
