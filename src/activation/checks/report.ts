import { z } from 'zod';
import { canonicalJson, digestOf } from '../../json.ts';
import { type AccessDiff, accessDiffSchema } from './access-view.ts';
import { backtestSchema, type ChangeGroup } from './backtest.ts';
import type { Check } from './check.ts';
import { type FlagsDiff, flagsDiffSchema } from './flags.ts';
import { type NextActivationDiff, nextActivationSchema } from './next-activation-check.ts';
import { type OpenRequestsDiff, openRequestsDiffSchema } from './open-requests.ts';

/** The places of the log that a backtest covers, both inclusive. */
export const spanSchema = z
  .strictObject({ from_place: z.int().min(1), to_place: z.int().min(0) })
  .meta({ id: 'PlaceSpan' });
export type PlaceSpan = z.infer<typeof spanSchema>;

/** Those that depend on the state of the broker, and not on the policies alone. */
export const STATE_CHECKS = ['access', 'open_requests', 'flags', 'next_activation'] as const;
export type StateCheckName = (typeof STATE_CHECKS)[number];

/** What they find. */
interface StateResults {
  access: AccessDiff;
  open_requests: OpenRequestsDiff;
  flags: FlagsDiff;
  next_activation: NextActivationDiff;
}

/** The checks of the broker's state; those that are absent are left out of reports. */
export type StateChecks = { readonly [Name in StateCheckName]?: Check<StateResults[Name]> };

const casesSchema = z.object({
  passed: z.int().min(0),
  failed: z.array(z.object({ name: z.string(), detail: z.string() })),
  not_shown: z.int().min(0).meta({ description: 'Further cases that fail.' }),
});

/**
 * What would change if a candidate became active. The request's digest covers it, so it has nothing that is measured, and
 * nothing that differs from one run to the next.
 */
export const reportSchema = z
  .object({
    version: z.literal(1),
    policy_hash: z.string().meta({ description: 'The candidate.' }),
    archive_digest: z.string(),
    compared_with: z.string().meta({ description: 'The policy hash of the active policy.' }),
    span: spanSchema,
    cases: casesSchema.meta({ description: "The candidate's own decision cases." }),
    backtest: backtestSchema.meta({
      id: 'Backtest',
      description: 'Recorded decisions that would be other ones, by what they were about.',
    }),
    access: accessDiffSchema.optional(),
    open_requests: openRequestsDiffSchema.optional(),
    flags: flagsDiffSchema.optional(),
    next_activation: nextActivationSchema.optional(),
    warnings: z.array(z.object({ pointer: z.string(), detail: z.string() })),
    evaluation: z
      .object({ limit_ms: z.int(), exceeded: z.boolean() })
      .meta({ description: 'Whether an evaluation took more time of the processor than it may.' }),
    changes_nothing: z.boolean().meta({
      description: 'No recorded decision, no access, no open request and no flag would change.',
    }),
  })
  .meta({ id: 'PolicyReport' });
export type Report = z.infer<typeof reportSchema>;

/** What was measured. It differs from one run to the next, so no digest covers it. */
export const measuredSchema = z
  .object({
    slowest: z.object({ ms: z.number(), operation: z.string() }).nullable(),
    decisions_per_s: z.number().nullable(),
    took_ms: z.number(),
  })
  .meta({ id: 'PolicyReportMeasured' });
export type Measured = z.infer<typeof measuredSchema>;

/** Whether the checks of the broker's state found no difference. */
export function isNothing(results: Pick<Report, StateCheckName>, checks: StateChecks): boolean {
  return STATE_CHECKS.every((name) => {
    const [check, result] = [checks[name] as Check<unknown> | undefined, results[name]];
    return check === undefined || result === undefined || check.isNothing(result);
  });
}

/** The digest of a report. */
export function reportDigest(report: Report): string {
  return digestOf(report);
}

/** Why a candidate may not be proposed, as sentences; empty if it may. */
export function faultsOf({ cases, evaluation }: Report): string[] {
  const failed = cases.failed.map(({ name, detail }) => `the decision case "${name}" fails: ${detail}`);
  const more = cases.not_shown === 0 ? [] : [`${cases.not_shown} more decision cases fail`];
  const slow = evaluation.exceeded ? [`an evaluation takes more than ${evaluation.limit_ms} ms`] : [];
  return [...failed, ...more, ...slow];
}

/** What is worse than in the approved report, as sentences; empty if nothing is. */
export function worseThan(approved: Report, present: Report, checks: StateChecks): string[] {
  const state = STATE_CHECKS.flatMap((name) => {
    const check = checks[name] as Check<unknown> | undefined;
    const [before, now] = [approved[name], present[name]];
    if (check === undefined || now === undefined) return [];
    // What was not checked then was not approved.
    if (before === undefined)
      return check.isNothing(now) ? [] : [`${name} was not part of what was approved`];
    return check.worse(before, now) ?? [];
  });
  return [...faultsOf(present), ...changedMore(approved, present), ...state];
}

function changedMore(approved: Report, present: Report): string[] {
  const known = new Map(approved.backtest.groups.map((group) => [keyOf(group), group.decisions]));
  const more = present.backtest.groups.flatMap((group) => {
    const before = known.get(keyOf(group)) ?? 0;
    return group.decisions > before ? [describeMore(group, before)] : [];
  });
  const [hidden, before] = [present.backtest.in_other_groups, approved.backtest.in_other_groups];
  return hidden > before ? [...more, `${hidden - before} more recorded decisions change`] : more;
}

function describeMore({ operation, environment, decisions, from, to }: ChangeGroup, before: number): string {
  const where = environment === null ? '' : ` in ${environment}`;
  const were = before === 0 ? 'none' : String(before);
  return `${decisions} recorded decisions on ${operation}${where} change from ${from.effect} to ${to.effect}, and ${were} did when it was approved`;
}

function keyOf({ decisions: _, examples: __, ...change }: ChangeGroup): string {
  return canonicalJson(change);
}
