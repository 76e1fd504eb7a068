import { sha256Hex } from '../../json.ts';
import { JWT_TYPE } from '../../tokens/exchange-form.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { moment } from '../output/text.ts';
import type { Credentials, KeptExchange, KeptSignIn, StoredCredentials } from './credentials.ts';
import { createProver } from './dpop.ts';
import { exchangeToken } from './exchange.ts';
import { type ExchangeTokens, findExchangeTokens } from './exchange-tokens.ts';
import { assertNotEnded, renewSignIn } from './refresh.ts';
import type { SignInAgain, SignInDemand } from './step-up.ts';
import type { Token } from './token.ts';

/** A stored token is not used within this time before its expiry, in milliseconds. It could expire in transit. */
const SAFETY_MS = 10_000;

/** Supplies the tokens for the calls of one command. */
export interface TokenSource {
  /** @throws CliError when there is no token, or the exchange is refused */
  token(): Promise<Token>;
  /**
   * What an exchange takes for this caller: the platform's token, or the sign-in of a person.
   *
   * @throws CliError when there is none
   */
  identity(): Promise<ExchangeTokens>;
  /**
   * When the token expires of a job that gets no other from its platform, in epoch milliseconds; null for every other
   * caller, and before the first call.
   */
  endsMs(): number | null;
  /** A new token after the broker refused the previous one, or null when there is none. */
  renew(): Promise<Token | null>;
  /**
   * The token of a stronger sign-in by the same person, after the broker required one. Null when the token in use
   * belongs to a job, which cannot sign in.
   *
   * @throws CliError when no interactive sign-in is possible here, or the sign-in does not meet the requirement
   */
  stepUp(demand: SignInDemand): Promise<Token | null>;
}

/**
 * Returns the token for a broker, from the first available source:
 *
 * 1. `COUNTERSIGN_TOKEN`, used as it is.
 * 2. The CI platform's token ({@link findExchangeTokens}), exchanged at the broker's token endpoint. An agent adds a
 *    delegation.
 * 3. The sign-in that `countersign login` stored, renewed if it has expired and the provider allows it.
 */
export function createTokenSource(deps: {
  io: Io;
  broker: string;
  credentials: Credentials;
  signInAgain: SignInAgain;
  note(line: string): void;
}): TokenSource {
  const { io, broker, credentials } = deps;
  let exchangedDigest: string | null = null;
  let current: Token | null = null;
  let exchangedUntilMs: number | null = null;
  let signIn: KeptSignIn | null = null;

  async function exchangedToken(tokens: ExchangeTokens): Promise<Token> {
    const digest = digestOf(tokens);
    exchangedDigest = digest;
    const known = (await credentials.load(broker)).exchanges?.[digest];
    if (known !== undefined && isUsable(known)) return toToken(known);
    const fresh = await exchangeToken(io, broker, tokens).catch((error: unknown) => {
      throw known !== undefined && isRefusedExchange(error) ? tokenUsed(known, error) : error;
    });
    // A job whose home folder is not writable still gets its token. The next command has to get a new one.
    await credentials.update(broker, (kept) => withExchange(kept, digest, fresh)).catch(() => undefined);
    return toToken(fresh);
  }

  function isUsable({ expires_ms }: KeptExchange): boolean {
    return expires_ms - SAFETY_MS > io.clock();
  }

  /** Removes expired tokens together with their keys. */
  function withExchange(kept: StoredCredentials, digest: string, fresh: KeptExchange): StoredCredentials {
    const usable = Object.entries(kept.exchanges ?? {}).filter(([, exchange]) => isUsable(exchange));
    return { ...kept, exchanges: { ...Object.fromEntries(usable), [digest]: fresh } };
  }

  function toToken({ access_token, bound, expires_ms }: KeptExchange): Token {
    exchangedUntilMs = expires_ms;
    if (bound === null) return bearer(access_token);
    const prover = createProver({ key: bound.key, clock: io.clock });
    return { value: access_token, bound: { prover, issuer: bound.issuer } };
  }

  async function find(): Promise<Token> {
    if (io.env.COUNTERSIGN_TOKEN) return bearer(io.env.COUNTERSIGN_TOKEN.trim());
    const tokens = await findExchangeTokens(io);
    if (tokens !== null) return exchangedToken(tokens);
    return ofSignIn(await presentSignIn());
  }

  async function presentSignIn(): Promise<KeptSignIn> {
    const { sign_in } = await credentials.load(broker);
    if (sign_in === undefined) throw notSignedIn(io, broker);
    assertNotEnded(io, broker, sign_in);
    return isExpired(sign_in) ? renewSignIn(deps, sign_in) : sign_in;
  }

  function ofSignIn(kept: KeptSignIn): Token {
    signIn = kept;
    return bearer(kept.id_token);
  }

  /** What can be renewed is renewed in time; what cannot is used to the end. */
  function isExpired({ expires_ms, refresh }: KeptSignIn): boolean {
    return expires_ms - (refresh === undefined ? 0 : SAFETY_MS) <= io.clock();
  }

  return {
    identity: async () => {
      const own = io.env.COUNTERSIGN_TOKEN?.trim();
      if (own) return ofJwt(own);
      return (await findExchangeTokens(io)) ?? ofJwt((await presentSignIn()).id_token);
    },
    endsMs: () => (io.env.ACTIONS_ID_TOKEN_REQUEST_URL ? null : exchangedUntilMs),
    token: async () => {
      current ??= await find();
      return current;
    },
    renew: async () => {
      // A sign-in that the broker refuses before it expires has been revoked.
      if (signIn !== null && signIn.refresh !== undefined && isExpired(signIn)) {
        current = ofSignIn(await renewSignIn(deps, signIn));
        return current;
      }
      if (exchangedDigest === null) return null;
      const tokens = await findExchangeTokens(io);
      if (tokens === null || digestOf(tokens) === exchangedDigest) return null;
      current = await exchangedToken(tokens);
      return current;
    },
    stepUp: async (demand) => {
      if (signIn === null && !io.env.COUNTERSIGN_TOKEN) return null;
      current = ofSignIn(await deps.signInAgain(signIn, demand));
      return current;
    },
  };
}

