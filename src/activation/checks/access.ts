import type { z } from 'zod';
import { canonicalJson, digestOf } from '../../json.ts';
import { ownPrincipals, type Principal } from '../../principal.ts';
import { listPrincipals } from '../../store/principals.ts';
import type { Db } from '../../store/statement.ts';
import { gainedSince, sideOf } from './access-lines.ts';
import { type AccessDiff, MAX_LINES } from './access-view.ts';
import { bindingChanges, changedRules } from './affected.ts';
import { type Both, type Check, type CheckContext, isSameModule, SIDES } from './check.ts';
import { type Difference, differencesOf } from './held-access.ts';
import { humanChanges } from './humans.ts';
import { type Answers, comparedPlaces } from './places.ts';
import { whomToAsk } from './whom.ts';

/** The number of principals that are asked about at a time. */
const AT_ONCE = 20;

/**
 * Who gains and who loses which operation, where. Both policies are asked about every known principal, those who are alike
 * once, and about whoever has one of the bindings and nothing else.
 */
export const accessCheck: Check<AccessDiff> = {
  run: async (context) => compareAccess(context, await knownPrincipals(context.read)),
  worse: (approved, present) => {
    const gained = gainedSince(approved, present);
    return gained.length === 0 ? null : `access was gained since the approval: ${gained.join('; ')}`;
  },
  // Without the claims of jobs: each run has its own, and with a busy pipeline no two checks would find the same state.
  stateOf: async (db) =>
    digestOf(
      (await knownPrincipals(db)).map(({ id, kind, person, issuer, groups, claims, token }) => [
        ...[
          id,
          kind,
          person,
          issuer,
          groups.toSorted(),
          kind === 'workload' ? null : claims,
          token.trust_rule,
        ],
      ]),
    ),
  isNothing: ({ gained, lost, trust_rules, persons, notes }) =>
    [gained, lost].every(({ principals, bindings }) => principals.length + bindings.length === 0) &&
    trust_rules.length + persons.length === 0 &&
    !notes.some(({ code }) => LEFT_OUT.includes(code)),
};

/** Notes that something was not compared, or that asking does not show it: other rules may wait for a person or a date. */
const LEFT_OUT: readonly string[] = ['namespaces_left_out', 'principals_left_out', 'other_module'];

/** What the comparison of access needs of a check. */
export type AccessContext = Pick<
  CheckContext,
  'policies' | 'scope' | 'now_ms' | 'ask' | 'access' | 'advance'
>;

/** Compares access, for these known principals. */
export async function compareAccess(
  context: AccessContext,
  principals: readonly Principal[],
): Promise<AccessDiff> {
  const { policies } = context;
  const answers = await context.access([]);
  const whom = whomToAsk(context, principals, answers);
  const { places, namespaces, left_out } = comparedPlaces(context, answers);
  const comparison = { places, proposerIn: whom.proposerIn };

  const total = whom.groups.length + whom.samples.length;
  async function differences(of: readonly Principal[], done: number): Promise<Difference[]> {
    const found: Difference[] = [];
    for (let at = 0; at < of.length; at += AT_ONCE) {
      context.advance(done + at, total);
      found.push(...(await differencesOf(context, comparison, of.slice(at, at + AT_ONCE))));
    }
    return found;
  }
  const found = {
    groups: await differences(
      whom.groups.map(({ one }) => one),
      0,
    ),
    samples: await differences(
      whom.samples.map(({ sample }) => sample),
      whom.groups.length,
    ),
  };
  context.advance(total, total);
  return {
    gained: sideOf('gained', whom, { found, namespaces }),
    lost: sideOf('lost', whom, { found, namespaces }),
    binding_changes: bindingChanges(policies)
      .slice(0, MAX_LINES)
      .map(({ source, before, after }) => ({ ...source, before: toJson(before), after: toJson(after) })),
    trust_rules: changedRules(policies).map((rule) => trustRuleChange(policies, rule)),
    persons: humanChanges(policies, principals),
    compared: {
      principals: principals.length,
      alike: whom.groups.length,
      bindings: whom.samples.length,
      places: places.length,
    },
    notes: notesOf({
      answers,
      isSame: isSameModule(policies),
      namespaces: left_out,
      subjects: whom.left_out,
    }),
  };
}

/** Every principal ever seen, and the broker's own. */
async function knownPrincipals(db: Db): Promise<Principal[]> {
  const seen = (await listPrincipals(db)).map((row) => JSON.parse(row.principal) as Principal);
  return [...new Map([...ownPrincipals, ...seen].map((principal) => [principal.id, principal])).values()];
}

function trustRuleChange(
  { active, candidate }: Both<CheckContext['policies']['active']>,
  rule: string,
): AccessDiff['trust_rules'][number] {
  const before = (active.broker.trust_rules[rule] ?? null) as Readonly<Record<string, unknown>> | null;
  const after = (candidate.broker.trust_rules[rule] ?? null) as Readonly<Record<string, unknown>> | null;
  const members = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])]
    .sort()
    .filter((name) => canonicalJson(before?.[name] ?? null) !== canonicalJson(after?.[name] ?? null));
  const change = before === null ? 'added' : after === null ? 'removed' : 'changed';
  return { rule, change, members, after: toJson(after) };
}

/** Data of a bundle, which is JSON. */
function toJson<T extends z.core.util.JSONType>(value: unknown): T {
  return value as T;
}

function notesOf({
  answers,
  isSame,
  namespaces,
  subjects,
}: {
  answers: Answers;
  isSame: boolean;
  namespaces: number;
  subjects: number;
}): AccessDiff['notes'] {
  const silent = SIDES.filter((side) => answers[side] === null);
  return [
    ...(silent.length === 0
      ? []
      : [
          {
            code: 'no_access_entry_point',
            detail: `The ${silent.join(' and the ')} policy has no entry point countersign/access. Bindings that its Rego takes from elsewhere than config/role_bindings are not compared.`,
          },
        ]),
    ...(isSame
      ? []
      : [
          {
            code: 'other_module',
            detail:
              'The rules themselves differ. Groups, claims and ids that are written in the Rego, and that nobody known has, are not found: read its source.',
          },
        ]),
    ...(namespaces === 0
      ? []
      : [
          {
            code: 'namespaces_left_out',
            detail: `${namespaces} more namespaces are not compared one by one.`,
          },
        ]),
    ...(subjects === 0
      ? []
      : [
          {
            code: 'principals_left_out',
            detail: `${subjects} more groups of principals and bindings are not compared, those first whom no changed binding names.`,
          },
        ]),
  ];
}
