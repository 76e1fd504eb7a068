import { z } from 'zod';
import { type FlagDefinition, TIERS } from '../../flags/model.ts';
import type { GuardedResult } from '../../policy/guardrails.ts';
import type { Principal } from '../../principal.ts';
import { type FlagGroup, listFlagGroups } from '../../store/flags.ts';
import { type Both, type Check, type CheckContext, SIDES, type TimedQuestion } from './check.ts';
import { changeOf, changeSchema, requirementOf, requirementSchema } from './requirement.ts';
import { sampleChange, sampleQuestion, sampleRequest, unlimited } from './samples.ts';
import { proposersFor } from './whom.ts';

/** The most groups of flags that are asked about, those with the most flags first. */
const MAX_GROUPS = 500;
/** The most lines of the report. */
const MAX_LINES = 200;
/** The flags that a line names. */
const MAX_NAMES = 5;
/** The questions in one call. */
const AT_ONCE = 200;

const MOVEMENTS = ['raise', 'lower'] as const;
const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

const lineSchema = z.object({
  environment: z.string(),
  tier: z.enum(TIERS),
  namespace: z.string(),
  movement: z.enum(MOVEMENTS).meta({
    description: '`raise`: everybody gets the flag; `lower`: nobody does any more.',
  }),
  change: changeSchema,
  flags: z.int().meta({ description: 'How many flags it is so for.' }),
  names: z.array(z.string()).meta({ description: 'Some of them.' }),
  before: requirementSchema,
  after: requirementSchema,
});
type Line = z.infer<typeof lineSchema>;

/** What changes of existing flags would require. */
export const flagsDiffSchema = z
  .object({
    lines: z.array(lineSchema),
    flags: z.int().meta({ description: 'How many flags there are.' }),
    left_out: z.int().meta({ description: 'Further groups of flags, or lines, that are not shown.' }),
  })
  .meta({ id: 'FlagsDiff' });
export type FlagsDiff = z.infer<typeof flagsDiffSchema>;

/**
 * What a change of an existing flag requires under both policies, when somebody who may propose it switches it on for
 * everybody, or off. Flags of one namespace, tier, kind and owner are alike.
 */
export const flagsCheck: Check<FlagsDiff> = {
  run: async (context) => compareFlags(context, await listFlagGroups(context.read, MAX_NAMES)),
  worse: (approved, present) => {
    const known = new Set(approved.lines.map(transitionOf));
    const more = present.lines.filter((line) => line.change === 'allowed' && !known.has(transitionOf(line)));
    return more.length === 0
      ? null
      : `changes of flags need nobody any more: ${more.map(describe).join('; ')}`;
  },
  isNothing: ({ lines, left_out }) => lines.length + left_out === 0,
};

/** Whether a flag of such a line was shown before. Which namespaces have flags changes every day. */
function transitionOf({ environment, tier, movement, change }: Line): string {
  return JSON.stringify([environment, tier, movement, change]);
}

function describe({ flags, tier, namespace, environment, movement }: Line): string {
  const what = movement === 'raise' ? 'on' : 'off';
  return `${flags} ${tier} in ${namespace}, ${environment}, switched ${what}`;
}

interface Case {
  group: FlagGroup;
  environment: string;
  movement: (typeof MOVEMENTS)[number];
}

