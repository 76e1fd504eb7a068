import type { Intent } from '../decide/authorize.ts';
import type { ControlDeps } from '../decide/control.ts';
import { countRecentSessions } from '../emergency/state.ts';
import type { Policy } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';

/** What whoever asks beforehand has not written yet. */
const UNWRITTEN = { incident: '…', reason: '…' };

/**
 * A what-if about an operation without a request. Policies ask for the incident and the reason of an emergency, which nobody
 * has written yet: the answer is about everything else.
 */
export async function intentOf(
  { store }: Pick<ControlDeps, 'store'>,
  { principal, policy, now_ms }: { principal: Principal; policy: Policy; now_ms: number },
  asked: Required<Pick<Intent, 'operation' | 'environment' | 'namespace'>>,
): Promise<Intent> {
  const { operation, environment, namespace } = asked;
  switch (operation) {
    case 'freeze.engage': {
      const scope = namespace !== null ? 'namespace' : environment !== null ? 'environment' : 'all';
      return { ...asked, emergency: { engage: { scope, environment, namespace, flag: null, ...UNWRITTEN } } };
    }
    case 'breakglass.open': {
      const person = principal.person ?? principal.id;
      const breakglass_recent = await countRecentSessions(store.read, person, { policy, now_ms });
      const breakglass = { id: '…', opened_ms: now_ms, expires_ms: now_ms, ...UNWRITTEN };
      return { ...asked, emergency: { breakglass, breakglass_recent } };
    }
    case 'revocation.add':
    case 'revocation.preview':
      return { ...asked, revocation: { kind: 'token', value: '…', issued_before_ms: null, ...UNWRITTEN } };
    default:
      return asked;
  }
}
