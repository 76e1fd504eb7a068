import { z } from 'zod';
import { epochMs } from '../moment.ts';
import { RECORDED_NAMES } from '../operations.ts';

/*
 * Events for people: what happened, as server-sent events, for pages that show it live. They name things and no content:
 * whoever is told reads the rest by the calls that decide it.
 */

/**
 * The data of an event. Its `id` is `<epoch>-<place>`, for `Last-Event-ID`; its `event` is `type`. An event of type `reset`
 * has no data: too much happened since, so everything should be read again.
 */
export const eventSchema = z
  .object({
    type: z.enum(['request', 'vote', 'comment', 'freeze', 'breakglass', 'revocation', 'policy']),
    place: z.int().meta({ description: 'The place of the record in the log.' }),
    at_ms: epochMs,
    operation: z.enum(RECORDED_NAMES),
    effect: z.enum(['allow', 'hold', 'deny']),
    decision_id: z.string(),
    environment: z.string().nullable(),
    request: z
      .object({
        id: z.string(),
        kind: z.string(),
        digest: z.string(),
        from: z.string().nullable(),
        to: z.string(),
      })
      .nullable(),
    flags: z.array(z.string()).meta({ description: 'The flags that moved.' }),
    freeze: z.object({ id: z.string(), change: z.enum(['engaged', 'lifted']) }).nullable(),
  })
  .meta({ id: 'Event' });
export type EventView = z.infer<typeof eventSchema>;
