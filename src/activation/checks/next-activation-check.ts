import { z } from 'zod';
import { epochMs } from '../../moment.ts';
import type { GuardedResult } from '../../policy/guardrails.ts';
import { type Principal, schedulerPrincipal } from '../../principal.ts';
import { listPrincipals } from '../../store/principals.ts';
import { findNextActivation, type NextActivation, type NoNextActivation } from '../next-activation.ts';
import { groupAlike } from './alike.ts';
import {
  type Check,
  type CheckContext,
  isSameModule,
  SIDES,
  type Side,
  type TimedQuestion,
} from './check.ts';
import { describeNeed } from './requirement.ts';
import {
  SAMPLE_OBJECTS,
  sampleChange,
  sampleQuestion,
  sampleRequest,
  scopeOf,
  unlimited,
} from './samples.ts';
import { sourcesOf } from './sources.ts';

/** The names that are shown of each list. */
const MAX_NAMES = 20;
/** The questions in one call. */
const AT_ONCE = 200;

/** Who could make the next activation, if a candidate became active. */
export const nextActivationSchema = z
  .object({
    proposers: z
      .array(z.string())
      .meta({ description: `Known persons who may propose it, at most ${MAX_NAMES}.` }),
    approvers: z
      .array(z.string())
      .meta({ description: `Who may approve it if the first of them proposes it, at most ${MAX_NAMES}.` }),
    approvals: z.int().meta({ description: 'How many approvals it takes.' }),
    earliest_ms: epochMs.nullable().meta({
      description: 'When time lets it through at the earliest; null: as soon as it is approved.',
    }),
    needs: z.array(z.string()).meta({ description: 'What the policy asks for, in words.' }),
    approvals_now: z
      .int()
      .nullable()
      .meta({ description: 'How many it takes under the active policy; null: nobody could give them.' }),
    nobody: z
      .object({
        why: z.enum(['nobody_proposes', 'not_enough_approve', 'closed']),
        opens_ms: epochMs.nullable(),
      })
      .nullable()
      .meta({ description: 'Why nobody could make it. Such a candidate is refused.' }),
    warnings: z.array(z.object({ code: z.string(), detail: z.string() })),
  })
  .meta({ id: 'NextActivation' });
export type NextActivationDiff = z.infer<typeof nextActivationSchema>;

/**
 * Who could make the next activation, and what would no longer work: a candidate under which nobody could is a way of no
 * return.
 */
export const nextActivationCheck: Check<NextActivationDiff> = {
  run: async (context) => compareNextActivation(context, await activePersons(context)),
  worse: (approved, present) =>
    present.approvals < approved.approvals
      ? `the next activation takes ${present.approvals} approvals, and took ${approved.approvals} when it was approved`
      : null,
  isNothing: ({ approvals, approvals_now, warnings }) => approvals === approvals_now && warnings.length === 0,
};

type Context = Pick<CheckContext, 'policies' | 'now_ms' | 'ask' | 'access'>;

/** Compares who could make the next activation, of these persons. */
export async function compareNextActivation(
  context: Context,
  persons: readonly Principal[],
): Promise<NextActivationDiff> {
  const { policies } = context;
  const answers = await context.access([]);
  const known = new Map(SIDES.flatMap((side) => [...sourcesOf(policies[side], answers[side])]));
  const groups = groupAlike(persons, known, { byBindings: isSameModule(policies) }).map(({ all }) => all);
  const object = SAMPLE_OBJECTS['policy.activate']?.(null);
  if (object === undefined) throw new Error('there is a sample of a policy');
  const search = { groups, object, now_ms: context.now_ms };
  const found = await findNextActivation(policies.candidate, askOne(context, 'candidate'), search);
  const now = await findNextActivation(policies.active, askOne(context, 'active'), search);
  const warnings = [...activationWarnings(now, found), ...(await otherWarnings(context, groups))];
  return {
    ...viewOf(found),
    approvals_now: 'why' in now ? null : now.approvals,
    nobody: 'why' in found ? found : null,
    warnings,
  };
}

function viewOf(found: NextActivation | NoNextActivation) {
  if ('why' in found) return { proposers: [], approvers: [], approvals: 0, earliest_ms: null, needs: [] };
  return {
    proposers: found.proposers.slice(0, MAX_NAMES),
    approvers: found.approvers.slice(0, MAX_NAMES),
    approvals: found.approvals,
    earliest_ms: found.opens_ms,
    needs: [...new Set(found.asked.map(describeNeed))],
  };
}

