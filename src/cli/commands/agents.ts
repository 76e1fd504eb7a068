import type { Command } from 'commander';
import { OPERATIONS, operationsBy } from '../../operations.ts';
import type { DelegationAnswer } from '../../tokens/delegate.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { EXIT } from '../output/exit-codes.ts';
import { operationsHelp } from '../output/operations-help.ts';
import { moment, printable } from '../output/text.ts';

interface DelegateOptions extends CommonOptions {
  for?: string;
  operations?: string;
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

/** `agents delegate`. */
export function registerAgents(program: Command, cli: Cli): void {
  const agents = program.command('agents').description('manage agents, which act for people');
  cli
    .command(agents, 'delegate', 'let an agent act for you; prints the delegation token for the agent')
    .argument('<rule>', 'the trust rule of the agent')
    .option('--for <time>', 'lifetime, such as 90s, 15m or 1h; at most 1h', '15m')
    .option(
      '--operations <names>',
      'allowed operations, separated by commas (default: all that its rule grants)',
    )
    .addHelpText('after', AFTER)
    .addHelpText('after', operationsHelp(operationsBy('agent', OPERATIONS), OPERATIONS))
    .action((rule: string, options: DelegateOptions) =>
      cli.run(options, async (context) => {
        const { body } = await context.client.call<DelegationAnswer>({
          method: 'POST',
          path: '/v1/delegations',
          body: {
            agent: rule,
            expires_in_s: parseSeconds(options.for ?? '15m'),
            ...(options.operations === undefined ? {} : { operations: parseNames(options.operations) }),
          },
        });
        const until = moment(context.io.clock() + body.expires_in * 1000);
        const operations = printable(body.scope.replaceAll(' ', ', '));
        context.note(`${printable(rule)} may act for you until ${until}: ${operations}.`);
        context.note('Pass this token to the agent as COUNTERSIGN_DELEGATION_TOKEN. It is not shown again.');
        context.print(body, () => body.delegation_token);
        return EXIT.done;
      }),
    );
}

const AFTER = `
The agent never holds your own token. The delegation token is useless without the agent's platform token. The agent can
propose in your name what both you and its rule may. It never approves, and you cannot approve what it proposed. The
delegation ends when you sign out.`;

/** @throws CliError `usage` */
function parseSeconds(text: string): number {
  const [, count = '', unit = ''] = /^([1-9]\d{0,5})([smh])$/.exec(text) ?? [];
  const factor = SECONDS[unit];
  if (factor === undefined)
    throw usageError(`--for: invalid duration "${text}". Write it as 90s, 15m or 1h.`);
  return Number(count) * factor;
}

function parseNames(text: string): string[] {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length === 0) throw usageError('--operations: name at least one, such as request.propose.');
  return names;
}
