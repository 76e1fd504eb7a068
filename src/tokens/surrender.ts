import { authorizeEnd } from '../decide/authorize.ts';
import type { Call, CallIds } from '../decide/control.ts';
import { write } from '../decide/write.ts';
import { BrokerError } from '../errors.ts';
import { nameAtIssuer } from '../identity/credential.ts';
import { TokenRefused } from '../identity/refusal.ts';
import { LEEWAY_S } from '../identity/verify-token.ts';
import { addRevocation } from '../revocation/add.ts';
import { liveToken, type TokenStatusDeps } from './live-token.ts';

/**
 * Surrenders a token on behalf of its holder. Possession is sufficient, because only the holder can present the token
 * and this only ends it. Afterwards every copy is refused everywhere. An invalid token changes nothing.
 *
 * @param httpRequestId for the record, whose principal is that of the token
 * @throws BrokerError `issuer_unavailable`, `not_recorded`
 * @see RFC 7009
 */
export async function surrenderToken(deps: TokenStatusDeps, token: string, ids: CallIds): Promise<void> {
  const live = await liveToken(deps, token);
  if (live === null) return;
  const { principal, credential } = live;
  const call: Call = { principal, credential, ...ids };
  try {
    await write(deps.control, call, async (writing) => {
      await authorizeEnd(writing, { operation: 'token.revoke' });
      return addRevocation(writing, {
        kind: 'token',
        value: nameAtIssuer(credential.issuer, credential.token_id),
        issued_before_ms: null,
        incident: '',
        reason: 'surrendered by its holder',
        cause: 'holder',
        expires_ms: credential.expires_ms + LEEWAY_S * 1000,
      });
    });
  } catch (error) {
    // Revoked concurrently, so nothing is left to do.
    if (error instanceof BrokerError && error.cause instanceof TokenRefused) return;
    throw error;
  }
}
