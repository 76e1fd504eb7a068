import { z } from 'zod';
import { EVERY_NAMESPACE, type RequestKind } from '../../decide/control.ts';
import { BrokerError } from '../../errors.ts';
import { inputRevocationSchema } from '../../policy/input.ts';
import { identifier } from '../../principal.ts';
import { describeRevocation, toInputRevocation } from '../../revocation/input-revocation.ts';
import { revocationLifted } from '../../revocation/lift.ts';
import { findRevocation } from '../../store/revocations.ts';
import { type ContentOf, commonShape } from '../content.ts';

const contentSchema = z
  .strictObject({ kind: z.literal('revocation.lift'), revocation: z.uuid(), ...commonShape })
  .meta({ id: 'RevocationLiftProposal' });

const objectSchema = inputRevocationSchema.extend({
  id: identifier.meta({ description: 'The id of the revocation.' }),
  type: z.literal('revocation').meta({ description: 'The discriminator.' }),
});

/** Lifts a revocation. */
export const revocationLift: RequestKind<ContentOf<typeof contentSchema>> = {
  name: 'revocation.lift',
  contentSchema,
  editable: {},
  objectSchema,
  planVersion: 1,
  conflict: 'The revocation has already been lifted.',
  plan: async (db, content) => {
    const row = await findRevocation(db, content.revocation);
    if (row === undefined || row.lifted_ms !== null) {
      throw new BrokerError('invalid_change', 'No active revocation has this id.', {
        errors: [{ pointer: '#/revocation', detail: 'GET /v1/revocations lists the active revocations' }],
      });
    }
    return {
      plan: {
        version: 1,
        changes: [],
        object: { type: 'revocation', ...toInputRevocation(row) },
        bases: [{ of: `revocation:${row.id}`, version: 1 }],
      },
      effects: [revocationLifted(row.id)],
    };
  },
  environmentOf: () => null,
  flagsOf: () => [],
  // It names persons, tokens and an incident.
  namespacesOf: () => [EVERY_NAMESPACE],
  namedBy: async (db, { revocation }) => [
    {
      operation: 'revocation.read',
      places: (await findRevocation(db, revocation)) === undefined ? null : [],
      unknown: { what: 'revocation', name: revocation, pointer: '#/revocation' },
    },
  ],
  sentence: ({ object }) => {
    const revocation = objectSchema.parse(object);
    return `lift revocation ${revocation.id} of ${describeRevocation(revocation)}`;
  },
};
