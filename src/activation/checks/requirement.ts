import { z } from 'zod';
import { canonicalJson } from '../../json.ts';
import type { Obligation } from '../../policy/decision.ts';
import type { GuardedResult } from '../../policy/guardrails.ts';

/** What a policy answers, in words. */
export const requirementSchema = z
  .object({
    effect: z.enum(['allow', 'hold', 'deny']),
    needs: z
      .array(z.string())
      .meta({ description: 'What is still missing, such as `1 approval by flag-approver`.' }),
    reasons: z.array(z.string()).meta({ description: 'The reason codes of a denial.' }),
  })
  .meta({ id: 'Requirement' });
export type Requirement = z.infer<typeof requirementSchema>;

/** How an answer differs from another one. */
export const changeSchema = z.enum(['allowed', 'held', 'held_differently', 'denied']);
export type Change = z.infer<typeof changeSchema>;

/** What an answer requires; several answers to one question at several times require what any of them does. */
export function requirementOf(
  answers: readonly Pick<GuardedResult, 'effect' | 'reasons' | 'obligations'>[],
): Requirement {
  const denied = answers.find(({ effect }) => effect === 'deny');
  if (denied !== undefined) {
    return {
      effect: 'deny',
      needs: [],
      reasons: [...new Set(denied.reasons.map(({ code }) => code))].sort(),
    };
  }
  const needs = [...new Set(answers.flatMap(({ obligations }) => obligations.map(describeNeed)))].sort();
  return { effect: answers.some(({ effect }) => effect === 'hold') ? 'hold' : 'allow', needs, reasons: [] };
}

/** How one answer becomes another; null if it stays the same. */
export function changeOf(before: Requirement, after: Requirement): Change | null {
  if (before.effect === after.effect) {
    const isSame = after.effect !== 'hold' || canonicalJson(before.needs) === canonicalJson(after.needs);
    return isSame ? null : 'held_differently';
  }
  return ({ allow: 'allowed', hold: 'held', deny: 'denied' } as const)[after.effect];
}

/** What an obligation needs, such as `1 approval by flag-approver`. */
export function describeNeed(obligation: Obligation): string {
  switch (obligation.kind) {
    case 'approval': {
      const { count, role, organization } = obligation;
      const who = organization === undefined ? role : `${role} for ${organization}`;
      return `${count} ${count === 1 ? 'approval' : 'approvals'} by ${who}`;
    }
    case 'ticket':
      return `a ticket that matches ${obligation.pattern}`;
    case 'window':
      // Until when something waits is its own, and not the policy's.
      return obligation.windows.length === 0 ? 'some time' : `the window ${obligation.windows.join(' or ')}`;
    case 'blackout':
      return `the end of the blackout ${obligation.blackouts.join(', ')}`;
    case 'cosigned':
      return `a log that witnesses cosigned at most ${obligation.max_age_s} seconds ago`;
    case 'sign_in': {
      const age = obligation.max_age_s === null ? '' : `, at most ${obligation.max_age_s} seconds old`;
      return `a sign-in of the ${obligation.who} at level ${obligation.level}${age}`;
    }
  }
}
