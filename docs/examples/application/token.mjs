import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/**
 * The token with which this process reads flags. It is renewed before it expires, from the identity that the platform gives
 * the process: a file on Kubernetes, otherwise the command `countersign token` (a job in CI, or your own sign-in).
 */
export function createTokenSource({ broker, audience, env = process.env, clock = Date.now, getToken }) {
  const get =
    getToken ??
    (env.COUNTERSIGN_SUBJECT_TOKEN_FILE
      ? () => exchange(broker, audience, env.COUNTERSIGN_SUBJECT_TOKEN_FILE)
      : () => byCommand(audience));
  let token = null;
  let renewing = null;

  async function renew() {
    const { access_token, expires_in } = await get();
    const nowMs = clock();
    token = {
      value: access_token,
      renewMs: nowMs + expires_in * 800,
      expiresMs: nowMs + expires_in * 1000,
    };
  }

  return {
    /** The current token, for a header. */
    current: () => token?.value ?? '',
    /** Waits until there is a token that can be used. While a token lives, a failure to renew it changes nothing. */
    ready: async () => {
      if (token !== null && clock() < token.renewMs) return;
      renewing ??= renew().finally(() => {
        renewing = null;
      });
      try {
        await renewing;
      } catch (error) {
        if (token === null || clock() >= token.expiresMs) throw error;
      }
    },
  };
}

/** Exchanges the platform's token (RFC 8693). Kubernetes replaces the file, so it is read each time. */
async function exchange(broker, audience, file) {
  const response = await fetch(`${broker}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: (await readFile(file, 'utf8')).trim(),
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      audience,
    }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`no token: ${answer.error_description ?? response.status}`);
  return answer;
}

async function byCommand(audience) {
  const run = promisify(execFile);
  const { stdout } = await run('countersign', ['token', '--audience', audience, '--json']);
  return JSON.parse(stdout);
}
