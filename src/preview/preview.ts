import type { EvaluationContext } from '../data/conditions.ts';
import { evaluate } from '../data/evaluate.ts';
import type { FlagDefinition, FlagState } from '../flags/model.ts';
import { initialStateOf } from '../flags/plan.ts';
import { canonicalJson } from '../json.ts';
import type { ChangeRequest } from '../requests/request.ts';
import { findDefinitionVersion, findStateVersion } from '../store/flags.ts';
import type { Db } from '../store/statement.ts';
import type { Preview } from './view.ts';

type Previewed = Preview['results'][number]['flags'][number];
type Previewable = Pick<ChangeRequest, 'plan' | 'environment' | 'digest'>;

/** A flag as it is evaluated. */
interface Evaluable {
  definition: FlagDefinition;
  state: FlagState;
}

/** A flag in one environment before and after a request; null where it is not served. */
export interface Compared {
  flag: string;
  environment: string;
  before: Evaluable | null;
  after: Evaluable | null;
}

/**
 * What contexts are served before and after a request, by the versions that it is based on and by what it would write. What
 * happened since, also that it was applied, changes nothing.
 */
export async function previewRequest(
  db: Db,
  request: Previewable,
  { contexts, now_ms }: { contexts: readonly EvaluationContext[]; now_ms: number },
): Promise<Preview> {
  const compared = await compare(db, request);
  const results = contexts.map((context) => ({
    flags: compared.map(({ flag, environment, ...sides }): Previewed => {
      const before = serve(sides.before, context, now_ms);
      const after = serve(sides.after, context, now_ms);
      const changed = canonicalJson(before?.value ?? null) !== canonicalJson(after?.value ?? null);
      return { flag, environment, before, after, changed: changed || (before === null) !== (after === null) };
    }),
  }));
  const changed = results.filter(({ flags }) => flags.some((flag) => flag.changed)).length;
  return { digest: request.digest, results, changed };
}

/** What a context is served; null if the flag is not. */
export function serve(
  flag: Evaluable | null,
  context: EvaluationContext,
  nowMs: number,
): Previewed['before'] {
  if (flag === null) return null;
  const { variant, value, reason } = evaluate({ ...flag, context, now_ms: nowMs });
  return { variant, value, reason };
}

/** Each flag of a request, in each environment whose state it is based on. */
export async function compare(db: Db, { plan, environment }: Previewable): Promise<Compared[]> {
  const versions = new Map(plan.bases.map(({ of, version }) => [of, version]));
  const compared: Compared[] = [];
  for (const [flag, changes] of Map.groupBy(plan.changes, (change) => change.flag.key)) {
    const last = (scope: string) =>
      changes.findLast(({ facts }) => facts.scope === scope)?.after as FlagDefinition | FlagState | undefined;
    const base = await definitionAt(db, flag, versions.get(`definition:${flag}`) ?? 0);
    const next = (last('definition') as FlagDefinition | undefined) ?? base;
    const environments = plan.bases.flatMap(({ of }) => environmentIn(of, flag) ?? []);
    for (const each of environments) {
      const version = versions.get(`state:${flag}@${each}`) ?? 0;
      const state = await stateAt(db, { flag, environment: each, version });
      const own = each === environment ? (last('state') as FlagState | undefined) : undefined;
      const initial = base === null && next !== null ? initialStateOf(next) : null;
      compared.push({
        flag,
        environment: each,
        before: toEvaluable(base, state),
        after: toEvaluable(next, own ?? state ?? initial),
      });
    }
  }
  return compared;
}

/** The environment of a base that is a state of the flag; undefined for any other. */
function environmentIn(of: string, flag: string): string | undefined {
  const start = `state:${flag}@`;
  return of.startsWith(start) ? of.slice(start.length) : undefined;
}

function toEvaluable(definition: FlagDefinition | null, state: FlagState | null): Evaluable | null {
  return definition === null || definition.retired || state === null ? null : { definition, state };
}

async function definitionAt(db: Db, flag: string, version: number): Promise<FlagDefinition | null> {
  const row = version === 0 ? undefined : await findDefinitionVersion(db, { flag, version });
  return row === undefined ? null : (JSON.parse(row.definition) as FlagDefinition);
}

async function stateAt(
  db: Db,
  at: { flag: string; environment: string; version: number },
): Promise<FlagState | null> {
  const row = at.version === 0 ? undefined : await findStateVersion(db, at);
  return row === undefined ? null : (JSON.parse(row.state) as FlagState);
}
