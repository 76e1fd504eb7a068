import { type Intent, questionOf } from '../decide/authorize.ts';
import type { Call, ControlDeps, Place } from '../decide/control.ts';
import { askingOf, assertEnvironment, namedNamespace } from '../decide/names.ts';
import type { RequestContent } from '../decide/plan.ts';
import { authorizeRead } from '../decide/read.ts';
import { assertSeen } from '../decide/seen.ts';
import { BrokerError } from '../errors.ts';
import type { RecordV1 } from '../log/record.ts';
import type { Operation } from '../operations.ts';
import { explainHold, findOthers, grantingBindings } from '../policy/explain.ts';
import type { PolicyInput } from '../policy/input.ts';
import { NOT_REPLAYABLE, type NotReplayable } from '../policy/replay.ts';
import { type AskedQuestion, ask } from '../policy/variations.ts';
import { type Principal, schedulerPrincipal } from '../principal.ts';
import { askedAbout, askedOf } from '../requests/asked.ts';
import { requestGates, scopeOf } from '../requests/gates.ts';
import { namedRequest } from '../requests/named.ts';
import { findExisting } from '../requests/open-request.ts';
import { loadVotes } from '../requests/request.ts';
import { isOpen } from '../requests/states.ts';
import { readInputOf } from '../store/archived-inputs.ts';
import { listPrincipals } from '../store/principals.ts';
import { findReplayRow } from '../store/replays.ts';
import { unknownName } from '../unknown-name.ts';
import { type Draft, proposedDraft, seenDraft } from './draft.ts';
import { intentOf } from './power.ts';
import { type Explanation, type ExplanationView, toView } from './view.ts';
import { type As, resolveAs } from './who.ts';

/** Who asks for an explanation. */
export interface Reader {
  call: Call;
  /** Decides a recorded read. @throws BrokerError if it is not allowed */
  authorize(intent: Intent): Promise<void>;
}

/** A hypothetical question. */
export type WhatIf =
  | { as?: As | undefined; content: RequestContent }
  | { as?: As | undefined; operation: Operation; environment: string | null; namespace: string | null };

/** A question with its answer, before it is explained. */
type Subject = Pick<
  Explanation,
  'about' | 'environment' | 'request' | 'gates' | 'operation' | 'principal'
> & {
  plan?: Explanation['plan'];
  scope?: Explanation['scope'];
  asked: AskedQuestion;
  /** Whose bindings grant it, and what they are asked about. */
  granted: { principal: Principal; document: PolicyInput };
};

/**
 * Explains a recorded decision, under the policy that made it and as of its time.
 *
 * @throws BrokerError `policy_denied`, `not_found`, or `state_conflict` if it cannot be made again
 */
export async function explainDecision(
  deps: ControlDeps,
  reader: Reader,
  id: string,
): Promise<ExplanationView> {
  await reader.authorize({ operation: 'decision.read' });
  const { read } = deps.store;
  const row = await findReplayRow(read, id);
  if (row === undefined) throw unknownName({ what: 'decision', name: id });
  const recorded = await readInputOf(deps.store, row);
  if (recorded === null) throw notExplainable('erased', row.erased_by);
  if (row.schema_version === 0) throw notExplainable('record_version_0');
  const leaf = JSON.parse(row.leaf) as RecordV1;
  const { input, result, guardrails } = leaf.schema;
  if (input === null || guardrails === null) throw notExplainable('no_policy');
  const policy = await deps.policies.byHash(read, leaf.policy_hash);
  if (policy === null) throw notExplainable('bundle_missing');
  const versions = { input, result, guardrails };
  if (!policy.knows(versions)) throw notExplainable('version_unknown');
  const document = JSON.parse(recorded) as PolicyInput;
  return explain(deps, reader, {
    about: { type: 'decision', id },
    operation: leaf.operation,
    principal: document.principal,
    environment: document.environment?.key ?? null,
    request: null,
    gates: [],
    asked: { policy, versions, document },
    granted: { principal: document.principal, document },
  });
}

