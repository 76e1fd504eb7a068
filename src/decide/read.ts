import type { FlagDefinition } from '../flags/model.ts';
import type { PlainRead, SensitiveRead } from '../operations.ts';
import { isSensitive } from '../policy/data.ts';
import { authorize, type Intent, questionOf, useOf } from './authorize.ts';
import type { Call, ControlDeps, Place, WriteContext } from './control.ts';
import { Refused } from './refused.ts';
import { write } from './write.ts';

/** The subject of a plain read. */
type ReadIntent = Intent & { operation: PlainRead };

/**
 * Decides a plain read in the writing transaction. Only denials are recorded.
 *
 * @returns null if the caller may read, otherwise the refusal
 */
export async function refuseRead(writing: WriteContext, intent: ReadIntent): Promise<Refused | null> {
  const { policy, call, now_ms } = writing;
  const decision = policy.decide(questionOf(policy, call.principal, intent), now_ms);
  if (decision.effect === 'allow') return null;
  const authorized = await authorize(writing, intent);
  return authorized instanceof Refused ? authorized : null;
}

/**
 * Decides a plain read on committed state, without the writer. Only denials are recorded.
 *
 * @throws BrokerError `policy_denied`, with its record appended
 */
export async function authorizeRead(deps: ControlDeps, call: Call, intent: ReadIntent): Promise<void> {
  const policy = await deps.policies.active(deps.store.read);
  const decision = policy.decide(questionOf(policy, call.principal, intent), deps.clock());
  if (decision.effect === 'allow') {
    deps.events.used(useOf(call.principal, intent));
    return;
  }
  await write(deps, call, (writing) => authorize(writing, intent));
}

/**
 * What the caller may read, for answers that span several namespaces or environments. Everything else is omitted as if
 * it did not exist. Each place is decided once.
 *
 * @param options.counts false for what the caller did not ask for: it is no use of a permission
 */
export async function readablePlaces(
  deps: ControlDeps,
  call: Call,
  operation: PlainRead,
  { counts = true } = {},
): Promise<(place: Place) => boolean> {
  const policy = await deps.policies.active(deps.store.read);
  const known = new Map<string, boolean>();
  return ({ environment, namespace }) => {
    const name = `${namespace}@${environment}`;
    const found = known.get(name);
    if (found !== undefined) return found;
    const intent = { operation, environment, namespace };
    const question = questionOf(policy, call.principal, intent);
    const readable = policy.decide(question, deps.clock()).effect === 'allow';
    known.set(name, readable);
    if (readable && counts) deps.events.used(useOf(call.principal, intent));
    return readable;
  };
}

/** A flag in an answer. */
export interface ShownFlag extends Pick<FlagDefinition, 'key' | 'namespace' | 'tier'> {
  /** The version of its state in the environment of the read; without an environment, of its definition. */
  version: number;
}

/**
 * Records an allowed read that shows flags which the policy calls sensitive: once, whatever their number, and durably before
 * the answer. What it shows to a caller who was allowed to read is not recorded otherwise.
 *
 * @param intent where the read was allowed
 * @throws BrokerError `not_recorded`: nothing may be shown; `policy_denied` if the policy has changed in between
 */
export async function recordSensitive(
  deps: ControlDeps,
  call: Call,
  intent: Intent & { operation: SensitiveRead },
  shown: readonly ShownFlag[],
): Promise<void> {
  const { broker } = await deps.policies.active(deps.store.read);
  const sensitive = shown.filter((flag) => isSensitive(broker.recorded_reads, flag));
  if (sensitive.length === 0) return;
  const environment = intent.environment ?? null;
  const flags = sensitive.map(({ key, version }) => ({
    flag: key,
    environment,
    version_before: version,
    version_after: version,
    digest: null,
  }));
  await write(deps, call, (writing) => authorize(writing, { ...intent, flags }));
}
