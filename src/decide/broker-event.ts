import { canonicalJson, sha256Hex } from '../json.ts';
import type { Entry } from '../log/entry.ts';
import type { BrokerEventName } from '../operations.ts';
import { RESULT_VERSION } from '../policy/decision.ts';
import { schedulerPrincipal } from '../principal.ts';
import type { Reason } from '../reason.ts';

/** What the broker records by itself, without a decision of a policy. */
export interface BrokerEvent extends Pick<Entry, 'id' | 'at_ms'> {
  operation: BrokerEventName;
  effect: 'allow' | 'deny';
  because: Reason;
  /** The active policy. */
  policy_hash: string;
  /** The members of its input, besides the operation and the principal. */
  input: Readonly<Record<string, unknown>>;
}

/** The entry of an event. */
export function brokerEventEntry(event: BrokerEvent): Entry {
  const { id, at_ms, operation, effect, because, policy_hash, input } = event;
  const input_json = canonicalJson({ ...input, operation, principal: schedulerPrincipal });
  return {
    id,
    at_ms,
    operation,
    principal: schedulerPrincipal,
    environment: null,
    knows_environment: true,
    decision: {
      effect,
      reasons: [because],
      obligations: [],
      limits: {},
      versions: { input: null, result: RESULT_VERSION, guardrails: null },
      policy_hash,
      input_json,
      input_digest: `sha256:${sha256Hex(input_json)}`,
    },
    request: null,
    flags: [],
    correlation: { http_request_id: null, ticket: null, ci_run: null, token: null },
  };
}
