import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { ANSWER_TIMEOUT_MS, networkMeaning } from '../unreachable.ts';
import { readTokenFile } from './token-file.ts';

/** The audience to request where the platform lets the job choose. */
const DEFAULT_AUDIENCE = 'countersign';

/**
 * Returns the CI platform's identity token for this job, or null outside of CI, from the first available source:
 *
 * 1. GitHub Actions: `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`; fetches a new token with the
 *    audience `COUNTERSIGN_AUDIENCE` (default `countersign`).
 * 2. `COUNTERSIGN_SUBJECT_TOKEN`: the token itself, such as a GitLab `id_tokens` variable of that name.
 * 3. `COUNTERSIGN_SUBJECT_TOKEN_FILE`: a file with the token, such as a projected Kubernetes token.
 *
 * @throws CliError when a source is configured but yields no token
 * @see docs.github.com, "OpenID Connect reference"
 */
export async function findPlatformToken(io: Pick<Io, 'env' | 'fetch'>): Promise<string | null> {
  const { env } = io;
  const url = env.ACTIONS_ID_TOKEN_REQUEST_URL;
  const requestToken = env.ACTIONS_ID_TOKEN_REQUEST_TOKEN;
  if (url && requestToken) {
    return fetchGitHubToken(io, {
      url,
      requestToken,
      audience: env.COUNTERSIGN_AUDIENCE || DEFAULT_AUDIENCE,
    });
  }
  if (env.COUNTERSIGN_SUBJECT_TOKEN) return env.COUNTERSIGN_SUBJECT_TOKEN.trim();
  if (env.COUNTERSIGN_SUBJECT_TOKEN_FILE) return readSubjectToken(env.COUNTERSIGN_SUBJECT_TOKEN_FILE);
  return null;
}

async function fetchGitHubToken(
  { fetch }: Pick<Io, 'fetch'>,
  { url, requestToken, audience }: { url: string; requestToken: string; audience: string },
): Promise<string> {
  try {
    const address = new URL(url);
    address.searchParams.set('audience', audience);
    const response = await fetch(address, {
      headers: { authorization: `bearer ${requestToken}`, accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    const { value } = (await response.json()) as { value?: unknown };
    if (typeof value !== 'string' || value === '') throw new Error('its response has no token');
    return value;
  } catch (error) {
    throw noToken(
      `GitHub Actions issued no ID token: ${networkMeaning(error) ?? (error as Error).message}.`,
      error,
    );
  }
}

async function readSubjectToken(file: string): Promise<string> {
  return readTokenFile(file).catch((error: Error) => {
    throw noToken(`COUNTERSIGN_SUBJECT_TOKEN_FILE cannot be read: ${error.message}.`, error);
  });
}

function noToken(detail: string, cause: unknown): CliError {
  return new CliError(
    EXIT.error,
    { code: 'platform_token_missing', title: 'No platform token', detail },
    { cause },
  );
}
