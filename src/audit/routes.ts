import { Router } from 'express';
import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import { callOf, type Edge, pageShape, parseQuery, sendPage } from '../decide/edge.ts';
import { write } from '../decide/write.ts';
import { BrokerError } from '../errors.ts';
import { environmentKeySchema, flagKeySchema } from '../flags/names.ts';
import type { DecisionRecord } from '../log/details.ts';
import type { RecordV1 } from '../log/record.ts';
import { queryMomentSchema } from '../moment.ts';
import { OPERATION_NAMES } from '../operations.ts';
import { findRecord, listRecords, type RecordFilter, type StoredRecord } from '../store/records.ts';

/*
 * Audit: queries of the decision log. Each read is itself decided and recorded; nothing here writes anything else.
 */

const listSchema = z.strictObject({
  ...pageShape,
  flag: flagKeySchema.optional(),
  environment: environmentKeySchema.optional(),
  /** A principal's id, or a person. */
  principal: z.string().max(512).optional(),
  operation: z.enum(OPERATION_NAMES).optional(),
  request: z.uuid().optional(),
  from: queryMomentSchema.optional(),
  to: queryMomentSchema.optional(),
});

/**
 * `GET /v1/decisions` and `GET /v1/decisions/{id}`: the decision log. Each read is itself decided and recorded.
 */
export function auditRoutes(edge: Edge): Router {
  const { control, cursors } = edge;
  const router = Router();

  router.get('/v1/decisions', async (req, res) => {
    const call = await callOf(edge, req);
    const { limit, cursor, from, to, ...rest } = parseQuery(listSchema, req);
    const filter = {
      ...rest,
      ...(from === undefined ? {} : { from_ms: from }),
      ...(to === undefined ? {} : { to_ms: to }),
    };
    const beforePlace = cursor === undefined ? null : Number(cursors.open('decisions', filter, cursor));
    await write(control, call, (writing) =>
      authorize(writing, { operation: 'decision.read', environment: filter.environment ?? null }),
    );
    const rows = await listRecords(control.store.read, {
      filter: filter as RecordFilter,
      beforePlace,
      limit: limit + 1,
    });
    sendPage(req, res, {
      rows,
      limit,
      view: toView,
      next: (row) => cursors.sign('decisions', filter, row.place),
    });
  });

  router.get('/v1/decisions/:id', async (req, res) => {
    const call = await callOf(edge, req);
    await write(control, call, (writing) => authorize(writing, { operation: 'decision.read' }));
    const found = await findRecord(control.store.read, req.params.id);
    if (found === undefined) throw new BrokerError('not_found', 'No decision has this id.');
    res.json({
      ...toView(found),
      input: JSON.parse(found.input) as unknown,
      result: JSON.parse(found.result) as unknown,
    });
  });

  return router;
}

/** A record in an answer: its place in the log, its readable details, and its hashed leaf. */
export interface RecordView extends DecisionRecord {
  place: number;
  /** The leaf; null for records of version 0, whose leaf is only a digest. */
  record: RecordV1 | null;
}

function toView({ place, details, schema_version, leaf }: StoredRecord): RecordView {
  return {
    place,
    ...(JSON.parse(details) as DecisionRecord),
    record: schema_version === 0 ? null : (JSON.parse(leaf) as RecordV1),
  };
}
