import type { IncomingMessage } from 'node:http';
import type { Namespaces } from './view.ts';

/** The environment of a token with the audience `data:<environment>`, and its namespaces: `*` for all. */
export interface DataReader {
  readonly environment: string;
  readonly namespaces: Namespaces;
  /** Whose token it is. The same object for the same token. */
  readonly principal: { readonly id: string };
  /** When the token expires, in epoch milliseconds: what lasts longer than a request ends then. Absent: never. */
  readonly expires_ms?: number;
  /** Whether the token is still not revoked. Never waits. Absent: it cannot be revoked. */
  readonly mayGoOn?: () => boolean;
}

/** A reader whose token is looked at again and again. */
export interface FollowedReader {
  readonly reader: DataReader;
  readonly endsAtMs: number;
  /** Whether the token is not revoked. It MUST NOT wait. */
  mayGoOn(): boolean;
}

/** How streams get to know readers. */
export interface ByToken {
  /** The token in the headers. @throws BrokerError without one, or with two */
  tokenOf(credentials: Credentials): string;
  /** Verifies a token without a proof of its key. @throws BrokerError as {@link AuthenticateReader} */
  follow(token: string): Promise<FollowedReader>;
}

/** The headers that may contain a token (OFREP allows both), and its proof. */
export interface Credentials {
  readonly authorization: string | undefined;
  readonly apiKey: string | undefined;
  /** The proof of a key-bound token, and the request that it must match. @see RFC 9449 */
  readonly dpop: string | undefined;
  readonly method: string;
  readonly target: string;
  /** The connection that they came on, which may have sent them before. */
  readonly connection: object;
}

/**
 * Authenticates the headers. A result that is available immediately MUST be a plain value, because a promise costs a turn of
 * the event loop on every request.
 *
 * @throws BrokerError when the token reads no environment, or when there are two tokens
 */
export type AuthenticateReader = (credentials: Credentials) => DataReader | Promise<DataReader>;

/** The credentials of a request. */
export function credentialsOf({ headers, method = '', url = '', socket }: IncomingMessage): Credentials {
  return {
    authorization: headers.authorization,
    apiKey: soleValue(headers['x-api-key']),
    dpop: soleValue(headers.dpop),
    method,
    target: url,
    connection: socket,
  };
}

/** Node joins repeated headers of these names, although its types also allow arrays. */
function soleValue(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
