import type { Command } from 'commander';
import type { StoredCredentials } from '../auth/credentials.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';
import { ANSWER_TIMEOUT_MS } from '../unreachable.ts';
import { endSession, listSessions } from './sessions.ts';

interface LogoutOptions extends CommonOptions {
  everywhere?: boolean;
}

/** `logout`. */
export function registerLogout(program: Command, cli: Cli): void {
  cli
    .command(
      program,
      'logout',
      'give up what is kept for this broker, so that copies are worth nothing, and forget it',
    )
    .option('--everywhere', 'also end your sessions in browsers')
    .action((options: LogoutOptions) =>
      cli.run(options, async (context) => {
        const { broker, credentials } = context;
        const kept = await credentials.load(broker);
        // 1. The sessions, as long as there is a sign-in to end them with.
        const sessions_ended =
          options.everywhere === true ? await attempt(context, () => endAll(context)) : 0;
        // 2. The tokens: a copy of one would work until it expires.
        const revoked = await attempt(context, () => giveUp(context, tokensOf(kept, context.io.clock())));
        // 3. What is kept here goes, whatever became of the rest.
        const removed = await credentials.remove(broker);

        context.print({ broker, removed, revoked: revoked ?? 0, sessions_ended: sessions_ended ?? 0 }, () =>
          removed ? `Signed out of ${broker}.` : `Nothing was kept for ${broker}.`,
        );
        return revoked === null || sessions_ended === null ? EXIT.error : EXIT.done;
      }),
    );
}

/** Does one part of a sign-out; null when it failed, which has been said, and does not keep the others from being done. */
async function attempt(context: Context, part: () => Promise<number>): Promise<number | null> {
  try {
    return await part();
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    const { title, detail } = error.problem;
    context.note(`Not everything was given up: ${printable(title)}. ${printable(detail)}`);
    return null;
  }
}

/** @returns how many sessions were ended */
async function endAll({ client }: Context): Promise<number> {
  const sessions = await listSessions(client);
  for (const { id } of sessions) await endSession(client, id);
  return sessions.length;
}

/** The kept tokens that still work. */
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
 * Gives tokens up at the broker: whoever holds one may.
 *
 * @returns how many
 * @throws CliError when the broker does not take one back
 * @see RFC 7009
 */
async function giveUp({ io, broker }: Context, tokens: readonly string[]): Promise<number> {
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
        () => 'no answer',
      );
    if (status !== 'status 200') throw notGivenUp(broker, status);
  }
  return tokens.length;
}

function notGivenUp(broker: string, status: string): CliError {
  return new CliError(EXIT.error, {
    code: 'not_given_up',
    title: 'The broker did not take the sign-in back',
    detail: `${broker}/oauth/revoke answered with ${status}. It is forgotten here; if somebody may have a copy, have it revoked, or wait until it expires.`,
  });
}
