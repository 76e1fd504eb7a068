import { sha256Hex } from '../json.ts';
import { ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE_GRANT } from '../tokens/exchange-form.ts';
import { CliError } from './cli-error.ts';
import type { Credentials } from './credentials.ts';
import { EXIT } from './exit-codes.ts';
import type { Io } from './io.ts';
import { findPlatformToken } from './platform-token.ts';
import { unreachable } from './unreachable.ts';

/** A kept token is not used in its last seconds: it could expire on the way. In milliseconds. */
const SAFETY_MS = 10_000;
const TIMEOUT_MS = 30_000;

/** Where the calls of one command get their token from. */
export interface TokenSource {
  /** @throws CliError when there is none, or the exchange is refused */
  token(): Promise<string>;
  /** Another token after the broker refused the former one, or null when there is no other. */
  renew(): Promise<string | null>;
}

/**
 * The token for a broker. The first of these counts:
 *
 * 1. `COUNTERSIGN_TOKEN`, used as it is.
 * 2. The CI platform's token ({@link findPlatformToken}), exchanged at the broker's `/oauth/token`.
 * 3. The sign-in that `countersign login` kept.
 *
 * @see RFC 8693
 */
export function createTokenSource(deps: { io: Io; broker: string; credentials: Credentials }): TokenSource {
  const { io, broker, credentials } = deps;
  let subjectDigest: string | null = null;
  let current: string | null = null;

  async function exchangedToken(subjectToken: string): Promise<string> {
    subjectDigest = sha256Hex(subjectToken);
    const { exchanged } = await credentials.load(broker);
    if (exchanged?.subject_digest === subjectDigest && exchanged.expires_ms - SAFETY_MS > io.clock()) {
      return exchanged.access_token;
    }
    const { access_token, expires_in } = await exchange(io, broker, subjectToken);
    const expires_ms = io.clock() + expires_in * 1000;
    // A job whose home cannot be written has its token all the same; only the next command has to get another.
    await credentials
      .save(broker, { exchanged: { subject_digest: subjectDigest, access_token, expires_ms } })
      .catch(() => undefined);
    return access_token;
  }

  async function find(): Promise<string> {
    if (io.env.COUNTERSIGN_TOKEN) return io.env.COUNTERSIGN_TOKEN.trim();
    const platformToken = await findPlatformToken(io);
    if (platformToken !== null) return exchangedToken(platformToken);
    const { sign_in } = await credentials.load(broker);
    if (sign_in === undefined) throw notSignedIn(io, broker);
    if (sign_in.expires_ms <= io.clock()) throw signInExpired(broker);
    return sign_in.id_token;
  }

  return {
    token: async () => {
      current ??= await find();
      return current;
    },
    renew: async () => {
      if (subjectDigest === null) return null;
      const platformToken = await findPlatformToken(io);
      if (platformToken === null || sha256Hex(platformToken) === subjectDigest) return null;
      current = await exchangedToken(platformToken);
      return current;
    },
  };
}

interface Exchanged {
  access_token: string;
  /** Seconds. */
  expires_in: number;
}

async function exchange({ fetch }: Io, broker: string, subjectToken: string): Promise<Exchanged> {
  let response: Response;
  try {
    response = await fetch(`${broker}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: TOKEN_EXCHANGE_GRANT,
        subject_token: subjectToken,
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        requested_token_type: ACCESS_TOKEN_TYPE,
      }),
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw unreachable(broker, error);
  }
  const answer = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  const { access_token, expires_in } = answer;
  if (response.ok && typeof access_token === 'string') {
    return { access_token, expires_in: typeof expires_in === 'number' ? expires_in : 0 };
  }
  throw exchangeRefused(response.status, answer);
}

function exchangeRefused(status: number, answer: Record<string, unknown>): CliError {
  const said = typeof answer.error_description === 'string' ? answer.error_description : `status ${status}`;
  return new CliError(
    status >= 500 ? EXIT.error : EXIT.denied,
    {
      code: 'token_exchange_refused',
      title: 'The broker did not take the platform token',
      detail: `${said}. A trust rule of the policy must match this job; the broker's log has the exact reason.`,
      status,
      oauth_error: answer.error ?? null,
    },
    { transient: status >= 500 },
  );
}

function notSignedIn({ env }: Io, broker: string): CliError {
  const inActions = env.GITHUB_ACTIONS === 'true';
  return new CliError(EXIT.denied, {
    code: 'not_signed_in',
    title: 'There is no token for this broker',
    detail: inActions
      ? 'Give the job the permission "id-token: write", so that GitHub Actions gives it an ID token.'
      : `Sign in to ${broker} with: countersign login. In CI set COUNTERSIGN_SUBJECT_TOKEN, COUNTERSIGN_SUBJECT_TOKEN_FILE or COUNTERSIGN_TOKEN.`,
  });
}

function signInExpired(broker: string): CliError {
  return new CliError(EXIT.denied, {
    code: 'sign_in_expired',
    title: 'The sign-in has expired',
    detail: `Sign in to ${broker} again with: countersign login`,
  });
}