function notExplainable(code: NotReplayable, erasedBy: number | null = null): BrokerError {
  const by = erasedBy === null ? '' : ` The record at place ${erasedBy} says so.`;
  return new BrokerError('state_conflict', `${NOT_REPLAYABLE[code]}${by} It cannot be explained.`, {
    extra: { why: code },
  });
}

/**
 * Explains what keeps an open request from being applied now.
 *
 * @throws BrokerError `policy_denied`, `not_found`, or `request_closed`
 */
export async function explainRequest(
  deps: ControlDeps,
  reader: Reader,
  id: string,
): Promise<ExplanationView> {
  await assertSeen(deps, reader.call, await namedRequest(deps, id));
  const request = await findExisting(deps.store.read, id);
  if (!isOpen(request)) {
    throw new BrokerError(
      'request_closed',
      `The request is ${request.state}. Explain its last decision instead: ${request.decision_id}.`,
      { extra: { state: request.state, decision_id: request.decision_id } },
    );
  }
  const policy = await deps.policies.active(deps.store.read);
  const at = { policy, now_ms: deps.clock() };
  const votes = await loadVotes(deps.store.read, id);
  const about = { operation: 'request.apply', principal: schedulerPrincipal, request, votes } as const;
  const asked = await askedAbout(deps, at, about);
  const { proposer } = asked.document.request ?? request;
  // What the policy itself holds back is explained; these are what the request waits for besides.
  const besides = { ...request, standing: { ...request.standing, effect: 'hold', obligations: [] } } as const;
  return explain(deps, reader, {
    about: { type: 'request', id },
    operation: 'request.apply',
    principal: schedulerPrincipal,
    environment: request.environment,
    request: { path: `/v1/requests/${id}`, digest: request.digest },
    scope: scopeOf(request, deps.kinds),
    gates: requestGates(besides, { ...at, kinds: deps.kinds }),
    asked,
    granted: {
      principal: proposer,
      document: { ...asked.document, operation: 'request.propose', principal: proposer },
    },
  });
}

/**
 * Explains what the active policy would say, without asking for it: nothing is written but the record of what the caller
 * was told about others.
 *
 * @throws BrokerError `policy_denied` or `not_found` if the caller may not read there; `invalid_change` if the content
 *   cannot be carried out
 */
export async function explainWhatIf(
  deps: ControlDeps,
  reader: Reader,
  whatIf: WhatIf,
): Promise<ExplanationView> {
  const { call } = reader;
  const { as } = whatIf;
  if (as !== undefined) await reader.authorize({ operation: 'access.read' });
  const policy = await deps.policies.active(deps.store.read);
  const now_ms = deps.clock();
  const subject = {
    about: { type: 'what_if', id: null },
    request: null,
    gates: [] as Explanation['gates'],
  } as const;
  if ('operation' in whatIf) {
    const { operation, environment, namespace } = whatIf;
    await assertPlace(deps, call, { environment, namespace });
    await authorizeRead(deps, call, { operation: 'flag.read', environment, namespace });
    const principal = await resolveAs(deps, call.principal, as);
    const asking = { principal, policy, now_ms };
    const intent = await intentOf(deps, asking, { operation, environment, namespace });
    const asked = askedOf(policy, questionOf(policy, principal, intent), now_ms);
    const granted = { principal, document: asked.document };
    return explain(deps, reader, { ...subject, operation, principal, environment, asked, granted });
  }
  const { content } = whatIf;
  const context = { policy, now_ms, principal: call.principal };
  const seen = await seenDraft(deps, call, content, async () => ({
    ...context,
    principal: await resolveAs(deps, call.principal, as),
  }));
  return explain(deps, reader, { ...subject, ...(await proposal(deps, seen)) });
}

/**
 * Explains what the caller's own proposal would do and what the active policy would say to it. Nothing is proposed, and
 * nothing is written but the record of what the caller was told about others.
 *
 * @throws BrokerError as {@link explainWhatIf}, and where the proposal would be refused as invalid
 */
