import { z } from 'zod';
import { epochMs } from '../moment.ts';
import { reasonSchema } from '../reason.ts';

/** Everything that time has to clear, of which an obligation is a part: an open window of each choice, no blackout. */
const calendarSchema = z.strictObject({
  windows: z.array(z.array(z.string())),
  blackouts: z.array(z.string()),
  not_before_ms: epochMs.optional(),
});

/** What is still missing while a decision is `hold`. An unknown kind makes the answer malformed, and so a deny. */
export const obligationSchema = z.discriminatedUnion('kind', [
  /** `count` more approvals from persons who hold `role` (and represent `organization`, if it is set). */
  z.strictObject({
    kind: z.literal('approval'),
    role: z.string(),
    count: z.int().min(1),
    organization: z.string().optional(),
  }),
  /** A ticket that matches `pattern`. */
  z.strictObject({ kind: z.literal('ticket'), pattern: z.string() }),
  /** A change window: one of those named, or none but a moment to wait for. Only time clears it. */
  z.strictObject({
    kind: z.literal('window'),
    windows: z.array(z.string()),
    not_before_ms: epochMs.optional(),
    calendar: calendarSchema.optional(),
  }),
  /** The end of each of these blackouts. Only time clears it. */
  z.strictObject({
    kind: z.literal('blackout'),
    blackouts: z.array(z.string()),
    calendar: calendarSchema.optional(),
  }),
  /** A sign-in of at least `level`, at most `max_age_s` old, by the approver (`approver`) or the caller (`caller`). */
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

/** The version of the result. It changes if a member is removed or changes its meaning. */
export const RESULT_VERSION = 1;

/** The schema of the result by version, to read answers of former versions. */
export const RESULT_SCHEMAS: ReadonlyMap<number, typeof policyResultSchema> = new Map([
  [RESULT_VERSION, policyResultSchema],
]);

export type Obligation = z.infer<typeof obligationSchema>;
export type PolicyResult = z.infer<typeof policyResultSchema>;
