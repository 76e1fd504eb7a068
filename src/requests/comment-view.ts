import { z } from 'zod';
import { epochMs } from '../moment.ts';

/** What a comment is: a remark, or a demand, by a person who could approve, that something changes first. */
export const COMMENT_KINDS = ['comment', 'changes_requested'] as const;

/** A comment on a request. */
export const commentViewSchema = z
  .object({
    id: z.string(),
    request_id: z.string(),
    kind: z.enum(COMMENT_KINDS),
    person: z.string().nullable().meta({ description: 'Null for a workload that acts for nobody.' }),
    principal: z.string(),
    text: z.string().nullable().meta({ description: 'Null once it was withdrawn.' }),
    digest: z.string().meta({ description: 'The digest of the content that it is about.' }),
    stands: z.boolean().meta({
      description:
        'Of `changes_requested`: whether it still holds the request back. An edit, an approval of the same person, or its withdrawal ends that.',
    }),
    at_ms: epochMs,
    withdrawn_ms: epochMs.nullable(),
    decision_id: z.string(),
  })
  .meta({ id: 'Comment' });
export type CommentView = z.infer<typeof commentViewSchema>;
