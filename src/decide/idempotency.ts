import { BrokerError } from '../errors.ts';
import { digestOf } from '../json.ts';
import { findAnswer, keepAnswer } from '../store/installation.ts';
import type { WriteContext } from './control.ts';
import { Refused } from './refused.ts';

/** An `Idempotency-Key` and the request that it was sent with. */
export interface IdempotencyKey {
  key: string;
  /** Digest over method, path and body. */
  fingerprint: string;
}

/** The answer to a POST; stored for retries if it succeeded. */
export interface KeptAnswer {
  status: number;
  body: unknown;
}

/**
 * Parses an `Idempotency-Key` header: a structured-field string, or the bare form that most clients send.
 *
 * @throws BrokerError `invalid_request` for an empty, long or unprintable key
 * @see draft-ietf-httpapi-idempotency-key-header-07
 */
export function parseIdempotencyKey(
  header: string | undefined,
  request: { method: string; path: string; body: unknown },
): IdempotencyKey | null {
  if (header === undefined) return null;
  const key = header.replace(/^"(.*)"$/, '$1');
  if (!/^[\x21-\x7e]{1,200}$/.test(key)) {
    throw new BrokerError('invalid_request', 'Idempotency-Key must be 1 to 200 visible ASCII characters.');
  }
  return { key, fingerprint: digestOf(request) };
}

/**
 * Answers a retried POST with the stored answer, so the work is done once. Keys are scoped to a principal. The look-up,
 * the work and storing the answer share one transaction, so exactly one of several simultaneous retries does the work.
 *
 * Only successes are stored: a refused call may succeed later.
 *
 * @returns the answer of `work`, or the stored one with `replayed`
 * @throws BrokerError `idempotency_key_reused` if the key was already used for another request
 */
export async function once(
  { tx, call, now_ms }: WriteContext,
  key: IdempotencyKey | null,
  work: () => Promise<KeptAnswer | Refused>,
): Promise<(KeptAnswer & { replayed?: true }) | Refused> {
  if (key === null) return work();
  const kept = await findAnswer(tx, call.principal.id, key.key);
  if (kept !== undefined) {
    if (kept.fingerprint !== key.fingerprint) {
      throw new BrokerError('idempotency_key_reused', 'Use a new Idempotency-Key for a different request.');
    }
    return { ...(JSON.parse(kept.body) as KeptAnswer), replayed: true };
  }
  const answer = await work();
  if (answer instanceof Refused) return answer;
  await keepAnswer(tx, {
    principal_id: call.principal.id,
    key: key.key,
    fingerprint: key.fingerprint,
    status: answer.status,
    body: JSON.stringify(answer),
    created_ms: now_ms,
  });
  return answer;
}
