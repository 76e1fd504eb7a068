import { type ControlDeps, EVERY_NAMESPACE } from '../decide/control.ts';
import { askingOf, assertEnvironment } from '../decide/names.ts';
import { readablePlaces } from '../decide/read.ts';
import { BrokerError } from '../errors.ts';
import type { Principal } from '../principal.ts';
import { listNamespaces } from '../store/flags.ts';
import { trustRulesOf } from '../trust/policy-rules.ts';
import { authorizeExchange } from './authorize-exchange.ts';
import { createExchange, type Exchange } from './exchange.ts';
import { type FollowDeps, followRequest } from './follow.ts';
import { GrantRefused } from './grant.ts';
import type { SubjectDeps } from './subject.ts';

/** Creates the exchange. Trust rules and hash come from one read of the active policy. */
export function openExchange(
  control: ControlDeps,
  deps: SubjectDeps & Pick<FollowDeps, 'signingKeys' | 'examine'>,
): Exchange {
  return createExchange({
    ...deps,
    presentTrust: async () => {
      const policy = await control.policies.active(control.store.read);
      return { policy_hash: policy.hash, rules: trustRulesOf(policy) };
    },
    readableNamespaces: async (principal, environment) => {
      const found = await readableNamespaces(control, principal, environment);
      if (found.length === 0) await explainEnvironment(control, principal, environment);
      return found;
    },
    followRequest: (asked) => followRequest({ ...deps, control }, asked),
    authorizeExchange: authorizeExchange(control),
  });
}

async function readableNamespaces(
  control: ControlDeps,
  principal: Principal,
  environment: string,
): Promise<string[]> {
  const call = { principal, credential: null, http_request_id: null };
  const isReadable = await readablePlaces(control, call, 'flag.read', { counts: false });
  if (isReadable({ environment, namespace: EVERY_NAMESPACE })) return [EVERY_NAMESPACE];
  const namespaces = await listNamespaces(control.store.read);
  return namespaces.filter((namespace) => isReadable({ environment, namespace }));
}

/** @throws GrantRefused `invalid_target` if there is no such environment, to a person who may read in some other one */
async function explainEnvironment(
  control: ControlDeps,
  principal: Principal,
  environment: string,
): Promise<void> {
  try {
    assertEnvironment(await askingOf(control, { principal }), environment, { pointer: '#/audience' });
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    // OAuth has no quotes in descriptions. RFC 6749 section 5.2
    throw new GrantRefused('invalid_target', error.message.replaceAll('"', ''));
  }
}
