import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { ControlDeps } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { environmentKeySchema, flagKeySchema } from '../flags/names.ts';
import { GOVERNED_WRITE, idBeginsShape, RECORDED_READ } from '../http/route.ts';
import { momentSchema, toEpochMs } from '../moment.ts';
import { RECORDED_NAMES } from '../operations.ts';
import { readInputOf } from '../store/archived-inputs.ts';
import { listRecords, type RecordFilter } from '../store/record-list.ts';
import { findRecord } from '../store/records.ts';
import { unknownName } from '../unknown-name.ts';
import { keptPage, keptPageSchema } from './kept-page.ts';
import { assertRecorded, assertRecordedEnvironment, readingOf } from './list-filter.ts';
import { replayOne, replayPage, replayPageSchema, replayViewSchema } from './replay.ts';
import { effectSchema, fullRecordViewSchema, recordViewSchema, toView } from './view.ts';

/*
 * Audit: queries of the decision log. Each read is itself decided and recorded; nothing here writes anything else.
 */

const { route, list } = routesFor<{ control: ControlDeps }>({
  tag: 'Audit',
  format: 'problem',
  since: '1.0',
});

const replaySpanSchema = z
  .strictObject({
    from_place: z.int().min(1).optional().meta({ description: 'From this place in the log.' }),
    from: momentSchema.optional().meta({ description: 'Not before.' }),
    to_place: z.int().min(0).optional().meta({ description: 'Up to this place.' }),
    to: momentSchema.optional().meta({ description: 'Before.' }),
    limit: z.int().min(1).max(1000).default(200).meta({
      description: 'The maximum number of decisions; a page of slow decisions has fewer.',
    }),
  })
  .meta({ id: 'ReplaySpan' });

/** The decision log. */
export const auditRoutes = [
  list({
    name: 'listDecisions',
    operation: 'decision.read',
    method: 'GET',
    path: '/v1/decisions',
    summary: 'list the decision log, newest first',
    caller: 'any',
    outcomes: RECORDED_READ,
    query: z.strictObject({
      flag: flagKeySchema.optional(),
      environment: environmentKeySchema.optional(),
      principal: z.string().max(512).optional().meta({ description: "A principal's id, or a person." }),
      operation: z.enum(RECORDED_NAMES).optional(),
      outcome: effectSchema.optional().meta({ description: 'What the policy answered.' }),
      request: z.uuid().optional(),
      ...idBeginsShape,
      from: momentSchema.optional().meta({ description: 'Not before.' }),
      to: momentSchema.optional().meta({ description: 'Before.' }),
    }),
    success: 200,
    answer: recordViewSchema,
    errors: ['not_found'],
    handle: async ({ control }, { call, query: { from, to, ...rest }, page: { limit, place }, write }) => {
      await assertRecordedEnvironment(control, call, rest.environment);
      await write((writing) => authorize(writing, readingOf(writing, rest.environment)));
      const filter = {
        ...rest,
        ...(from === undefined ? {} : { from_ms: toEpochMs(from) }),
        ...(to === undefined ? {} : { to_ms: toEpochMs(to) }),
      } as RecordFilter;
      const { rows, next } = await listRecords(control.store.read, {
        filter,
        beforePlace: place === null ? null : Number(place),
        limit,
      });
      if (rows.length === 0 && place === null) await assertRecorded({ db: control.store.read }, filter);
      return { items: rows.map(toView), next };
    },
  }),
  route({
    name: 'getDecision',
    operation: 'decision.read',
    method: 'GET',
    path: '/v1/decisions/{id}',
    summary: 'one record in full: the readable details with input and result, and the leaf that is hashed',
    caller: 'any',
    outcomes: RECORDED_READ,
    params: z.object({ id: z.string().max(100) }),
    success: 200,
    answer: fullRecordViewSchema,
    errors: ['state_conflict'],
    handle: async ({ control }, { params: { id }, write }) => {
      await write((writing) => authorize(writing, { operation: 'decision.read' }));
      const found = await findRecord(control.store.read, id);
      if (found === undefined) throw unknownName({ what: 'decision', name: id });
      const { result } = found;
      const input = await readInputOf(control.store, found);
      return {
        body: {
          ...toView(found),
          // Erased meanwhile, it would not have been found.
          input: JSON.parse(input ?? 'null') as unknown,
          result: JSON.parse(result) as unknown,
        },
      };
    },
  }),
  route({
    name: 'listInputs',
    operation: 'decision.read',
    method: 'GET',
    path: '/v1/log/inputs',
    summary:
      'the inputs and results of decisions with the salts of their digests, a page at a time, oldest first',
    caller: 'any',
    outcomes: RECORDED_READ,
    query: z.strictObject({
      from_place: z.int().min(1).default(1).meta({ description: 'From this place in the log.' }),
      limit: z.int().min(1).max(1000).default(200).meta({
        description: 'The maximum number of records; a page of large inputs has fewer.',
      }),
    }),
    success: 200,
    answer: keptPageSchema,
    handle: async ({ control }, { query, write }) => {
      await write((writing) => authorize(writing, { operation: 'decision.read' }));
      return { body: await keptPage(control, query) };
    },
  }),
  route({
    name: 'replayDecision',
    operation: 'decision.read',
    method: 'POST',
    path: '/v1/decisions/{id}/replay',
    summary: 'make a decision again from its stored input and bundle, and compare byte for byte',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    params: z.object({ id: z.string().max(100) }),
    success: 200,
    answer: replayViewSchema,
    handle: async ({ control }, { params: { id }, write }) => {
      await write((writing) => authorize(writing, { operation: 'decision.read' }));
      return { body: await replayOne(control, id) };
    },
  }),
  route({
    name: 'replayDecisions',
    operation: 'decision.read',
    method: 'POST',
    path: '/v1/replays',
    summary: 'replay a span of the log, a page at a time, oldest first',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    body: replaySpanSchema,
    success: 200,
    answer: replayPageSchema,
    handle: async ({ control }, { body: { limit, ...span }, write }) => {
      await write((writing) => authorize(writing, { operation: 'decision.read' }));
      return { body: await replayPage(control, span, limit) };
    },
  }),
];
