import type { Command } from 'commander';
import type { StoredCredentials } from '../auth/credentials.ts';
import { isNamed } from '../auth/profiles.ts';
import { revokeRefreshToken } from '../auth/refresh.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';
import { ANSWER_TIMEOUT_MS, networkMeaning } from '../unreachable.ts';
import { endSession, listSessions } from './sessions.ts';

interface LogoutOptions extends CommonOptions {
  everywhere?: boolean;
}

/** `logout`. */
export function registerLogout(program: Command, cli: Cli): void {
  cli
    .command(program, 'logout', 'revoke the stored tokens of this broker and remove them')
    .option('--everywhere', 'also end your browser sessions')
    .action((options: LogoutOptions) =>
      cli.run(options, async (context) => {
        const { broker, credentials } = context;
        const named = isNamed(context) ? ` in the profile ${context.profile}` : '';
        const kept = await credentials.load(broker);
        // 1. End the sessions while there is still a sign-in to authorize it.
        const sessions_ended =
          options.everywhere === true ? await attempt(context, () => endAll(context)) : 0;
        // 2. Revoke the tokens: a copy would work until it expires.
        const revoked = await attempt(context, () => surrender(context, tokensOf(kept, context.io.clock())));
        // 3. End the sign-in at the provider, which would renew it for whoever has a copy.
        const provider = await attempt(context, () => endAtProvider(context, kept));
        // 4. Remove the local credentials, even if the previous steps failed.
        const removed = await credentials.remove(broker);

        context.print({ broker, removed, revoked: revoked ?? 0, sessions_ended: sessions_ended ?? 0 }, () =>
          removed ? `Signed out of ${broker}${named}.` : `Nothing was stored for ${broker}${named}.`,
        );
        return [revoked, sessions_ended, provider].includes(null) ? EXIT.error : EXIT.done;
      }),
    );
}

/** Runs one step of a sign-out. A failure is reported, returns null and does not stop the other steps. */
async function attempt(context: Context, part: () => Promise<number>): Promise<number | null> {
  try {
    return await part();
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    const { title, detail } = error.problem;
    context.note(`The sign-out is incomplete: ${printable(title)}. ${printable(detail)}`);
    return null;
  }
}

/** @returns the number of refresh tokens that were revoked */
async function endAtProvider({ io }: Context, { sign_in }: StoredCredentials): Promise<number> {
  if (sign_in?.refresh === undefined) return 0;
  await revokeRefreshToken(io, sign_in);
  return 1;
}

/** @returns the number of ended sessions */
async function endAll({ client }: Context): Promise<number> {
  const sessions = await listSessions(client);
  for (const { id } of sessions) await endSession(client, id);
  return sessions.length;
}

/** The stored tokens that have not expired. */
function tokensOf({ sign_in, exchanges }: StoredCredentials, nowMs: number): string[] {
  return [
    ...(sign_in === undefined ? [] : [{ token: sign_in.id_token, expires_ms: sign_in.expires_ms }]),
    ...Object.values(exchanges ?? {}).map(({ access_token, expires_ms }) => ({
      token: access_token,
      expires_ms,
    })),
  ]
    .filter(({ expires_ms }) => expires_ms > nowMs)
    .map(({ token }) => token);
}

/**
 * Revokes tokens at the broker. Possession of a token is sufficient.
 *
 * @returns the number of revoked tokens
 * @throws CliError when the broker does not revoke one
 * @see RFC 7009
 */
async function surrender({ io, broker }: Context, tokens: readonly string[]): Promise<number> {
  for (const token of tokens) {
    const status = await io
      .fetch(`${broker}/oauth/revoke`, {
        method: 'POST',
        body: new URLSearchParams({ token }),
        redirect: 'error',
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      })
      .then(
        async (response) => {
          await response.body?.cancel();
          return `status ${response.status}`;
        },
        (error: unknown) => `no response: ${networkMeaning(error) ?? (error as Error).message}`,
      );
    if (status !== 'status 200') throw notGivenUp(broker, status);
  }
  return tokens.length;
}

function notGivenUp(broker: string, status: string): CliError {
  return new CliError(EXIT.error, {
    code: 'not_given_up',
    title: 'The broker did not revoke the sign-in',
    detail: `${broker}/oauth/revoke gave ${status}. The sign-in was removed from this machine. If a copy may exist, have it revoked or wait until it expires.`,
  });
}
