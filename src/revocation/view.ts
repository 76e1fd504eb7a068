import { z } from 'zod';
import { epochMs } from '../moment.ts';
import { REVOCATION_KINDS } from '../policy/input.ts';
import type { RevocationsTable } from '../store/schema.ts';
import type { RevocationOrder } from './add.ts';
import { toInputRevocation } from './input-revocation.ts';

const CAUSES = [
  'incident',
  'logout',
  'provisioning',
  'holder',
] as const satisfies readonly RevocationOrder['cause'][];

const principalSchema = z.object({ id: z.string(), person: z.string().nullable() });

/** What every answer tells of a revocation, whether or not it was added. */
export const revocationShape = {
  kind: z.enum(REVOCATION_KINDS),
  value: z.string().meta({ description: 'What is revoked, depending on `kind`.' }),
  issued_before_ms: epochMs.nullable().meta({
    description:
      'Revokes what was issued before this time; null: everything, until the revocation is lifted.',
  }),
  incident: z.string(),
  reason: z.string(),
};

/** A revocation in an answer. All times are epoch milliseconds. */
export const revocationViewSchema = z
  .object({
    id: z.string(),
    ...revocationShape,
    cause: z.enum(CAUSES).meta({
      description:
        '`incident`: a person; `logout` and `provisioning`: an identity provider; `holder`: the holder of the token.',
    }),
    created_by: principalSchema,
    created_ms: epochMs,
    expires_ms: epochMs.nullable().meta({
      description: 'When everything that it revokes has expired; null: it is in force until it is lifted.',
    }),
    returned_ms: epochMs
      .nullable()
      .meta({ description: 'When the logged-out person returned; null otherwise.' }),
    lifted_ms: epochMs.nullable(),
    lifted_by: z
      .union([principalSchema, z.object({ request: z.string() }), z.object({ superseded_by: z.string() })])
      .nullable()
      .meta({ description: 'What lifted it: a principal, a change request, or a later revocation.' }),
  })
  .meta({ id: 'Revocation' });
export type RevocationView = z.infer<typeof revocationViewSchema>;

/** Converts a revocation row to its answer. */
export function toRevocationView(row: RevocationsTable): RevocationView {
  return {
    ...toInputRevocation(row),
    cause: row.cause as RevocationView['cause'],
    created_by: JSON.parse(row.created_by) as RevocationView['created_by'],
    created_ms: row.created_ms,
    expires_ms: row.expires_ms,
    returned_ms: row.returned_ms,
    lifted_ms: row.lifted_ms,
    lifted_by: row.lifted_by === null ? null : (JSON.parse(row.lifted_by) as RevocationView['lifted_by']),
  };
}