/** What takes precedence over a stored sign-in. */
const TAKES_PRECEDENCE = [
  'COUNTERSIGN_TOKEN',
  'ACTIONS_ID_TOKEN_REQUEST_URL',
  'COUNTERSIGN_SUBJECT_TOKEN',
  'COUNTERSIGN_SUBJECT_TOKEN_FILE',
] as const;

/** The variable of the environment whose token is used in place of a stored sign-in, or null. */
export function tokenOfEnvironment({ env }: Pick<Io, 'env'>): string | null {
  return TAKES_PRECEDENCE.find((name) => env[name]) ?? null;
}

/** The key under which an exchanged token is stored. The platform tokens themselves are not stored. */
function digestOf(tokens: ExchangeTokens): string {
  return sha256Hex(JSON.stringify(tokens));
}

function isRefusedExchange(error: unknown): boolean {
  return error instanceof CliError && error.problem.code === 'token_exchange_refused' && !error.transient;
}

/** The platform gives the job one token, and an earlier command of the job has used it. */
function tokenUsed({ expires_ms }: KeptExchange, cause: unknown): CliError {
  return new CliError(
    EXIT.error,
    {
      code: 'platform_token_used',
      title: 'The platform token of this job was used before',
      detail:
        `An earlier command of this job exchanged it, for a token that expired at ${moment(expires_ms)}. A platform token works once. ` +
        'Run this command before that, or give it a token of its own: on GitLab in a job of its own, or with a second entry in id_tokens whose value it gets as COUNTERSIGN_SUBJECT_TOKEN.',
    },
    { cause },
  );
}

function ofJwt(token: string): ExchangeTokens {
  return { subject_token: token, subject_token_type: JWT_TYPE };
}

function bearer(value: string): Token {
  return { value, bound: null };
}

function notSignedIn({ env }: Io, broker: string): CliError {
  const inActions = env.GITHUB_ACTIONS === 'true';
  return new CliError(
    EXIT.signIn,
    {
      code: 'not_signed_in',
      title: 'No token for this broker',
      detail: inActions
        ? 'Give the job the permission "id-token: write". GitHub Actions then issues it an ID token.'
        : `Sign in to ${broker}. In CI, set COUNTERSIGN_SUBJECT_TOKEN, COUNTERSIGN_SUBJECT_TOKEN_FILE or COUNTERSIGN_TOKEN.`,
    },
    inActions ? {} : { login: [] },
  );
}
