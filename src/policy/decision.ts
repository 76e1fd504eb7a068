import { z } from 'zod';
import { epochMs } from '../moment.ts';
import { reasonSchema } from '../reason.ts';

/** Everything that time has to clear, of which an obligation is a part: an open window of each choice, no blackout. */
const calendarSchema = z.strictObject({
  windows: z
    .array(z.array(z.string()))
    .meta({ description: 'Choices of windows; one of each has to be open.' }),
  blackouts: z
    .array(z.string())
    .meta({ description: 'The blackouts, by their names in `config/blackouts`.' }),
  not_before_ms: epochMs.optional().meta({ description: 'The moment to wait for; absent if there is none.' }),
});

/** What is still missing while a decision is `hold`. An unknown kind makes the answer malformed, and so a deny. */
export const obligationSchema = z.discriminatedUnion('kind', [
  z
    .strictObject({
      kind: z.literal('approval').meta({ description: 'The discriminator.' }),
      role: z.string().meta({ description: 'The role that the approvers must hold.' }),
      count: z.int().min(1).meta({ description: 'How many more are missing.' }),
      organization: z
        .string()
        .optional()
        .meta({ description: 'The organization that an account-approver must represent.' }),
    })
    .meta({
      description:
        '`count` more approvals from persons who hold `role` (and represent `organization`, if it is set).',
    }),
  z
    .strictObject({
      kind: z.literal('ticket').meta({ description: 'The discriminator.' }),
      pattern: z.string().meta({ description: 'The pattern that the ticket must match.' }),
    })
    .meta({ description: 'A ticket that matches `pattern`.' }),
  z
    .strictObject({
      kind: z.literal('window').meta({ description: 'The discriminator.' }),
      windows: z
        .array(z.string())
        .meta({ description: 'One of these has to be open; empty if the wait is for a moment.' }),
      not_before_ms: epochMs
        .optional()
        .meta({ description: 'The moment to wait for; absent if there is none.' }),
      calendar: calendarSchema
        .optional()
        .meta({ description: 'Everything that time has to clear; absent if the obligation says it all.' }),
    })
    .meta({
      description:
        'A change window: one of those named, or none but a moment to wait for. Only time clears it.',
    }),
  z
    .strictObject({
      kind: z.literal('blackout').meta({ description: 'The discriminator.' }),
      blackouts: z
        .array(z.string())
        .meta({ description: 'The blackouts, by their names in `config/blackouts`.' }),
      calendar: calendarSchema
        .optional()
        .meta({ description: 'Everything that time has to clear; absent if the obligation says it all.' }),
    })
    .meta({ description: 'The end of each of these blackouts. Only time clears it.' }),
  z
    .strictObject({
      kind: z.literal('cosigned').meta({ description: 'The discriminator.' }),
      max_age_s: z.int().min(1).meta({ description: 'The greatest age of the cosignatures in seconds.' }),
    })
    .meta({
      description:
        'A checkpoint of the log that a quorum of witnesses has cosigned, at most `max_age_s` ago. The broker asks them by itself. Void for whatever is no change of flags that makes something less safe.',
    }),
  z
    .strictObject({
      kind: z.literal('sign_in').meta({ description: 'The discriminator.' }),
      who: z.enum(['caller', 'approver']).meta({ description: 'Whose sign-in it is.' }),
      level: z.int().min(1).meta({ description: 'The least level of the sign-in.' }),
      max_age_s: z
        .int()
        .min(1)
        .nullable()
        .meta({ description: 'The greatest age of the sign-in in seconds, or null.' }),
    })
    .meta({
      description:
        'A sign-in of at least `level`, at most `max_age_s` old, by the approver (`approver`) or the caller (`caller`).',
    }),
]);

/** The document that `countersign/decision` returns. Anything else is a deny. */
export const policyResultSchema = z.strictObject({
  effect: z
    .enum(['allow', 'hold', 'deny'])
    .meta({ description: 'The decision. `hold`: something is missing.' }),
  reasons: z.array(reasonSchema).max(100).meta({ description: 'Why: for a deny every rule that denied.' }),
  obligations: z
    .array(obligationSchema)
    .max(100)
    .meta({ description: 'What is missing; empty unless the effect is `hold`.' }),
  limits: z
    .record(z.string(), z.number())
    .meta({ description: 'Limits for the broker by name, such as `request_ttl_s`.' }),
});

/** The same, compiled: each decision reads an answer. */
export const compiledResultSchema = z.compile(policyResultSchema, { strict: true });

/** The version of the result. It changes if a member is removed or changes its meaning. */
export const RESULT_VERSION = 1;

/** The schema of the result by version, to read answers of former versions. */
export const RESULT_SCHEMAS: ReadonlyMap<number, typeof policyResultSchema> = new Map([
  [RESULT_VERSION, compiledResultSchema],
]);

export type Obligation = z.infer<typeof obligationSchema>;
export type PolicyResult = z.infer<typeof policyResultSchema>;
