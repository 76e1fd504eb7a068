import { z } from 'zod';
import { requestViewSchema } from '../requests/view.ts';

/*
 * The inbox of a person: the requests that wait for them, and their own. It reads; votes and edits are the calls of
 * `requests/`.
 */

/** A missing approval that the caller could give. */
const clearableSchema = z
  .object({
    role: z.string(),
    organization: z
      .string()
      .nullable()
      .meta({ description: 'The organization that the caller represents; null if none is asked for.' }),
  })
  .meta({ id: 'Clearable' });

/** One request of an inbox. */
export const inboxItemSchema = z
  .object({
    /** Without its votes; `gates` says what holds it. */
    request: requestViewSchema,
    clears: z.array(clearableSchema).meta({
      description:
        'Of the part `approve`: the missing approvals that the caller could give. Otherwise empty.',
    }),
    needs_sign_in: z.boolean().meta({
      description: 'Whether the caller must sign in anew, or stronger, before that approval counts.',
    }),
  })
  .meta({ id: 'InboxItem' });
export type InboxItem = z.infer<typeof inboxItemSchema>;

const countSchema = z.object({
  count: z.int(),
  more: z.boolean().meta({ description: 'Whether there are more than were counted.' }),
});

/** How much is in an inbox. */
export const inboxCountSchema = z
  .object({ approve: countSchema, own: countSchema })
  .meta({ id: 'InboxCount', description: 'The number of requests in each part, counted up to 100.' });
export type InboxCount = z.infer<typeof inboxCountSchema>;
