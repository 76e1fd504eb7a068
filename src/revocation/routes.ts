import { Router } from 'express';
import { z } from 'zod';
import { callOf, type Edge, idempotencyKeyOf, pageShape, parseQuery, sendPage } from '../decide/edge.ts';
import { once } from '../decide/idempotency.ts';
import { authorizeRead } from '../decide/read.ts';
import { Refused } from '../decide/refused.ts';
import { write } from '../decide/write.ts';
import { BrokerError } from '../errors.ts';
import { textSchema } from '../flags/names.ts';
import { parse } from '../http/body.ts';
import type { SigningKeys } from '../keys/signing-keys.ts';
import { momentSchema } from '../moment.ts';
import { REVOCATION_KINDS } from '../policy/input.ts';
import { findRevocation, listRevocations } from '../store/revocations.ts';
import { type Issuers, previewRevocation, revokeAsPerson } from './incident.ts';
import { LOOKS_LIKE_A_TOKEN } from './order.ts';
import { toRevocationView } from './view.ts';

/** The dependencies of {@link revocationRoutes} besides the edge. */
export interface RevocationRoutesDeps extends Issuers {
  signingKeys: Pick<SigningKeys, 'prepare'>;
}

/** The body of `POST /v1/revocations`. */
const orderSchema = z.strictObject({
  kind: z.enum(REVOCATION_KINDS),
  value: textSchema(512).refine(
    (value) => !LOOKS_LIKE_A_TOKEN.test(value),
    'This is a token. Send its id instead; `countersign revoke token -` reads a token and sends only its id.',
  ),
  /** Revokes what was issued before this time; null: everything, until lifted. The default for a class is now. */
  issued_before: momentSchema.nullable().default(null),
  incident: textSchema(200),
  reason: textSchema(2000),
  dry_run: z.boolean().default(false),
});

const listSchema = z.strictObject({
  ...pageShape,
  /** `active` omits lifted revocations. */
  state: z.enum(['active', 'all']).default('active'),
  kind: z.enum(REVOCATION_KINDS).optional(),
});

/**
 * Revocations (design section 8). One is lifted by a change request of kind `revocation.lift`.
 *
 *     POST /v1/revocations       revoke; with `dry_run`, only report what it would hit
 *     GET  /v1/revocations       list         GET /v1/revocations/{id}  read
 */
export function revocationRoutes(edge: Edge, deps: RevocationRoutesDeps): Router {
  const { control, cursors } = edge;
  const router = Router();

  router.post('/v1/revocations', async (req, res) => {
    const call = await callOf(edge, req);
    const { dry_run, issued_before, ...named } = parse(orderSchema, req.body);
    const asked = { ...named, issued_before_ms: issued_before };
    if (dry_run) {
      res.json(await previewRevocation(control, call, asked, deps));
      return;
    }
    const key = idempotencyKeyOf(req);
    const { issuer, personIssuers, signingKeys } = deps;
    const fresh = asked.kind === 'key' ? await signingKeys.prepare() : null;
    const answer = await write(control, call, (writing) =>
      once(writing, key, async () => {
        const body = await revokeAsPerson(writing, asked, { issuer, personIssuers, fresh });
        return body instanceof Refused ? body : { status: 201, body };
      }),
    );
    if (answer.replayed) res.set('Idempotent-Replayed', 'true');
    res.status(answer.status).location(`/v1/revocations/${(answer.body as { id: string }).id}`);
    res.json(answer.body);
  });

  router.get('/v1/revocations', async (req, res) => {
    const call = await callOf(edge, req);
    const { limit, cursor, ...filter } = parseQuery(listSchema, req);
    await authorizeRead(control, call, { operation: 'revocation.read' });
    const rows = await listRevocations(control.store.read, {
      active: filter.state === 'active',
      kind: filter.kind,
      beforeId: cursor === undefined ? null : String(cursors.open('revocations', filter, cursor)),
      limit: limit + 1,
    });
    sendPage(req, res, {
      rows,
      limit,
      view: toRevocationView,
      next: (row) => cursors.sign('revocations', filter, row.id),
    });
  });

  router.get('/v1/revocations/:id', async (req, res) => {
    const call = await callOf(edge, req);
    await authorizeRead(control, call, { operation: 'revocation.read' });
    const row = await findRevocation(control.store.read, req.params.id);
    if (row === undefined) throw new BrokerError('not_found', 'No revocation has this id.');
    res.json(toRevocationView(row));
  });

  return router;
}
