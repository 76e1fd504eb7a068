import { z } from 'zod';
import { epochMs } from './moment.ts';
import type { ProblemCode } from './problems.ts';

/** A fault in one part of the input. */
export const fieldFaultSchema = z
  .object({
    pointer: z.string().meta({ description: 'A JSON Pointer in URI fragment form: `#/changes/0/flag`.' }),
    detail: z.string(),
  })
  .meta({ id: 'FieldFault' });
export type FieldFault = z.infer<typeof fieldFaultSchema>;

/**
 * One condition that blocks the caller: what it is, who can clear it, and which call clears it. Machine-readable;
 * `detail` is the sentence for people.
 */
export const gateSchema = z
  .object({
    code: z.string(),
    detail: z.string(),
    cleared_by: z
      .string()
      .meta({ description: 'Who can clear the gate: a role, `proposer`, `caller`, or `time`.' }),
    call: z
      .object({ method: z.string(), path: z.string(), body: z.unknown().optional() })
      .nullable()
      .meta({ description: 'The call that clears it; null when only time or an administrator can.' }),
    opens_ms: epochMs.nullable().optional().meta({
      description:
        'Of a gate that only time clears: when windows and blackouts first let the request through after the last decision on it. Null if that is not within 400 days, or the policy does not tell.',
    }),
    scope: z
      .array(z.object({ namespace: z.string(), environment: z.string() }))
      .optional()
      .meta({
        description:
          'Of a missing approval: where its giver must hold the role. `*` is all, which only a binding to `*` covers.',
      }),
  })
  .meta({ id: 'Gate' });
export type Gate = z.infer<typeof gateSchema>;

/** What a {@link BrokerError} carries to the caller besides its code. */
export interface ProblemFields {
  /** The faults in the input, with their places. */
  errors?: readonly FieldFault[];
  gates?: readonly Gate[];
  reasons?: readonly { code: string; detail: string }[];
  decision_id?: string;
  policy_hash?: string;
  /** Further information for the caller. It must be safe to show. */
  extra?: Readonly<Record<string, unknown>>;
  /** Response headers, such as `WWW-Authenticate` or `Retry-After`. */
  headers?: Readonly<Record<string, string>>;
}

/**
 * A refusal with a stable code. `detail` is safe to show and says how to fix it; `cause` is for the log only.
 */
export class BrokerError extends Error {
  readonly code: ProblemCode;
  readonly fields: ProblemFields;

  constructor(code: ProblemCode, detail: string, fields: ProblemFields = {}, cause?: unknown) {
    super(detail, cause === undefined ? undefined : { cause });
    this.name = 'BrokerError';
    this.code = code;
    this.fields = fields;
  }
}
