import { z } from 'zod';

/** The version of the result document. */
export const RESULT_SCHEMA_VERSION = 1;

/** Why policy answered as it did. `code` is stable; `detail` is for people. */
export const reasonSchema = z.strictObject({
  code: z.string().min(1).max(100),
  detail: z.string().max(2000),
});

/** What is still missing while a decision is `hold`. A customer's own kinds pass through as they are. */
export const obligationSchema = z.discriminatedUnion('kind', [
  /** `count` more approvals by persons who hold `role` (and speak for `organization`, where it is set). */
  z.strictObject({
    kind: z.literal('approval'),
    role: z.string(),
    count: z.int().min(1),
    organization: z.string().optional(),
  }),
  /** A ticket that matches `pattern`. */
  z.strictObject({ kind: z.literal('ticket'), pattern: z.string() }),
  /** A change window: one of those named. Only time clears it. */
  z.strictObject({ kind: z.literal('window'), windows: z.array(z.string()) }),
  /** A sign-in of at least `level`, at most `max_age_s` old, by the one who approves (`approver`) or calls (`caller`). */
  z.strictObject({
    kind: z.literal('sign_in'),
    who: z.enum(['caller', 'approver']),
    level: z.int().min(1),
    max_age_s: z.int().min(1).nullable(),
  }),
]);

/** The document that `countersign/decision` returns. Anything else is a deny. */
export const policyResultSchema = z.strictObject({
  effect: z.enum(['allow', 'hold', 'deny']),
  reasons: z.array(reasonSchema).max(100),
  obligations: z.array(obligationSchema).max(100),
  limits: z.record(z.string(), z.number()),
});

export type Reason = z.infer<typeof reasonSchema>;
export type Obligation = z.infer<typeof obligationSchema>;
export type PolicyResult = z.infer<typeof policyResultSchema>;
