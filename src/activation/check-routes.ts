import { z } from 'zod';
import { authorize, questionOf } from '../decide/authorize.ts';
import {
  type Call,
  type ControlDeps,
  EVERY_NAMESPACE,
  planContextOf,
  type WriteContext,
} from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { authorizeRead, readablePlaces } from '../decide/read.ts';
import type { Refused } from '../decide/refused.ts';
import { BrokerError } from '../errors.ts';
import { GOVERNED_WRITE, RECORDED_READ } from '../http/route.ts';
import { DIGEST_PATTERN } from '../json.ts';
import { epochMs } from '../moment.ts';
import type { Policy } from '../policy/policies.ts';
import { refuseBeforeCost } from '../requests/propose.ts';
import { findReport } from '../store/policy-reports.ts';
import { unknownName } from '../unknown-name.ts';
import { candidateOf } from './candidate.ts';
import type { Comparison } from './checks/checks.ts';
import { seenFlags } from './checks/flags.ts';
import { seenOpenRequests } from './checks/open-requests.ts';
import { SOMEBODY_ELSE } from './checks/questions.ts';
import { measuredSchema, reportDigest, reportSchema, spanSchema } from './checks/report.ts';
import type { CheckRun, CheckRuns } from './checks/runs.ts';
import { SAMPLE_OBJECTS, sampleQuestion, sampleRequest } from './checks/samples.ts';
import { faultOf } from './checks/told-runs.ts';
import { patchSchema } from './patch.ts';

/** The dependencies of {@link checkRoutes}. */
export interface CheckRoutesDeps {
  control: ControlDeps;
  runs: CheckRuns;
}

const hash = z.string().regex(DIGEST_PATTERN);

const reportViewSchema = z
  .object({
    digest: z.string().meta({ description: 'Of the report; requests are based on it.' }),
    report: reportSchema,
    measured: measuredSchema,
  })
  .meta({
    id: 'StoredPolicyReport',
    description:
      'The report has `access` and `next_activation`, with names, for those who may read who has access, or approve the activation of a policy.',
  });
type ReportView = z.infer<typeof reportViewSchema>;

const askedSchema = z
  .strictObject({
    policy_hash: hash.optional().meta({ description: 'A stored bundle. Either this or `patch`.' }),
    archive_digest: hash.optional(),
    patch: patchSchema.optional(),
    stage: z.string().max(100).optional().meta({ description: 'Default: the last one.' }),
    span: z
      .union([spanSchema, z.literal(['all', 'newest'])])
      .default('newest')
      .meta({ description: 'The records to replay: places of the log, all, or the newest ones.' }),
  })
  .refine(({ policy_hash, patch }) => (policy_hash === undefined) !== (patch === undefined), {
    message: 'either policy_hash or patch',
    path: ['policy_hash'],
  })
  .meta({ id: 'PolicyChecks' });

const runSchema = z
  .object({
    id: z.uuid(),
    state: z.enum(['running', 'done', 'failed']),
    started_ms: epochMs,
    progress: z
      .object({ step: z.string(), done: z.int(), total: z.int() })
      .nullable()
      .meta({ description: 'How much of the present step is done.' }),
    result: reportViewSchema.nullable(),
    fault: z
      .object({ code: z.string(), detail: z.string() })
      .nullable()
      .meta({ description: 'Why the checks ended without a report.' }),
  })
  .meta({ id: 'PolicyCheckRun' });
type RunView = z.infer<typeof runSchema>;

const { route } = routesFor<CheckRoutesDeps>({ tag: 'Policy', format: 'problem', since: '2.0' });

