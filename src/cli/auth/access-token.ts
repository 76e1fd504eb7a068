import { sha256Hex } from '../../json.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import type { Credentials, KeptExchange, KeptSignIn, StoredCredentials } from './credentials.ts';
import { createProver, type Prover } from './dpop.ts';
import { exchangeToken } from './exchange.ts';
import { type ExchangeTokens, findExchangeTokens } from './exchange-tokens.ts';
import type { SignInAgain, SignInDemand } from './step-up.ts';

/** A kept token is not used in its last seconds: it could expire on the way. In milliseconds. */
const SAFETY_MS = 10_000;

/** What a call shows of who is calling. */
export interface Token {
  value: string;
  /** The key that the token is bound to, and the address that its proofs name; null for a bearer token. */
  bound: { prover: Prover; issuer: string } | null;
}

/** Where the calls of one command get their token from. */
export interface TokenSource {
  /** @throws CliError when there is none, or the exchange is refused */
  token(): Promise<Token>;
  /** Another token after the broker refused the former one, or null when there is no other. */
  renew(): Promise<Token | null>;
  /**
   * The token of a stronger sign-in by the same person, after the broker asked for one; null when the token in use is
   * that of a job, which nobody could sign in for.
   *
   * @throws CliError when nobody may be asked to sign in here, or the sign-in is not what was asked for
   */
  stepUp(demand: SignInDemand): Promise<Token | null>;
}

/**
 * The token for a broker. The first of these counts:
 *
 * 1. `COUNTERSIGN_TOKEN`, used as it is.
 * 2. The CI platform's token, for an agent with a delegation ({@link findExchangeTokens}), exchanged at the broker's token
 *    endpoint.
 * 3. The sign-in that `countersign login` kept.
 */
export function createTokenSource(deps: {
  io: Io;
  broker: string;
  credentials: Credentials;
  signInAgain: SignInAgain;
}): TokenSource {
  const { io, broker, credentials } = deps;
  let exchangedDigest: string | null = null;
  let current: Token | null = null;
  let signIn: KeptSignIn | null = null;

  async function exchangedToken(tokens: ExchangeTokens): Promise<Token> {
    const digest = digestOf(tokens);
    exchangedDigest = digest;
    const known = (await credentials.load(broker)).exchanges?.[digest];
    if (known !== undefined && isUsable(known)) return toToken(known);
    const fresh = await exchangeToken(io, broker, tokens);
    // A job whose home cannot be written has its token all the same; only the next command has to get another.
    await credentials.update(broker, (kept) => withExchange(kept, digest, fresh)).catch(() => undefined);
    return toToken(fresh);
  }

  function isUsable({ expires_ms }: KeptExchange): boolean {
    return expires_ms - SAFETY_MS > io.clock();
  }

  /** A token whose time is over goes, and its key with it. */
  function withExchange(kept: StoredCredentials, digest: string, fresh: KeptExchange): StoredCredentials {
    const usable = Object.entries(kept.exchanges ?? {}).filter(([, exchange]) => isUsable(exchange));
    return { ...kept, exchanges: { ...Object.fromEntries(usable), [digest]: fresh } };
  }

  function toToken({ access_token, bound }: KeptExchange): Token {
    if (bound === null) return bearer(access_token);
    const prover = createProver({ key: bound.key, clock: io.clock });
    return { value: access_token, bound: { prover, issuer: bound.issuer } };
  }

  async function find(): Promise<Token> {
    if (io.env.COUNTERSIGN_TOKEN) return bearer(io.env.COUNTERSIGN_TOKEN.trim());
    const tokens = await findExchangeTokens(io);
    if (tokens !== null) return exchangedToken(tokens);
    const { sign_in } = await credentials.load(broker);
    if (sign_in === undefined) throw notSignedIn(io, broker);
    if (sign_in.expires_ms <= io.clock()) throw signInExpired(broker);
    signIn = sign_in;
    return bearer(sign_in.id_token);
  }

  return {
    token: async () => {
      current ??= await find();
      return current;
    },
    renew: async () => {
      if (exchangedDigest === null) return null;
      const tokens = await findExchangeTokens(io);
      if (tokens === null || digestOf(tokens) === exchangedDigest) return null;
      current = await exchangedToken(tokens);
      return current;
    },
    stepUp: async (demand) => {
      if (signIn === null && !io.env.COUNTERSIGN_TOKEN) return null;
      signIn = await deps.signInAgain(signIn, demand);
      current = bearer(signIn.id_token);
      return current;
    },
  };
}

/** What a kept token is found by: the tokens themselves are not kept. */
function digestOf(tokens: ExchangeTokens): string {
  return sha256Hex(JSON.stringify(tokens));
}

function bearer(value: string): Token {
  return { value, bound: null };
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
