import { authorize } from '../decide/authorize.ts';
import type { ControlDeps, WriteContext } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { write } from '../decide/write.ts';
import { dataEnvironmentOf, MAX_ISSUED_LIFE_S } from '../identity/issued-token.ts';
import type { Policy } from '../policy/policies.ts';
import { claimToken, type Repetition, repeatToken } from '../store/installation.ts';
import { exchangesUnder, type TrustRule } from '../trust/rules.ts';
import type { ExchangeAuthorization, ExchangeDeps } from './exchange.ts';
import type { SingleUse } from './subject.ts';

/**
 * Decides `token.exchange`, records the decision, and claims the use of the platform's token, all in one transaction: of
 * several concurrent uses of one token, exactly as many get `issued` as its rule allows. If the active policy has changed
 * since the trust rule was found, nothing is done: a rule is valid only in its policy.
 */
export function authorizeExchange(control: ControlDeps): ExchangeDeps['authorizeExchange'] {
  return ({ principal, credential, use, policy_hash }) =>
    write<ExchangeAuthorization>(
      control,
      { principal, credential, http_request_id: null },
      async (writing) => {
        const { hash } = writing.policy;
        if (hash !== policy_hash) return { answer: 'policy_changed', token_ttl_s: 0, policy_hash: hash };
        if (use !== null && !(await claimUse(writing, use, principal.token.audience))) {
          return { answer: 'replayed', token_ttl_s: 0, policy_hash: hash };
        }
        const authorized = await authorize(writing, { operation: 'token.exchange' });
        if (authorized instanceof Refused) return { answer: 'denied', token_ttl_s: 0, policy_hash: hash };
        // Flag reads are not decided individually, so the use is noted here.
        const environment = dataEnvironmentOf(principal.token.audience);
        if (environment !== null) {
          const use = { principal, operation: 'flag.read' as const, environment, namespaces: [] };
          writing.afterCommit(() => control.events.used(use));
        }
        const token_ttl_s = authorized.decision.limits.token_ttl_s ?? MAX_ISSUED_LIFE_S;
        return { answer: 'issued', token_ttl_s, policy_hash: hash };
      },
    );
}

/** Counts the use of a platform token. @returns false if it was used before, and its rule does not let it be used again */
function claimUse(
  { tx, policy }: WriteContext,
  { token, ruleName, rule }: { token: SingleUse; ruleName: string; rule: TrustRule },
  audience: string,
): Promise<boolean> {
  const repetition = repetitionOf(policy, { ruleName, rule, audience });
  return repetition === null ? claimToken(tx, token) : repeatToken(tx, token, repetition);
}

/**
 * What a platform token can be exchanged for again, under its rule; null if it works once. The issuer and the id of a token
 * stand for its subject.
 */
export function repetitionOf(
  policy: Pick<Policy, 'broker'>,
  { ruleName, rule, audience }: { ruleName: string; rule: TrustRule; audience: string },
): Repetition | null {
  const limit = exchangesUnder(rule, policy.broker.single_use);
  return limit === 1 ? null : { for: `${ruleName} ${audience}`, limit };
}
