import type { Command } from 'commander';
import type { AnswerOf } from '../../routes.ts';
import type { SessionView } from '../../sessions/routes.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import type { Client } from '../client.ts';
import { EXIT } from '../output/exit-codes.ts';
import { moment, pathSegment, table } from '../output/text.ts';
import { fullId } from '../short-id.ts';

/** `sessions list` and `sessions end`. */
export function registerSessions(program: Command, cli: Cli): void {
  const sessions = program.command('sessions').description('manage your browser sessions');
  cli.command(sessions, 'list', 'list open sessions').action((options: CommonOptions) =>
    cli.run(options, async (context) => {
      const items = await listSessions(context.client);
      context.print({ items }, (columns) =>
        items.length === 0 ? 'No open sessions.' : table(HEAD, items.map(toRow), columns),
      );
      return EXIT.done;
    }),
  );
  cli
    .command(sessions, 'end <id>', 'end a session immediately')
    .action((text: string, options: CommonOptions) =>
      cli.run(options, async (context) => {
        const id = await fullId(context, 'session', text);
        await endSession(context.client, id);
        context.print({ id, ended: true }, () => `Session ${id} has ended.`);
        return EXIT.done;
      }),
    );
}

/** Lists the caller's open sessions. @throws CliError with the broker's problem */
export async function listSessions(client: Client): Promise<SessionView[]> {
  const { body } = await client.call<AnswerOf<'listSessions'>>({ method: 'GET', path: '/v1/sessions' });
  return body.items;
}

/** Ends one of the caller's sessions. @throws CliError with the broker's problem */
export async function endSession(client: Client, id: string): Promise<void> {
  await client.call<unknown>({ method: 'DELETE', path: `/v1/sessions/${pathSegment(id)}` });
}

const HEAD = ['ID', 'OPENED', 'SEEN', 'ENDS', 'ISSUER', 'BROWSER'] as const;

function toRow({ id, opened_ms, seen_ms, expires_ms, issuer, user_agent, current }: SessionView): string[] {
  return [
    current ? `${id} (this one)` : id,
    moment(opened_ms),
    moment(seen_ms),
    moment(expires_ms),
    issuer,
    user_agent || 'unknown',
  ];
}
