import { MeaningFault } from './fault.ts';
import type { Findings } from './findings.ts';
import type { LeafStage, LogRecord } from './leaf.ts';
import { movesOf } from './versions.ts';

/** The codes of an operator's activation. */
const FIRST_START = 'first_start';
const RECOVERED = 'policy_recovered';

/** Follows which policy is active in which stage. */
export interface ActivePolicies {
  /**
   * Verifies who decided a record, and then makes active what it activates.
   *
   * @throws MeaningFault
   */
  take(record: LogRecord, options: { complete: boolean }): void;
  /** The map of stages; null if no record says it. */
  stages(): readonly LeafStage[] | null;
  /** How many policies became active. */
  count(): number;
}

/** Every decision is made by the policy that an allowed activation, or an operator, made active for its stage. */
export function followPolicies(findings: Findings): ActivePolicies {
  let last: string | null = null;
  let stages: readonly LeafStage[] | null = null;
  const earlier = new Map<string, string>();
  // Stages in which something may have become active that no record names.
  const unsure = new Set<string>();
  let count = 0;

  function assertActive(record: LogRecord, complete: boolean): void {
    const { policy_hash, stage, place } = record;
    const isLast = stage === null || stages?.at(-1)?.name === stage;
    const active = isLast ? last : (earlier.get(stage) ?? last);
    if (active === policy_hash) return;
    if (!isLast && (unsure.has(stage) || !complete)) {
      findings.gap('stages_unknown', place);
      earlier.set(stage, policy_hash);
      unsure.delete(stage);
      return;
    }
    if (active === null && !complete) {
      last = policy_hash;
      return;
    }
    // Without a map, the name does not say whether it is the last stage.
    if (stages === null && !isLast && last === policy_hash) return;
    const where = stage === null ? '' : ` in the stage ${stage}`;
    throw new MeaningFault(
      'policy_not_active',
      place,
      `it was decided by the policy ${policy_hash}, and ${active ?? 'none'} is active${where}`,
    );
  }

  return {
    take: (record, { complete }) => {
      const { activates } = record;
      const isFirst = activates !== null && isOperators(record) && record.codes?.[0] === FIRST_START;
      if (!isFirst) assertActive(record, complete);
      assertStage(record, stages);
      if (activates === null) return;
      assertAllowed(record);
      if (isFirst && (last !== null || activates.hash !== record.policy_hash))
        throw new MeaningFault(
          'activation_not_allowed',
          record.place,
          'it says that it is the first start, but a policy is active already',
        );
      count += 1;
      if (activates.stage !== undefined) {
        earlier.set(activates.stage, activates.hash);
        unsure.delete(activates.stage);
        return;
      }
      last = activates.hash;
      // A record that does not name the stages was written before they were recorded, and so were the followers.
      if (activates.stages === null) for (const name of earlier.keys()) unsure.add(name);
      stages = activates.stages;
      for (const { stage, hash } of activates.followers ?? []) {
        earlier.set(stage, hash);
        unsure.delete(stage);
        count += 1;
      }
    },
    stages: () => stages,
    count: () => count,
  };
}

function isOperators({ request }: LogRecord): boolean {
  return request === null;
}

/** @throws MeaningFault if a stage decided that does not exist, or that does not decide what the record changes */
function assertStage(record: LogRecord, stages: readonly LeafStage[] | null): void {
  const { stage, place } = record;
  if (stages === null || stage === null) return;
  const owner = stages.at(-1)?.name;
  const own = stages.find(({ name }) => name === stage);
  if (own === undefined)
    throw new MeaningFault(
      'policy_not_active',
      place,
      `it was decided in the stage ${stage}, which does not exist`,
    );
  if (stage === owner) return;
  const isBroad = record.activates !== null || record.freeze !== null;
  const wrong = isBroad
    ? 'the whole installation'
    : movesOf(record).find(
        ({ environment }) => environment === null || !own.environments.includes(environment),
      )?.flag;
  if (wrong !== undefined)
    throw new MeaningFault(
      'policy_not_active',
      place,
      `the stage ${stage} decided about ${wrong}, which another stage decides`,
    );
}

/** An activation is an allowed request, or an operator's act, which has its own code. */
function assertAllowed(record: LogRecord): void {
  const { request, effect, codes, place } = record;
  const isAllowed =
    request === null
      ? codes?.length === 1 && [FIRST_START, RECOVERED].includes(codes[0] ?? '')
      : request.kind === 'policy.activate' && request.to === 'applied';
  if (!isAllowed || effect !== 'allow')
    throw new MeaningFault(
      'activation_not_allowed',
      place,
      'it activates a policy, and is neither an allowed activation nor an act of an operator',
    );
}
