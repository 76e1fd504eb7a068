import { z } from 'zod';
import { gateSchema } from '../errors.ts';
import { inputChangeSchema } from '../flags/change-facts.ts';
import { epochMs } from '../moment.ts';
import { obligationSchema } from '../policy/decision.ts';
import { type Principal, principalSchema } from '../principal.ts';
import { reasonSchema } from '../reason.ts';
import { standingDemands } from './demands.ts';
import { type GateContext, requestGates } from './gates.ts';
import { receiptSchema } from './receipts.ts';
import { type ChangeRequest, counts, type StoredVote } from './request.ts';
import { isOpen, REQUEST_STATES } from './states.ts';

const digest = z.string();

/** A vote in an answer. */
const voteViewSchema = z
  .object({
    person: z.string(),
    principal: z.string(),
    digest,
    counts: z.boolean().meta({ description: 'False if it covers other content or is void.' }),
    comment: z.string().nullable(),
    at_ms: epochMs,
    voided_ms: epochMs.nullable().meta({
      description: 'When it became void because its person was disabled or revoked; otherwise null.',
    }),
  })
  .meta({ id: 'Vote' });

const { id, kind, person, issuer, claims, auth, token, started_by, act } = principalSchema.shape;

/** Who proposed a request, with the evidence of it, in an answer. */
const proposerViewSchema = z
  .object({
    ...{ id, kind, person, issuer },
    claims: claims.meta({
      description:
        'Of a workload or an agent: the verified claims that its trust rule passes on, such as the repository. Of a person: none.',
    }),
    auth: auth
      .pick({ level: true, auth_time_ms: true })
      .strip()
      .nullable()
      .meta({ description: 'The sign-in of a person; otherwise null.' }),
    trust_rule: token.shape.trust_rule,
    ...{ started_by, act },
  })
  .meta({ id: 'Proposer', description: 'Who proposed it, and what proved it then.' });

/** A change of a flag that a request makes, in an answer. */
export const plannedChangeSchema = inputChangeSchema.meta({ id: 'PlannedChange' });

/** A change request in an answer. All times are epoch milliseconds. */
export const requestViewSchema = z
  .object({
    id: z.string(),
    kind: z.string(),
    environment: z.string().nullable(),
    state: z.enum(REQUEST_STATES),
    revision: z.int(),
    digest: digest.meta({ description: 'The digest that an approval must name.' }),
    reason: z.string(),
    ticket: z.string().nullable(),
    apply: z.enum(['auto', 'manual']),
    start_ms: epochMs.nullable(),
    summary: z.string().nullable().meta({
      description: 'What applying it does; null for a change of flags, whose changes describe it.',
    }),
    changes: z.array(plannedChangeSchema),
    object: z
      .looseObject({ type: z.string() })
      .nullable()
      .meta({ description: 'The object of the request, by `type`; null for a change of flags.' }),
    bases: z
      .array(z.object({ of: z.string(), version: z.int() }))
      .meta({ description: 'The versions that it is based on. The digest covers them.' }),
    content: z.looseObject({ kind: z.string(), reason: z.string() }).meta({
      description:
        'The request as its authors wrote it, which the digest covers. `PATCH` replaces members of it, such as `changes`.',
    }),
    proposer: proposerViewSchema,
    authors: z
      .array(z.string())
      .meta({ description: 'The persons who wrote part of the current content. None of them may approve.' }),
    approvals: z.array(voteViewSchema),
    rejections: z.array(voteViewSchema),
    changes_requested: z.array(z.object({ person: z.string(), comment: z.string(), at_ms: epochMs })).meta({
      description:
        'Who asks for changes of the present content. Until they approve, they withdraw the comment, or the content changes, it is not applied.',
    }),
    created_ms: epochMs,
    updated_ms: epochMs,
    expires_ms: epochMs,
    standing: z
      .object({
        effect: z.enum(['allow', 'hold', 'deny']),
        reasons: z.array(reasonSchema).readonly(),
        obligations: z.array(obligationSchema).readonly(),
        policy_hash: z.string(),
        at_ms: epochMs,
        conflict: z
          .string()
          .optional()
          .meta({ description: 'What became worse, if that is why the request conflicted.' }),
      })
      .meta({ description: 'The latest decision on applying it, and the policy that made it.' }),
    decision_id: z.string(),
    gates: z.array(gateSchema),
    receipts: z.array(receiptSchema).optional().meta({
      description:
        'What was read back of an applied change of flags, by environment. Only where one request is read.',
    }),
  })
  .meta({ id: 'ChangeRequest' });
export type RequestView = z.infer<typeof requestViewSchema>;
type VoteView = z.infer<typeof voteViewSchema>;

/** Converts a request to its answer. */
export function toView(
  request: ChangeRequest,
  { votes, ...context }: GateContext & { votes: readonly StoredVote[] },
): RequestView {
  const { content, plan, proposer } = request;
  const view = (verdict: StoredVote['verdict']) =>
    votes.filter((vote) => vote.verdict === verdict).map((vote) => toVoteView(vote, request));
  return {
    id: request.id,
    kind: request.kind,
    environment: request.environment,
    state: request.state,
    revision: request.revision,
    digest: request.digest,
    reason: content.reason,
    ticket: content.ticket,
    apply: content.apply,
    start_ms: content.start_ms,
    summary: context.kinds.of(request.kind).sentence(plan),
    changes: plan.changes,
    object: plan.object,
    bases: plan.bases,
    content: { ...content },
    proposer: toProposerView(proposer),
    authors: request.authors,
    approvals: view('approve'),
    rejections: view('reject'),
    changes_requested: isOpen(request)
      ? standingDemands(request).map(({ person, comment, at_ms }) => ({ person, comment, at_ms }))
      : [],
    created_ms: request.created_ms,
    updated_ms: request.updated_ms,
    expires_ms: request.expires_ms,
    standing: request.standing,
    decision_id: request.decision_id,
    gates: requestGates(request, context),
  };
}

/** The claims of a person, such as their department, are for the policy: what they proposed needs none of them as evidence. */
function toProposerView({ id, kind, person, issuer, claims, auth, token, started_by, act }: Principal) {
  const { level, auth_time_ms } = auth;
  return {
    ...{ id, kind, person, issuer },
    claims: kind === 'person' ? {} : claims,
    auth: kind === 'person' ? { level, auth_time_ms } : null,
    trust_rule: token.trust_rule,
    ...(started_by === undefined ? {} : { started_by }),
    ...(act === undefined ? {} : { act }),
  };
}

function toVoteView(vote: StoredVote, request: ChangeRequest): VoteView {
  const { person, principal, comment, at_ms, voided_ms } = vote;
  return {
    person,
    principal: principal.id,
    digest: vote.digest,
    counts: counts(vote, request),
    comment,
    at_ms,
    voided_ms,
  };
}
