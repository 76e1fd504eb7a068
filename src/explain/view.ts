import { z } from 'zod';
import { obligationGate, type RoleScope, reasonGate } from '../decide/refusals.ts';
import { gateSchema } from '../errors.ts';
import { epochMs } from '../moment.ts';
import { obligationSchema } from '../policy/decision.ts';
import type { AllMet, ExplainedObligation } from '../policy/explain.ts';
import type { GuardedResult } from '../policy/guardrails.ts';
import { localTime } from '../policy/zones.ts';
import { type Principal, principalSchema } from '../principal.ts';
import { reasonSchema } from '../reason.ts';
import { plannedChangeSchema } from '../requests/view.ts';

/*
 * Explanations: why a policy answers as it does, and what would change the answer.
 */

const effectSchema = z.enum(['allow', 'hold', 'deny']);
const namedSchema = principalSchema.pick({ id: true, kind: true, person: true }).strip();

const openingSchema = z
  .object({
    window: z
      .string()
      .nullable()
      .meta({ description: 'The window that opens; null if only blackouts are in the way.' }),
    zone: z.string().meta({ description: 'The IANA zone of the window, or of the blackout.' }),
    opens_ms: epochMs,
    local: z
      .string()
      .meta({ description: 'The same moment as the clocks of the zone show it, with its offset.' }),
  })
  .meta({ id: 'WindowOpening' });

const explainedObligationSchema = z
  .object({
    obligation: obligationSchema,
    gate: gateSchema,
    effect_if_met: effectSchema.nullable().meta({
      description:
        'The effect if this obligation were met and nothing else; null if that could not be tried.',
    }),
    who: z
      .array(namedSchema)
      .nullable()
      .meta({ description: 'Known persons who could give the approval; null unless you may read access.' }),
    bindings: z
      .array(
        z.object({
          by: z.enum(['group', 'claim', 'principal']),
          issuer: z.string().nullable(),
          key: z.string(),
        }),
      )
      .nullable()
      .meta({
        description:
          'The role bindings by which the approval would count, with or without known holders; null unless you may read access.',
      }),
    opens: openingSchema.nullable().meta({
      description: 'When time lets it through; null if that is unknown, or time does not clear it.',
    }),
  })
  .meta({ id: 'ExplainedObligation' });

const grantedBySchema = z
  .object({
    principal: z.string(),
    by: z.enum(['group', 'claim', 'trust_rule', 'principal']),
    issuer: z.string().nullable(),
    key: z.string(),
    index: z.int().min(0),
  })
  .meta({ id: 'GrantingBinding' });

const planSchema = z
  .object({
    digest: z
      .string()
      .meta({ description: 'The digest that an approval would name, if it were proposed now.' }),
    summary: z.string().nullable().meta({
      description: 'What applying it does; null for a change of flags, whose changes describe it.',
    }),
    changes: z.array(plannedChangeSchema),
    object: z.looseObject({ type: z.string() }).nullable(),
    bases: z.array(z.object({ of: z.string(), version: z.int() })),
  })
  .meta({ id: 'RequestPlan' });

/** An explanation in an answer. */
export const explanationSchema = z
  .object({
    about: z.object({
      type: z.enum(['decision', 'request', 'what_if']),
      id: z.string().nullable().meta({ description: 'The decision or the request.' }),
    }),
    operation: z.string(),
    principal: namedSchema,
    environment: z.string().nullable(),
    at_ms: epochMs.meta({ description: 'The time that the answer is of.' }),
    policy_hash: z.string(),
    effect: effectSchema,
    reasons: z
      .array(reasonSchema)
      .meta({ description: 'The rules that decided: of a deny, those that denied.' }),
    guardrail: z
      .string()
      .nullable()
      .meta({ description: 'The guardrail that overruled the policy, or null.' }),
    granted_by: z.array(grantedBySchema).nullable().meta({
      description:
        'The role bindings that grant it; for a request, those of its proposer. Null if you may not know them, or the policy has no `countersign/access`.',
    }),
    gates: z.array(gateSchema).meta({ description: 'What blocks it, and who can clear it.' }),
    obligations: z.array(explainedObligationSchema),
    if_all_met: z
      .object({
        effect: effectSchema,
        reasons: z.array(reasonSchema),
        obligations: z.array(obligationSchema).meta({ description: 'What no known person could meet.' }),
        at_ms: epochMs,
      })
      .nullable()
      .meta({
        description:
          'The answer if everything were met, at the opening of the window; null if that could not be tried.',
      }),
    who_could: z.array(namedSchema).nullable().meta({
      description: 'Of a deny: known persons who would not be denied; null unless you may read access.',
    }),
    plan: planSchema.nullable().meta({
      description: 'Of a plan that is not denied: what the request would do. Otherwise null.',
    }),
  })
  .meta({ id: 'Explanation' });
export type ExplanationView = z.infer<typeof explanationSchema>;

/** What an explanation is made of. */
export interface Explanation {
  about: ExplanationView['about'];
  operation: string;
  principal: Principal;
  environment: string | null;
  at_ms: number;
  policy_hash: string;
  answer: GuardedResult;
  granted_by: ExplanationView['granted_by'];
  /** Gates besides those of the answer. */
  gates: ExplanationView['gates'];
  obligations: readonly ExplainedObligation[];
  all_met: AllMet | null;
  who_could: readonly Principal[] | null;
  plan: ExplanationView['plan'];
  /** The path and digest of the request, for the calls that clear gates; null if there is none yet. */
  request: { path: string; digest: string } | null;
  /** Where roles must be held; unknown for an operation without a request. */
  scope: RoleScope;
}

/** Converts an explanation to its answer. */
export function toView({
  answer,
  all_met,
  request,
  scope,
  principal,
  ...rest
}: Explanation): ExplanationView {
  const { effect, reasons, guardrail = null } = answer;
  const obligations = rest.obligations.map(({ obligation, effect_if_met, who, bindings, opens }) => {
    const gate = obligationGate(obligation, {
      ...(request ?? { path: '/v1/requests/{id}', digest: '…' }),
      scope,
      now_ms: rest.at_ms,
      opening: () => (opens === null ? null : { ...opens, at_ms: opens.opens_ms }),
    });
    return {
      obligation,
      gate: request === null ? { ...gate, call: null } : gate,
      effect_if_met,
      who: who === null ? null : who.map(named),
      bindings,
      opens: opens === null ? null : { ...opens, local: localTime(opens.zone, opens.opens_ms) },
    };
  });
  return {
    about: rest.about,
    operation: rest.operation,
    principal: named(principal),
    environment: rest.environment,
    at_ms: rest.at_ms,
    policy_hash: rest.policy_hash,
    effect,
    reasons: [...reasons],
    guardrail,
    granted_by: rest.granted_by,
    gates: [
      ...(effect === 'deny' ? reasons.map(reasonGate) : obligations.map(({ gate }) => gate)),
      ...rest.gates,
    ],
    obligations,
    if_all_met:
      all_met === null
        ? null
        : { ...all_met, reasons: [...all_met.reasons], obligations: [...all_met.obligations] },
    who_could: rest.who_could === null ? null : rest.who_could.map(named),
    plan: rest.plan,
  };
}

function named({ id, kind, person }: Principal): ExplanationView['principal'] {
  return { id, kind, person };
}
