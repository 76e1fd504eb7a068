import { authorize } from '../decide/authorize.ts';
import type { ControlDeps } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { write } from '../decide/write.ts';
import { dataEnvironmentOf, MAX_ISSUED_LIFE_S } from '../identity/issued-token.ts';
import { claimToken } from '../store/installation.ts';
import type { ExchangeAuthorization, ExchangeDeps } from './exchange.ts';

/**
 * Decides `token.exchange`, records the decision, and claims the single use of the platform's token, all in one
 * transaction: of several concurrent uses of one token exactly one gets `issued`. If the active policy has changed
 * since the trust rule was found, nothing is done: a rule is valid only in its policy.
 */
export function authorizeExchange(control: ControlDeps): ExchangeDeps['authorizeExchange'] {
  return ({ principal, credential, singleUse, policy_hash }) =>
    write<ExchangeAuthorization>(
      control,
      { principal, credential, http_request_id: null },
      async (writing) => {
        const { hash } = writing.policy;
        if (hash !== policy_hash) return { answer: 'policy_changed', token_ttl_s: 0, policy_hash: hash };
        if (!(await claimToken(writing.tx, singleUse))) {
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
