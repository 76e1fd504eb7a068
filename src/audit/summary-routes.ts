import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { ControlDeps } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { BrokerError } from '../errors.ts';
import { RECORDED_READ } from '../http/route.ts';
import { DAY_MS, momentSchema, toEpochMs } from '../moment.ts';
import { MAX_DAYS, summarise, summarySchema } from './summary.ts';

const { route } = routesFor<{ control: ControlDeps }>({ tag: 'Audit', format: 'problem', since: '1.0' });

/** The days of a summary that states no time. */
const DEFAULT_DAYS = 30;

/** Numbers for charts. */
export const summaryRoutes = [
  route({
    name: 'getSummary',
    operation: 'decision.read',
    method: 'GET',
    path: '/v1/audit/summary',
    summary: 'count by day what was applied, held and denied, and how long requests waited',
    caller: 'any',
    outcomes: RECORDED_READ,
    query: z.strictObject({
      from: momentSchema
        .optional()
        .meta({ description: `From that day on. Default: ${DEFAULT_DAYS} days before \`to\`.` }),
      to: momentSchema.optional().meta({ description: 'Up to that moment. Default: now.' }),
    }),
    success: 200,
    answer: summarySchema,
    handle: async ({ control }, { query: { from, to }, write }) => {
      const to_ms = to === undefined ? control.clock() : toEpochMs(to);
      const from_ms = from === undefined ? Math.max(0, to_ms - DEFAULT_DAYS * DAY_MS) : toEpochMs(from);
      if (from_ms > to_ms || to_ms - from_ms > MAX_DAYS * DAY_MS) {
        throw new BrokerError('invalid_request', `Ask for at most ${MAX_DAYS} days, the first one first.`, {
          errors: [
            { pointer: '#/from', detail: `must be at most ${MAX_DAYS} days before \`to\`, and not after it` },
          ],
        });
      }
      await write((writing) => authorize(writing, { operation: 'decision.read' }));
      return { body: await summarise(control.store.read, { from_ms, to_ms }) };
    },
  }),
];
