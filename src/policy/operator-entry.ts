import { canonicalJson, sha256Hex } from '../json.ts';
import type { Entry } from '../log/entry.ts';
import { operatorPrincipal } from '../principal.ts';
import type { Reason } from '../reason.ts';
import { RESULT_VERSION } from './decision.ts';

/** What an operator does at the machine, which no policy decides. */
export interface OperatorAct
  extends Pick<Entry, 'id' | 'at_ms' | 'operation' | 'freeze' | 'activates' | 'follows'> {
  /** The active policy. */
  policy_hash: string;
  /** Why it is allowed without a policy. */
  because: Reason;
  /** The operator's own words, and further facts for people. */
  note?: Reason;
}

/** The entry of an operator's act: an allow that the broker gives by itself. */
export function operatorEntry(act: OperatorAct): Entry {
  const { id, at_ms, operation, policy_hash, because, ...effects } = act;
  const input_json = canonicalJson({ operation, principal: operatorPrincipal, policy_hash });
  return {
    id,
    at_ms,
    operation,
    principal: operatorPrincipal,
    environment: null,
    knows_environment: true,
    decision: {
      effect: 'allow',
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
    ...effects,
    correlation: { http_request_id: null, ticket: null, ci_run: null, token: null },
  };
}
