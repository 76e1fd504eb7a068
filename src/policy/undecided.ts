import { canonicalJson, sha256Hex } from '../json.ts';
import type { Entry } from '../log/entry.ts';
import type { Reason } from '../reason.ts';
import { RESULT_VERSION } from './decision.ts';

/** What is recorded although no policy was asked. */
export interface Undecided {
  effect: 'allow' | 'deny';
  because: Reason;
  /** The active policy. */
  policy_hash: string;
  /** What it depended on. */
  input: Readonly<Record<string, unknown>>;
}

/** The members of an entry that no policy decided, and that belongs to no request and no call. */
export function undecided({
  effect,
  because,
  policy_hash,
  input,
}: Undecided): Pick<
  Entry,
  'environment' | 'knows_environment' | 'decision' | 'request' | 'flags' | 'correlation'
> {
  const input_json = canonicalJson(input);
  return {
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
