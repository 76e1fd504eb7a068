import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import { pageOf, routesFor } from '../decide/edge.ts';
import { authorizeRead } from '../decide/read.ts';
import { textSchema } from '../flags/names.ts';
import { GOVERNED_READ, GOVERNED_WRITE, idBeginsShape } from '../http/route.ts';
import type { SigningKeys } from '../keys/signing-keys.ts';
import { momentSchema, toEpochMs } from '../moment.ts';
import { REVOCATION_KINDS } from '../policy/input.ts';
import { findRevocation, listRevocations } from '../store/revocations.ts';
import { unknownName } from '../unknown-name.ts';
import { type Issuers, previewRevocation, previewSchema, revokeAsPerson, revokedSchema } from './incident.ts';
import { LOOKS_LIKE_A_TOKEN } from './order.ts';
import { revocationViewSchema, toRevocationView } from './view.ts';

/** The dependencies of {@link revocationRoutes}. */
export interface RevocationRoutesDeps extends Issuers {
  control: ControlDeps;
  signingKeys: Pick<SigningKeys, 'prepare'>;
}

/** The body of `POST /v1/revocations`. */
const orderSchema = z
  .strictObject({
    kind: z.enum(REVOCATION_KINDS),
    value: textSchema(512)
      .refine(
        (value) => !LOOKS_LIKE_A_TOKEN.test(value),
        'This is a token. Send its id instead; `countersign revoke token -` reads a token and sends only its id.',
      )
      .meta({ description: 'What is revoked, depending on `kind`; never a token itself.' }),
    issued_before: momentSchema.nullable().default(null).meta({
      description:
        'Revokes what was issued before this time; null: everything, until lifted. The default for a class is now.',
    }),
    incident: textSchema(200),
    reason: textSchema(2000),
    dry_run: z
      .boolean()
      .default(false)
      .meta({ description: 'Only reports what the revocation would affect.' }),
  })
  .meta({ id: 'RevocationOrder' });

const { route, list } = routesFor<RevocationRoutesDeps>({
  tag: 'Emergency',
  format: 'problem',
  since: '1.0',
});

/** Revocations (design section 8). One is lifted by a change request of kind `revocation.lift`. */
export const revocationRoutes = [
  route({
    name: 'addRevocation',
    operation: ['revocation.add', 'revocation.preview'],
    method: 'POST',
    path: '/v1/revocations',
    summary:
      'revoke, or with `dry_run` show what it would affect; lifted by a request of kind `revocation.lift`',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    body: orderSchema,
    success: 201,
    answer: revokedSchema,
    also: { 200: previewSchema },
    errors: ['not_found'],
    location: ({ id }) => `/v1/revocations/${id}`,
    idempotent: true,
    handle: async ({ control, signingKeys, issuer, personIssuers }, { call, body, write }) => {
      const { dry_run, issued_before, ...named } = body;
      const asked = {
        ...named,
        issued_before_ms: issued_before === null ? null : toEpochMs(issued_before),
      };
      if (dry_run) {
        return {
          status: 200,
          body: await previewRevocation(control, call, asked, { issuer, personIssuers }),
        };
      }
      const fresh = asked.kind === 'key' ? await signingKeys.prepare() : null;
      return {
        body: await write((writing) => revokeAsPerson(writing, asked, { issuer, personIssuers, fresh })),
      };
    },
  }),
  list({
    name: 'listRevocations',
    operation: 'revocation.read',
    method: 'GET',
    path: '/v1/revocations',
    summary: 'list revocations, newest first',
    caller: 'any',
    outcomes: GOVERNED_READ,
    query: z.strictObject({
      state: z
        .enum(['active', 'all'])
        .default('active')
        .meta({ description: '`active` omits lifted revocations.' }),
      kind: z.enum(REVOCATION_KINDS).optional(),
      ...idBeginsShape,
    }),
    success: 200,
    answer: revocationViewSchema,
    handle: async ({ control }, { call, query: { state, kind, id }, page: { limit, place } }) => {
      await authorizeRead(control, call, { operation: 'revocation.read' });
      const rows = await listRevocations(control.store.read, {
        active: state === 'active',
        kind,
        id,
        beforeId: place === null ? null : String(place),
        limit: limit + 1,
      });
      return pageOf(limit, { rows, view: toRevocationView, next: ({ id }) => id });
    },
  }),
  route({
    name: 'getRevocation',
    operation: 'revocation.read',
    method: 'GET',
    path: '/v1/revocations/{id}',
    summary: 'read a revocation',
    caller: 'any',
    outcomes: GOVERNED_READ,
    params: z.object({ id: z.string() }),
    success: 200,
    answer: revocationViewSchema,
    handle: async ({ control }, { call, params }) => {
      await authorizeRead(control, call, { operation: 'revocation.read' });
      const row = await findRevocation(control.store.read, params.id);
      if (row === undefined) throw unknownName({ what: 'revocation', name: params.id });
      return { body: toRevocationView(row) };
    },
  }),
];
