import * as client from 'openid-client';
import { BrokerError } from '../errors.ts';
import type { Providers } from './providers.ts';

/**
 * The address where a browser also ends its session at the provider. It has no `id_token_hint`, because the broker
 * stores no ID tokens. The provider asks the person instead.
 *
 * @returns null when the provider has no such endpoint, or does not respond: signing out here must not depend on it
 * @see OpenID Connect RP-Initiated Logout 1.0 section 2
 */
export async function endSessionUrl(
  { providers, publicUrl }: { providers: Providers; publicUrl: string },
  issuer: string,
): Promise<URL | null> {
  const found = providers.issuers.find((candidate) => candidate.issuer === issuer);
  if (found === undefined) return null;
  try {
    const config = await providers.open(found);
    if (config.serverMetadata().end_session_endpoint === undefined) return null;
    return client.buildEndSessionUrl(config, {
      client_id: found.web.client_id,
      post_logout_redirect_uri: `${publicUrl}/auth/signed-out`,
    });
  } catch (error) {
    if (error instanceof BrokerError) return null;
    throw error;
  }
}
