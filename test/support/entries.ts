import { v7 as uuidv7 } from 'uuid';
import { brokerEventEntry } from '../../src/decide/broker-event.ts';
import { append } from '../../src/log/append.ts';
import type { Entry } from '../../src/log/entry.ts';
import { momentOf } from '../../src/store/batch.ts';
import { findActivation } from '../../src/store/policies.ts';
import type { Tx } from '../../src/store/statement.ts';
import type { Store } from '../../src/store/store.ts';
import { personOf } from './local-control.ts';

/** An entry of this moment, as a use case would append it. */
export function entryOf(tx: Tx, given: Partial<Entry> = {}): Entry {
  const at_ms = momentOf(tx);
  return {
    id: uuidv7({ msecs: at_ms }),
    at_ms,
    operation: 'decision.read',
    principal: personOf('dana', ['everybody']),
    environment: null,
    knows_environment: true,
    decision: {
      effect: 'allow',
      reasons: [{ code: 'role', detail: 'Because of a role.' }],
      obligations: [],
      limits: {},
      versions: { input: 1, result: 1, guardrails: 1 },
      policy_hash: 'sha256:policy',
      input_json: '{"some":"input"}',
      input_digest: 'sha256:input',
    },
    request: null,
    flags: [],
    correlation: { http_request_id: null, ticket: null, ci_run: null, token: null },
    ...given,
  };
}

/**
 * An entry that a stranger accepts in a broker's log: an event of the broker itself, since whatever a policy decided is
 * decided again. Before the first start, one of {@link entryOf}.
 */
export async function undecidedEntry(tx: Tx, given: Partial<Entry> = {}): Promise<Entry> {
  const active = await findActivation(tx);
  if (active === null) return entryOf(tx, given);
  const { id, at_ms } = entryOf(tx);
  const event = brokerEventEntry({
    id,
    at_ms,
    operation: 'denials.counted',
    // Of the events that tests append, only this one allows.
    effect: given.operation === 'snapshot.publish' ? 'allow' : 'deny',
    because: { code: 'denials_counted', detail: 'Denied 1 more call.' },
    policy_hash: active.policy_hash,
    input: { from_ms: at_ms, to_ms: at_ms, denials: [] },
  });
  return { ...event, ...given };
}

/** A request that erases a person, as it is applied. No policy decided it, so a stranger finds that it is forged. */
export function erasureEntry(tx: Tx, given: Partial<Entry> = {}): Promise<Entry> {
  const request = {
    id: uuidv7({ msecs: momentOf(tx) }),
    kind: 'person.erase',
    object: null,
    digest: `sha256:${'e'.repeat(64)}`,
    reason: 'they asked for it',
    authors: [],
    from: null,
    to: 'applied',
  } as const;
  return undecidedEntry(tx, { operation: 'request.propose', request, ...given });
}

/** Appends one entry in a write of its own. Unless a decision is given, it is an event of the broker. @returns its place */
export function appendTo(store: Store, given: Partial<Entry> = {}): Promise<number> {
  return store.writer.write(async (tx) =>
    append(tx, given.decision === undefined ? await undecidedEntry(tx, given) : entryOf(tx, given)),
  );
}
