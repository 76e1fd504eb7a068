import { z } from 'zod';
import { EVERY_NAMESPACE, type Place } from '../decide/control.ts';
import type { Plan } from '../decide/plan.ts';
import { epochMs } from '../moment.ts';
import type { Stage } from '../policy/stages.ts';
import type { Principal } from '../principal.ts';
import { findRequest, listVotes } from '../store/requests.ts';
import type { PolicyActivationsTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { promotionSchema } from './promotion.ts';
import { policySources } from './sources.ts';

/*
 * The history of activations: which policy became active where and when, who proposed and approved it, from which commit,
 * and after which activation of the stage before.
 */

/** How an activation came about; the members of the request's object are as they were approved. */
const changeSchema = z
  .object({
    proposed_by: z.string().meta({ description: 'The person; for a CI job, its principal.' }),
    approved_by: z.array(z.string()),
    ...policySources,
    promotes: promotionSchema.optional(),
    report: z
      .string()
      .nullable()
      .meta({ description: 'The digest of the report of its checks; null if there was none.' }),
  })
  .nullable()
  .meta({
    description: 'The change that made it active; null for an operator, and if you may not read its request.',
  });

/** An activation in an answer. */
export const activationSchema = z
  .object({
    number: z.int().meta({ description: 'Counts activations; the highest of each stage is active.' }),
    stage: z
      .string()
      .nullable()
      .meta({ description: 'The stage that it is of; null if one policy decides everything.' }),
    policy_hash: z.string(),
    archive_digest: z.string(),
    module: z.string().nullable().meta({
      description: 'The digest of its module, which promotions compare; null for older activations.',
    }),
    revision: z.string(),
    activated_ms: epochMs,
    decision_id: z.string().nullable(),
    request_id: z.string().nullable().meta({
      description:
        'The request that activated it; null for the first start and for a recovery by an operator.',
    }),
    change: changeSchema,
  })
  .meta({ id: 'PolicyActivation' });
export type ActivationView = z.infer<typeof activationSchema>;

/**
 * An activation with how it came about.
 *
 * @param context.stages the map of stages now, which names the last stage
 * @param context.isReadable whether the caller may read requests in a place
 */
export async function toActivationView(
  db: Db,
  row: PolicyActivationsTable & { revision: string },
  { stages, isReadable }: { stages: readonly Stage[]; isReadable: (place: Place) => boolean },
): Promise<ActivationView> {
  const { number, policy_hash, archive_digest, module, revision } = row;
  const { activated_ms, decision_id, request_id } = row;
  const isSeen = isReadable({ environment: null, namespace: EVERY_NAMESPACE });
  return {
    ...{ number, stage: row.stage ?? stages.at(-1)?.name ?? null, policy_hash, archive_digest, module },
    ...{ revision, activated_ms, decision_id, request_id },
    change: request_id === null || !isSeen ? null : await changeOf(db, request_id),
  };
}

/** What a request's plan says of an activation. */
const objectSchema = z.object({ ...policySources, promotes: promotionSchema.optional() });

async function changeOf(db: Db, requestId: string): Promise<ActivationView['change']> {
  const request = await findRequest(db, requestId);
  if (request === undefined) return null;
  const { id, person } = JSON.parse(request.proposer) as Principal;
  const { object, bases } = JSON.parse(request.plan) as Plan;
  const votes = await listVotes(db, requestId);
  const report = bases.find(({ of }) => of.startsWith(REPORT))?.of.slice(REPORT.length);
  return {
    proposed_by: person ?? id,
    approved_by: votes
      .filter(
        ({ verdict, digest, voided_ms }) =>
          verdict === 'approve' && digest === request.digest && voided_ms === null,
      )
      .map((vote) => vote.person),
    ...objectSchema.parse(object),
    report: report ?? null,
  };
}

/** The name of the base of a request that is the digest of its report. */
const REPORT = 'report:';