export async function explainPlan(
  deps: ControlDeps,
  reader: Reader,
  content: RequestContent,
): Promise<ExplanationView> {
  const policy = await deps.policies.active(deps.store.read);
  const context = { policy, now_ms: deps.clock(), principal: reader.call.principal };
  const seen = await seenDraft(deps, reader.call, content, async () => context);
  const judged = await proposal(deps, seen);
  const subject = { about: { type: 'what_if', id: null }, request: null } as const;
  const { effect, limits } = await ask(judged.asked, judged.asked.document);
  // Whoever would be denied is told nothing about faults of the content, as when they propose it.
  if (effect === 'deny') return explain(deps, reader, { ...subject, ...judged, gates: [] });
  const request = await proposedDraft(deps, context, content, limits);
  const { digest, plan } = request;
  const { changes, object, bases } = plan;
  const standing = { ...request.standing, effect, obligations: [] };
  const gates = requestGates({ ...request, standing }, { ...context, kinds: deps.kinds });
  return explain(deps, reader, {
    ...subject,
    ...(await proposal(deps, { request, context })),
    gates: gates.map((gate) => ({ ...gate, call: null })),
    plan: { digest, changes, object, bases, summary: deps.kinds.of(request.kind).sentence(plan) },
  });
}

/** Checks that a place exists and that the caller may see it. @throws BrokerError `policy_denied`, `not_found` */
async function assertPlace(deps: ControlDeps, call: Call, { environment, namespace }: Place): Promise<void> {
  const asking = await askingOf(deps, call);
  assertEnvironment(asking, environment, { pointer: '#/what_if/environment' });
  if (namespace === null) return;
  const about = { namespace, environment, pointer: '#/what_if/namespace' };
  await assertSeen(deps, call, await namedNamespace(asking.db, asking.policy, about));
}

async function proposal(
  deps: ControlDeps,
  { request, context }: Draft,
): Promise<Pick<Subject, 'operation' | 'principal' | 'environment' | 'asked' | 'granted' | 'scope'>> {
  const { principal } = context;
  const operation = 'request.propose';
  const asked = await askedAbout(deps, context, { operation, principal, request, votes: [] });
  const granted = { principal, document: asked.document };
  const scope = scopeOf(request, deps.kinds);
  return { operation, principal, environment: request.environment, asked, granted, scope };
}

async function explain(
  deps: ControlDeps,
  { call, authorize }: Reader,
  { asked, granted, plan = null, scope = [], ...subject }: Subject,
): Promise<ExplanationView> {
  const { document, policy } = asked;
  const mayKnow = await maySeeAccess(deps, call);
  if (mayKnow) await authorize({ operation: 'access.read' });
  const known = mayKnow ? await knownPrincipals(deps) : null;
  const answer = await ask(asked, document);
  const isOwn = granted.principal.id === call.principal.id;
  const bindings = mayKnow || isOwn ? await grantingBindings({ ...asked, document: granted.document }) : null;
  const { obligations, all_met } =
    answer.effect === 'hold'
      ? await explainHold(asked, answer.obligations, known)
      : { obligations: [], all_met: null };
  return toView({
    ...subject,
    plan,
    scope,
    at_ms: document.clock.now_ms,
    policy_hash: policy.hash,
    answer,
    granted_by:
      bindings === null ? null : bindings.map((binding) => ({ principal: granted.principal.id, ...binding })),
    obligations,
    all_met,
    who_could: answer.effect === 'deny' && known !== null ? await findOthers(asked, known) : null,
  });
}

/** Whether the caller may know who may do what. Asking that is no attempt to read it, so a denial is not recorded. */
async function maySeeAccess(deps: ControlDeps, { principal }: Call): Promise<boolean> {
  const policy = await deps.policies.active(deps.store.read);
  const question = questionOf(policy, principal, { operation: 'access.read' });
  return policy.decide(question, deps.clock()).effect === 'allow';
}

/** Every principal ever seen who is not revoked. */
async function knownPrincipals({ store, revocations }: ControlDeps): Promise<Principal[]> {
  const known: Principal[] = [];
  for (const row of await listPrincipals(store.read)) {
    const principal = JSON.parse(row.principal) as Principal;
    if (!(await revocations.latest().isBlocked(store.read, principal))) known.push(principal);
  }
  return known;
}
