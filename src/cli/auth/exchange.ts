import { z } from 'zod';
import { ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE_GRANT } from '../../tokens/exchange-form.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { notABroker } from '../not-a-broker.ts';
import { EXIT } from '../output/exit-codes.ts';
import { retryAfterMs } from '../retry-after.ts';
import { ANSWER_TIMEOUT_MS, arrived, readJson } from '../unreachable.ts';
import type { KeptExchange } from './credentials.ts';
import { createProofKey, createProver, type ProofKey } from './dpop.ts';
import type { Token } from './token.ts';

/** The broker's metadata as an authorization server. RFC 8414 section 2 */
const metadataSchema = z.object({ issuer: z.url(), token_endpoint: z.url() });

const answerSchema = z.object({
  access_token: z.string().min(1),
  token_type: z.string(),
  /** Seconds. */
  expires_in: z.number().nonnegative().default(0),
});

/**
 * Exchanges a token for a token of the broker.
 *
 * @param tokens the `subject_token` with its type, and any other parameters of the exchange
 * @param isBound whether to bind it to a new key, of which each use then requires a proof; default yes
 * @throws CliError when the broker does not answer, refuses, or has another address than the one called
 * @see RFC 8693, RFC 9449 section 5
 */
export async function exchangeToken(
  { fetch, clock }: Pick<Io, 'fetch' | 'clock'>,
  broker: string,
  tokens: Readonly<Record<string, string>>,
  isBound = true,
): Promise<KeptExchange> {
  const { issuer, token_endpoint } = await findPublicAddress({ fetch }, broker);
  return requestToken(
    { fetch, clock },
    { broker, issuer, token_endpoint, tokens, isBound, key: await createProofKey() },
  );
}

/** The path of the token endpoint of each broker. */
const TOKEN_PATH = '/oauth/token';

/**
 * Exchanges a token for one that is bound to no key, at whatever address the broker is reached: without proofs, nothing has to
 * name its public one.
 *
 * @throws CliError as {@link exchangeToken}, but for the address
 */
export async function exchangeUnbound(
  io: Pick<Io, 'fetch' | 'clock'>,
  broker: string,
  tokens: Readonly<Record<string, string>>,
): Promise<KeptExchange> {
  const at = { broker, issuer: broker, token_endpoint: `${broker}${TOKEN_PATH}` };
  return requestToken(io, { ...at, tokens, isBound: false, key: await createProofKey() });
}

/**
 * Exchanges the token of a job for one that reads one request, for as long as policy lets it.
 *
 * @param token the job's token, which must be one from {@link exchangeToken}
 * @throws CliError as {@link exchangeToken}
 */
export async function followUp(
  io: Pick<Io, 'fetch' | 'clock'>,
  broker: string,
  { token, requestId }: { token: Token; requestId: string },
): Promise<{ token: Token; endsMs: number }> {
  const { issuer, token_endpoint } = await findPublicAddress(io, broker);
  const tokens = {
    subject_token: token.value,
    subject_token_type: ACCESS_TOKEN_TYPE,
    resource: `${issuer}/v1/requests/${requestId}`,
  };
  const key = token.bound?.prover.key ?? (await createProofKey());
  const isBound = token.bound !== null;
  const { access_token, expires_ms } = await requestToken(io, {
    broker,
    issuer,
    token_endpoint,
    tokens,
    isBound,
    key,
  });
  return { token: { value: access_token, bound: token.bound }, endsMs: expires_ms };
}

interface TokenRequest {
  broker: string;
  issuer: string;
  token_endpoint: string;
  tokens: Readonly<Record<string, string>>;
  isBound: boolean;
  key: ProofKey;
}

async function requestToken(
  { fetch, clock }: Pick<Io, 'fetch' | 'clock'>,
  { broker, issuer, token_endpoint, tokens, isBound, key }: TokenRequest,
): Promise<KeptExchange> {
  const prover = createProver({ key, clock });
  const body = new URLSearchParams({
    grant_type: TOKEN_EXCHANGE_GRANT,
    requested_token_type: ACCESS_TOKEN_TYPE,
    ...tokens,
  });
  const send = (proof: string | null): Promise<Response> =>
    fetch(token_endpoint, {
      method: 'POST',
      ...(proof === null ? {} : { headers: { dpop: proof } }),
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
  const proven = { method: 'POST', htu: token_endpoint, accessToken: null };
  const response = await arrived(broker, isBound ? prover.fetch(proven, send) : send(null));
  const document = (await readJson(broker, response)) ?? {};
  const answer = answerSchema.safeParse(document);
  if (!response.ok || !answer.success) throw exchangeRefused(response, document);
  const { access_token, token_type, expires_in } = answer.data;
  return {
    access_token,
    expires_ms: clock() + expires_in * 1000,
    // The token type tells whether the broker bound the token.
    bound: token_type.toLowerCase() === 'dpop' ? { key: prover.key, issuer } : null,
  };
}

/**
 * Returns the broker's own address, which proofs name. It must equal the address called. Otherwise a malicious server
 * could obtain proofs for another broker.
 */
async function findPublicAddress(
  { fetch }: Pick<Io, 'fetch'>,
  broker: string,
): Promise<z.infer<typeof metadataSchema>> {
  const address = `${broker}/.well-known/oauth-authorization-server`;
  const asking = { redirect: 'error', signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) } as const;
  const response = await arrived(broker, fetch(address, asking));
  const document = await readJson(broker, response);
  const parsed = metadataSchema.safeParse(document);
  if (!parsed.success) throw notABroker(address, 'where tokens are exchanged');
  const { issuer, token_endpoint } = parsed.data;
  const { origin } = new URL(broker);
  if (new URL(issuer).origin !== origin || new URL(token_endpoint).origin !== origin) {
    throw new CliError(EXIT.usage, {
      code: 'broker_address_mismatch',
      title: 'The broker has another address',
      detail: `The broker at ${broker} has the public URL ${issuer}, and accepts key-bound tokens only there. Use that URL with --broker or COUNTERSIGN_URL, or correct public_url in the configuration of the broker.`,
    });
  }
  return { issuer: issuer.replace(/\/+$/, ''), token_endpoint };
}

const RULE_HINT =
  "A trust rule of the policy must match this job, and a platform token works once: another command or container may have used it. The broker's log has the exact reason under the reference. A policy maintainer can find the mismatching claim with: countersign trust test";
/** A wrong clock is the usual cause of a refused proof. */
const CLOCK_HINT = 'Check the clock of this machine. A proof that is off by a minute is refused.';

/** What to do about a refusal; about most of them it is about the rule. */
const HINTS: Readonly<Record<string, string>> = {
  invalid_dpop_proof: CLOCK_HINT,
  invalid_target: 'Name another audience, such as data:production.',
};

function exchangeRefused(response: Response, document: unknown): CliError {
  const { status } = response;
  const { error, error_description } = (document ?? {}) as Record<string, unknown>;
  const said = typeof error_description === 'string' ? error_description : `status ${status}`;
  const transient = status >= 500 || status === 429;
  const ofRequest = HINTS[String(error)] ?? RULE_HINT;
  return new CliError(
    transient ? EXIT.error : EXIT.signIn,
    {
      code: 'token_exchange_refused',
      title: 'The broker did not exchange the token',
      detail: `${said}. ${transient ? 'Try again later.' : ofRequest}`,
      status,
      oauth_error: error ?? null,
    },
    { transient, retryAfterMs: retryAfterMs(response) },
  );
}
