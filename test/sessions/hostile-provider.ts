import type { RequestListener } from 'node:http';
import { CLI_CLIENT_ID, WEB_CLIENT_ID } from '../../fixtures/identity/provider.ts';
import { createEs256Key, forge, startServer, type TestKey } from '../identity/support.ts';

/** What the token endpoint does next. */
export interface TokenAnswer {
  status?: number;
  /** Claims to change in the ID token; undefined takes one away. */
  claims?: Record<string, unknown>;
  header?: Record<string, unknown>;
  /** Signs with a key that the provider does not publish. */
  foreignKey?: boolean;
  /** The whole answer, instead of one with an ID token. */
  body?: unknown;
  headers?: Record<string, string>;
}

/** An OpenID provider that answers whatever a test tells it to. */
export interface HostileProvider {
  issuer: string;
  key: TestKey;
  /** Its entry in the broker's configuration: a public client. */
  config: Record<string, unknown>;
  /** Sets what the token endpoint answers to the next code; the nonce is that of the sign-in. */
  answer(answer: TokenAnswer & { nonce?: string | null }): void;
  /** The forms that the token endpoint has been sent. */
  codes: URLSearchParams[];
  /** The `Authorization` headers that the token endpoint has been sent. */
  authorizations: (string | undefined)[];
  /** Members to change in its metadata. */
  metadata: Record<string, unknown>;
  /** Signs a logout token, whose claims a test may change. */
  logoutToken(claims?: Record<string, unknown>, header?: Record<string, unknown>, key?: TestKey): string;
  close(): Promise<void>;
}

/** Starts it. @param clock seconds since the epoch that its tokens are issued at */
export async function startHostileProvider(
  clock: () => number,
  web: Record<string, unknown> = {},
): Promise<HostileProvider> {
  const key = createEs256Key('hostile-1');
  const foreign = createEs256Key('hostile-1');
  const metadata: Record<string, unknown> = {};
  const codes: URLSearchParams[] = [];
  const authorizations: (string | undefined)[] = [];
  let next: TokenAnswer & { nonce?: string | null } = {};
  let issuer = '';

  const listener: RequestListener = (request, response) => {
    const send = (status: number, body: unknown, headers: Record<string, string> = {}) =>
      response
        .writeHead(status, { 'content-type': 'application/json', ...headers })
        .end(typeof body === 'string' ? body : JSON.stringify(body));
    const { pathname } = new URL(request.url ?? '/', issuer);
    if (pathname === '/.well-known/openid-configuration') {
      send(200, {
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES256'],
        authorization_response_iss_parameter_supported: true,
        ...metadata,
      });
    } else if (pathname === '/jwks') {
      send(200, { keys: [key.publicJwk] });
    } else if (pathname === '/token') {
      let form = '';
      request.on('data', (chunk) => {
        form += String(chunk);
      });
      request.on('end', () => {
        codes.push(new URLSearchParams(form));
        authorizations.push(request.headers.authorization);
        const { status = 200, headers = {}, body } = next;
        send(status, body ?? tokens(), headers);
      });
    } else send(404, {});
  };
  const server = await startServer(listener);
  issuer = server.origin;

  function tokens() {
    const now = Math.floor(clock() / 1000);
    const claims = {
      iss: issuer,
      sub: 'dana',
      aud: WEB_CLIENT_ID,
      iat: now,
      exp: now + 300,
      auth_time: now,
      acr: 'urn:countersign:password',
      ...(next.nonce === null ? {} : { nonce: next.nonce }),
      ...next.claims,
    };
    const header = { alg: 'ES256', kid: key.kid, ...next.header };
    const id_token = forge(next.foreignKey === true ? foreign : key, header, claims);
    return { access_token: 'opaque', token_type: 'Bearer', expires_in: 300, id_token };
  }

  return {
    issuer,
    key,
    codes,
    authorizations,
    metadata,
    config: {
      key: 'hostile',
      issuer,
      allow_insecure_loopback: true,
      audience: [CLI_CLIENT_ID, WEB_CLIENT_ID],
      algorithms: ['ES256'],
      levels: { acr: { 'urn:countersign:password': 1, 'urn:countersign:mfa': 2 } },
      web: { client_id: WEB_CLIENT_ID, ...web },
      disjoint: true,
    },
    answer: (answer) => {
      next = answer;
    },
    logoutToken: (claims = {}, header = {}, signer = key) => {
      const now = Math.floor(clock() / 1000);
      return forge(
        signer,
        { alg: 'ES256', kid: key.kid, typ: 'logout+jwt', ...header },
        {
          iss: issuer,
          aud: WEB_CLIENT_ID,
          iat: now,
          exp: now + 120,
          jti: crypto.randomUUID(),
          events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
          sid: 'sid-1',
          ...claims,
        },
      );
    },
    close: server.close,
  };
}