function askOne(context: Pick<Context, 'ask'>, side: Side) {
  return async (questions: readonly TimedQuestion[]): Promise<GuardedResult[]> => {
    const answers: GuardedResult[] = [];
    for (let at = 0; at < questions.length; at += AT_ONCE) {
      answers.push(...(await context.ask(questions.slice(at, at + AT_ONCE))).map((each) => each[side]));
    }
    return answers;
  };
}

/** That fewer or others have to agree, though not fewer in number. */
function activationWarnings(
  now: NextActivation | NoNextActivation,
  next: NextActivation | NoNextActivation,
): NextActivationDiff['warnings'] {
  if ('why' in now || 'why' in next) return [];
  const rolesOf = ({ asked }: NextActivation) =>
    new Set(asked.flatMap((obligation) => (obligation.kind === 'approval' ? [obligation.role] : [])));
  const gone = [...rolesOf(now)].filter((role) => !rolesOf(next).has(role));
  const added = (names: 'proposers' | 'approvers') => {
    const before = new Set(now[names]);
    return next[names].filter((name) => !before.has(name));
  };
  return [
    ...(gone.length === 0
      ? []
      : [{ code: 'role_not_asked', detail: `The next activation no longer needs: ${gone.join(', ')}.` }]),
    ...whoElse('more_proposers', 'may propose the next activation, too', added('proposers')),
    ...whoElse('more_approvers', 'may approve the next activation, too', added('approvers')),
  ];
}

function whoElse(code: string, may: string, names: readonly string[]): NextActivationDiff['warnings'] {
  if (names.length === 0) return [];
  const shown = names.slice(0, MAX_NAMES).join(', ');
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : '';
  return [{ code, detail: `${shown}${more} ${may}.` }];
}

/** What somebody can do now, and nobody could any more. */
async function otherWarnings(
  context: Context,
  groups: readonly (readonly Principal[])[],
): Promise<NextActivationDiff['warnings']> {
  const { now_ms } = context;
  const people = groups.flatMap(([one]) => (one === undefined ? [] : [unlimited(one, now_ms)]));
  const incident = { incident: 'INC-1', reason: 'a sample' };
  const engage = { ...scopeOf(null), ...incident };
  const change = sampleChange({}, 'lower');
  const request = (proposer: Principal) =>
    sampleRequest({ kind: 'flag.change', changes: [change] }, proposer, now_ms);
  const tasks = [
    {
      code: 'nobody_freezes',
      detail: 'Nobody known can freeze everything any more.',
      questions: people.map((who) =>
        sampleQuestion('freeze.engage', who, {
          emergency: { frozen: false, freezes: [], engage, breakglass: null, breakglass_recent: 0 },
        }),
      ),
    },
    {
      code: 'nobody_audits',
      detail: 'Nobody known can read the decision log any more.',
      questions: people.map((who) => sampleQuestion('decision.read', who)),
    },
    {
      code: 'scheduler_denied',
      detail:
        'The scheduler can no longer apply and expire requests: nothing that waits for a window or a time happens by itself.',
      questions: [
        sampleQuestion('request.expire', schedulerPrincipal, { request: request(schedulerPrincipal) }),
      ],
    },
  ];
  const warnings: NextActivationDiff['warnings'] = [];
  for (const { code, detail, questions } of tasks) {
    const timed = questions.map((question) => ({ question, now_ms }));
    const may = { active: false, candidate: false };
    for (let at = 0; at < timed.length && !may.candidate; at += AT_ONCE) {
      const answers = await context.ask(timed.slice(at, at + AT_ONCE));
      for (const side of SIDES) may[side] ||= answers.some((each) => each[side].effect !== 'deny');
    }
    if (may.active && !may.candidate) warnings.push({ code, detail });
  }
  return warnings;
}

/** Persons as last seen, without those who can do nothing until a revocation is lifted. */
async function activePersons({
  read,
  revocations,
}: Pick<CheckContext, 'read' | 'revocations'>): Promise<Principal[]> {
  const persons = (await listPrincipals(read)).filter(({ kind }) => kind === 'person');
  return revocations.unblocked(
    read,
    persons.map(({ principal }) => JSON.parse(principal) as Principal),
  );
}
