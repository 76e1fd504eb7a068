import type { Command } from 'commander';
import type { Cli, CommonOptions } from './cli.ts';
import type { Client } from './client.ts';
import { EXIT } from './exit-codes.ts';
import { moment, pathSegment, table } from './text.ts';

/** One of one's own open sessions in browsers, as `GET /v1/sessions` answers them. */
export interface BrowserSession {
  id: string;
  issuer: string;
  opened_ms: number;
  seen_ms: number;
  expires_ms: number;
  user_agent: string | null;
  /** Whether it is the one that asks. */
  current: boolean;
}

/** `sessions list` and `sessions end`. */
export function registerSessions(program: Command, cli: Cli): void {
  const sessions = program.command('sessions').description('your sessions in browsers');
  cli.command(sessions, 'list', 'list those that are open').action((options: CommonOptions) =>
    cli.run(options, async (context) => {
      const items = await listSessions(context.client);
      context.print({ items }, () =>
        items.length === 0 ? 'There are none.' : table(HEAD, items.map(toRow)),
      );
      return EXIT.done;
    }),
  );
  cli.command(sessions, 'end <id>', 'end one at once').action((id: string, options: CommonOptions) =>
    cli.run(options, async (context) => {
      await endSession(context.client, id);
      context.print({ id, ended: true }, () => `Session ${id} has ended.`);
      return EXIT.done;
    }),
  );
}

/** One's own open sessions. @throws CliError with the problem that the broker answered */
export async function listSessions(client: Client): Promise<BrowserSession[]> {
  const { body } = await client.call<{ items: BrowserSession[] }>({ method: 'GET', path: '/v1/sessions' });
  return body.items;
}

/** Ends one of one's own sessions. @throws CliError with the problem that the broker answered */
export async function endSession(client: Client, id: string): Promise<void> {
  await client.call<unknown>({ method: 'DELETE', path: `/v1/sessions/${pathSegment(id)}` });
}

const HEAD = ['ID', 'OPENED', 'SEEN', 'ENDS', 'ISSUER', 'BROWSER'] as const;

function toRow({
  id,
  opened_ms,
  seen_ms,
  expires_ms,
  issuer,
  user_agent,
  current,
}: BrowserSession): string[] {
  return [
    current ? `${id} (this one)` : id,
    moment(opened_ms),
    moment(seen_ms),
    moment(expires_ms),
    issuer,
    user_agent ?? 'unknown',
  ];
}