/** Compares what changes of these flags require. */
export async function compareFlags(
  context: Pick<CheckContext, 'policies' | 'scope' | 'now_ms' | 'ask' | 'access' | 'advance'>,
  groups: readonly FlagGroup[],
): Promise<FlagsDiff> {
  const { policies, now_ms } = context;
  const { environments } = context.scope;
  const asked = groups.toSorted((a, b) => b.flags - a.flags).slice(0, MAX_GROUPS);
  const cases: Case[] = asked.flatMap((group) =>
    environments.flatMap((environment) => MOVEMENTS.map((movement) => ({ group, environment, movement }))),
  );
  const proposers = proposersFor(policies, await context.access([]));
  const asking = cases.map((of) => questionsOf(of, proposers, now_ms));
  const questions = asking.flat(2);
  const answers: Both<GuardedResult>[] = [];
  for (let at = 0; at < questions.length; at += AT_ONCE) {
    context.advance(at, questions.length);
    answers.push(...(await context.ask(questions.slice(at, at + AT_ONCE))));
  }
  context.advance(questions.length, questions.length);

  const lines = cases.flatMap((of, at): Line[] => {
    const own = (asking[at] ?? []).map(({ length }) => answers.splice(0, length));
    const [before, after] = SIDES.map((side) =>
      // Where nobody may propose under both, the last answers are those to who may under the candidate.
      requirementOf((side === 'active' ? own[0] : own.at(-1))?.map((each) => each[side]) ?? []),
    );
    const change = before === undefined || after === undefined ? null : changeOf(before, after);
    if (before === undefined || after === undefined || change === null) return [];
    const { namespace, tier, flags, names } = of.group;
    const { environment, movement } = of;
    return [
      { environment, tier: tier as Line['tier'], namespace, movement, change, flags, names, before, after },
    ];
  });
  const merged = merge(lines);
  return {
    lines: merged.slice(0, MAX_LINES),
    flags: groups.reduce((sum, { flags }) => sum + flags, 0),
    left_out: Math.max(0, groups.length - MAX_GROUPS) + Math.max(0, merged.length - MAX_LINES),
  };
}

/** As a principal who may propose it under both policies; or else as one for each. */
function questionsOf(
  { group, environment, movement }: Case,
  proposers: (place: { environment: string; namespace: string }) => Both<Principal>,
  nowMs: number,
): TimedQuestion[][] {
  const { namespace, tier, kind, owner, names } = group;
  const [key = 'sample'] = names;
  const flag = {
    ...{ key, namespace, owner },
    tier: tier as FlagDefinition['tier'],
    kind: kind as FlagDefinition['kind'],
  };
  const { active, candidate } = proposers({ environment, namespace });
  const asked = active.id === candidate.id ? [active] : [active, candidate];
  return asked.map((proposer) =>
    timesOf(nowMs).map((atMs) => {
      const principal = unlimited(proposer, atMs);
      const change = sampleChange(flag, movement);
      return {
        question: sampleQuestion('request.propose', principal, {
          environment: { key: environment, kind: 'unknown' },
          request: sampleRequest({ kind: 'flag.change', changes: [change] }, principal, atMs),
        }),
        now_ms: atMs,
      };
    }),
  );
}

/** Now, and in the night and at noon of the next Sunday in UTC: what windows keep back is seen while they are closed. */
function timesOf(nowMs: number): number[] {
  const midnight = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const sunday = midnight + (7 - new Date(midnight).getUTCDay()) * DAY_MS;
  return [nowMs, sunday + 3 * HOUR_MS, sunday + 12 * HOUR_MS];
}

function merge(lines: readonly Line[]): Line[] {
  const alike = Map.groupBy(lines, ({ flags: _, names: __, ...rest }) => JSON.stringify(rest));
  return [...alike]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, same]) => {
      const [first] = same;
      if (first === undefined) return [];
      return [
        {
          ...first,
          flags: same.reduce((sum, { flags }) => sum + flags, 0),
          names: same
            .flatMap(({ names }) => names)
            .sort()
            .slice(0, MAX_NAMES),
        },
      ];
    });
}

/** The report without flags in places that a reader may not see. */
export function seenFlags(
  report: FlagsDiff,
  maySee: (place: { environment: string; namespace: string }) => boolean,
): FlagsDiff {
  const lines = report.lines.filter(maySee);
  // The total would tell of the others.
  return lines.length === report.lines.length ? report : { ...report, lines, flags: 0, left_out: 0 };
}
