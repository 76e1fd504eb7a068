import type { ControlDeps } from '../decide/control.ts';
import type { SigningKeys } from '../keys/signing-keys.ts';
import { trustRulesOf } from '../trust/policy-rules.ts';
import { authorizeExchange } from './authorize-exchange.ts';
import { createExchange, type Exchange } from './exchange.ts';
import type { SubjectDeps } from './subject.ts';

/** Creates the exchange. Trust rules and hash come from one read of the active policy. */
export function openExchange(
  control: ControlDeps,
  deps: SubjectDeps & { signingKeys: SigningKeys },
): Exchange {
  return createExchange({
    ...deps,
    presentTrust: async () => {
      const policy = await control.policies.active(control.store.read);
      return { policy_hash: policy.hash, rules: trustRulesOf(policy) };
    },
    authorizeExchange: authorizeExchange(control),
  });
}