/** Reports of candidate policies, and checks without a proposal. */
export const checkRoutes = [
  route({
    name: 'getPolicyReport',
    operation: ['request.read', 'access.read'],
    method: 'GET',
    path: '/v1/policy/reports/{digest}',
    summary: 'what would change with a policy, as the request to activate it is approved',
    caller: 'any',
    outcomes: RECORDED_READ,
    params: z.object({ digest: hash }),
    success: 200,
    answer: reportViewSchema,
    handle: async ({ control }, { call, params: { digest }, write }) => {
      await authorizeRead(control, call, { operation: 'request.read', namespace: EVERY_NAMESPACE });
      const row = await findReport(control.store.read, digest);
      if (row === null) throw unknownName({ what: 'report', name: digest });
      const report = reportSchema.parse(JSON.parse(row.report));
      const measured = measuredSchema.parse(JSON.parse(row.measured));
      return { body: await shown(control, call, { digest, report, measured }, write) };
    },
  }),
  route({
    name: 'checkPolicy',
    operation: ['request.propose', 'access.read'],
    method: 'POST',
    path: '/v1/policy/checks',
    summary: 'start to check a policy without proposing it, for those who may propose it',
    caller: 'any',
    // Nothing is written. Who may propose nothing during a freeze has nothing checked either.
    outcomes: { ...GOVERNED_WRITE, frozen: 'refused', unwritable: 'allowed' },
    body: askedSchema,
    errors: ['not_found', 'invalid_change', 'state_conflict'],
    success: 202,
    answer: runSchema,
    location: ({ id }) => `/v1/policy/checks/${id}`,
    handle: async ({ control, runs }, { call, body: { span, ...asked }, write }) => {
      const place = { caller: callerOf(call) };
      try {
        const comparison = await write((writing) => comparisonOf(writing, asked, () => runs.take(place)));
        const run = await runs.start(place, comparison, span);
        return { body: await toRunView(control, call, run, write) };
      } finally {
        runs.giveUp(place);
      }
    },
  }),
  route({
    name: 'getPolicyChecks',
    operation: ['request.read', 'access.read'],
    method: 'GET',
    path: '/v1/policy/checks/{id}',
    summary: 'how far checks are that the caller started, and their report',
    caller: 'any',
    outcomes: RECORDED_READ,
    params: z.object({ id: z.uuid() }),
    success: 200,
    answer: runSchema,
    handle: async ({ control, runs }, { call, params: { id }, write }) => {
      await authorizeRead(control, call, { operation: 'request.read', namespace: EVERY_NAMESPACE });
      return { body: await toRunView(control, call, await runs.find(callerOf(call), id), write) };
    },
  }),
];

/** Whose runs they are: a person's, whatever account they use. */
function callerOf({ principal }: Call): string {
  return principal.person ?? principal.id;
}

type Write = <T>(work: (writing: WriteContext) => Promise<T | Refused>) => Promise<T>;

/**
 * What a caller asked to compare. Nothing is built or compiled for somebody who may not propose it, or for whom there is no
 * place.
 */
async function comparisonOf(
  writing: WriteContext,
  asked: Omit<z.infer<typeof askedSchema>, 'span'>,
  takePlace: () => void,
): Promise<Comparison | Refused> {
  const content = {
    kind: 'policy.activate' as const,
    ...asked,
    weakens_activation: true,
    reason: 'checks without a proposal',
    ticket: null,
    apply: 'manual' as const,
    start_ms: null,
  };
  const refusal = await refuseBeforeCost(writing, content, 'request.propose');
  if (refusal !== null) return refusal;
  takePlace();
  const { bundle, active, object } = await candidateOf(
    writing.tx,
    asked,
    planContextOf(writing, writing.call.principal),
  );
  return { candidate: bundle, active, stage: object.stage ?? null };
}

/**
 * What the caller may see of a report. Who gains, loses or has access is told to those alone who may read who has access, and
 * such a read is recorded; and to those who may approve the activation of a policy, because that is what they approve.
 */
async function shown(control: ControlDeps, call: Call, view: ReportView, write: Write): Promise<ReportView> {
  const { access, next_activation, open_requests, flags, ...report } = view.report;
  const maySeeRequests = await readablePlaces(control, call, 'request.read');
  const maySeeFlags = await readablePlaces(control, call, 'flag.read');
  const policy = await control.policies.active(control.store.read);
  const question = questionOf(policy, call.principal, { operation: 'access.read' });
  const isAsked = access !== undefined || next_activation !== undefined;
  const isReader = isAsked && policy.decide(question, control.clock()).effect === 'allow';
  if (isReader) await write((writing) => authorize(writing, { operation: 'access.read' }));
  const isTold = isReader || mayApprove(policy, call, control.clock());
  return {
    ...view,
    report: {
      ...report,
      ...(isTold && access && { access }),
      ...(isTold && next_activation && { next_activation }),
      ...(open_requests && { open_requests: seenOpenRequests(open_requests, maySeeRequests) }),
      ...(flags && { flags: seenFlags(flags, maySeeFlags) }),
    },
  };
}

/** Whether the caller may approve the activation of a policy that somebody else proposed. */
function mayApprove(policy: Policy, { principal }: Call, nowMs: number): boolean {
  const object = SAMPLE_OBJECTS['policy.activate']?.(null) ?? null;
  const request = sampleRequest({ kind: 'policy.activate', object }, SOMEBODY_ELSE, nowMs);
  return policy.decide(sampleQuestion('request.approve', principal, { request }), nowMs).effect !== 'deny';
}

async function toRunView(control: ControlDeps, call: Call, run: CheckRun, write: Write): Promise<RunView> {
  const { id, started_ms, progress, outcome } = run;
  const about = { id, started_ms, progress };
  if (outcome === null) return { ...about, state: 'running', result: null, fault: null };
  if (outcome instanceof BrokerError) {
    return { ...about, state: 'failed', result: null, fault: faultOf(outcome) };
  }
  const result = { digest: reportDigest(outcome.report), ...outcome };
  return { ...about, state: 'done', result: await shown(control, call, result, write), fault: null };
}
