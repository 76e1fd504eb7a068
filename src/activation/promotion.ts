import { z } from 'zod';
import type { Plan } from '../decide/plan.ts';
import { BrokerError } from '../errors.ts';
import { epochMs } from '../moment.ts';
import type { Policy } from '../policy/policies.ts';
import { policyOfStage } from '../policy/staged-policy.ts';
import { identifier } from '../principal.ts';
import { findActivationByNumber, findEndOfModule, wasActiveIn } from '../store/policies.ts';
import { countDecisions } from '../store/records.ts';
import { findRequest } from '../store/requests.ts';
import type { PolicyActivationsTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { type Source, sourceSchema } from '../trust/source.ts';
import { policySources } from './sources.ts';

/*
 * Promotion: a module reaches a later stage only after it was active in the stage before it (docs/stages.md). Data is each
 * stage's own.
 */

/** More decisions than these are not counted: the count is made while other writes wait. */
const MAX_COUNTED = 10_000;

/** How a module stood the test of the earlier stage, as of the proposal. */
export const promotionSchema = z.strictObject({
  stage: identifier.meta({ description: 'The earlier stage.' }),
  activation: z.int().meta({ description: 'The number of the activation that the request names.' }),
  module: identifier.meta({ description: 'The digest of the module that is promoted.' }),
  since_ms: epochMs.meta({ description: 'When that activation was.' }),
  age_s: z.int().min(0).meta({
    description: 'How long the module was active there from then on, as of the proposal, in seconds.',
  }),
  decisions: z.int().min(0).meta({
    description: 'How many decisions it made there in that time; more than 10,000 are not counted.',
  }),
  source: sourceSchema.optional().meta({ description: 'The source of what was activated there.' }),
});
export type Promotion = z.infer<typeof promotionSchema>;

/** Where something is promoted to. */
interface Target {
  /** The stage, by its name. */
  name: string;
  /** The stage before it; null for the first stage. */
  before: string | null;
}

/**
 * The place of a stage in the map.
 *
 * @param stage null: the last one
 * @returns null if there is one stage for all
 */
export function targetOf(
  { broker: { stages } }: Pick<Policy, 'broker'>,
  stage: string | null,
): Target | null {
  const index = stage === null ? stages.length - 1 : stages.findIndex(({ name }) => name === stage);
  const found = stages[index];
  return found === undefined ? null : { name: found.name, before: stages[index - 1]?.name ?? null };
}

/** The named activation of the stage before. @throws BrokerError `invalid_change` if it is not one of that stage */
export async function findPromoted(
  db: Db,
  target: Target | null,
  number: number,
): Promise<PolicyActivationsTable & { stage: string; module: string }> {
  if (target === null)
    throw refused('The active policy has no stages, so nothing is promoted.', 'leave it out');
  const { name, before } = target;
  if (before === null) {
    throw refused(`"${name}" is the first stage, so nothing is promoted to it.`, 'leave it out');
  }
  const row = await findActivationByNumber(db, number);
  if (row === null || row.stage !== before || row.module === null) {
    throw refused(
      `What is promoted to "${name}" is an activation of the stage "${before}".`,
      `activation ${number} is none: GET /v1/policy/activations?stage=${before} lists them`,
    );
  }
  return { ...row, stage: before, module: row.module };
}

/**
 * The facts of a promotion. They are as of the proposal, so that what was approved is what is applied.
 *
 * @param proposed the plan as it was proposed, when the request is looked at again
 */
export async function factsOf(
  db: Db,
  { number, stage, module, activated_ms, request_id }: Awaited<ReturnType<typeof findPromoted>>,
  { now_ms, proposed }: { now_ms: number; proposed?: Plan },
): Promise<Promotion> {
  const former = promotionSchema.safeParse((proposed?.object as { promotes?: unknown } | null)?.promotes);
  if (former.success && former.data.activation === number) return former.data;
  const to_ms = (await findEndOfModule(db, { number, stage, module })) ?? now_ms;
  const source = request_id === null ? undefined : await sourceOfRequest(db, request_id);
  return {
    stage,
    activation: number,
    module,
    since_ms: activated_ms,
    age_s: Math.max(0, Math.floor((to_ms - activated_ms) / 1000)),
    decisions: await countDecisions(db, { stage, from_ms: activated_ms, to_ms, limit: MAX_COUNTED }),
    ...(source !== undefined && { source }),
  };
}

/** Where an activated policy came from: of who uploaded it, or else of who proposed it. */
async function sourceOfRequest(db: Db, requestId: string): Promise<Source | undefined> {
  const request = await findRequest(db, requestId);
  if (request === undefined) return undefined;
  const { object } = JSON.parse(request.plan) as Plan;
  const { bundle_source, source } = z.object(policySources).parse(object);
  return bundle_source ?? source;
}

/**
 * Checks that a module may become active in a stage: in the first stage any may, in a later one a module that was promoted,
 * is active there, or was.
 *
 * @throws BrokerError `invalid_change` that names the way
 */
export async function assertMayReach(
  db: Db,
  { policy, stage, candidate }: { policy: Policy; stage: string | null; candidate: Policy },
  promoted: string | null,
): Promise<void> {
  const target = targetOf(policy, stage);
  if (target === null || target.before === null) return;
  const { module, hash: policy_hash } = candidate;
  if (module === policyOfStage(policy, stage).module) return;
  if (promoted !== null) {
    if (promoted === module) return;
    throw refused(
      'The bundle has another module than the activation that it promotes.',
      `its module is ${module}, and that of the activation ${promoted}`,
    );
  }
  if (await wasActiveIn(db, stage, { module, policy_hash })) return;
  throw new BrokerError('invalid_change', `The module of this policy is new to the stage "${target.name}".`, {
    errors: [
      {
        pointer: '#/policy_hash',
        detail: `activate it in "${target.before}" first, then promote that activation: name its number in \`promotes\``,
      },
    ],
  });
}

function refused(message: string, detail: string): BrokerError {
  return new BrokerError('invalid_change', message, { errors: [{ pointer: '#/promotes', detail }] });
}
