import { type Command, Option } from 'commander';
import type { AccessView, BindingView, GrantView } from '../../access/access.ts';
import { CAPABILITIES } from '../../operations.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { EXIT } from '../output/exit-codes.ts';
import { moment, printable, table } from '../output/text.ts';

interface AccessOptions extends CommonOptions {
  principal?: string;
  capability?: string;
  environment?: string;
  namespace?: string;
  unused?: boolean;
  unusedDays?: string;
}

/** `access list`: who may do what. */
export function registerAccess(program: Command, cli: Cli): void {
  const access = program.command('access').description('who can do what, by the active policy');
  cli
    .command(
      access,
      'list',
      'list what each known principal may do, by which binding, and when it was last used',
    )
    .option('--principal <id>', 'of this principal or person')
    .addOption(new Option('--capability <name>', 'of this kind').choices(CAPABILITIES))
    .option('--environment <key>', 'in this environment')
    .option('--namespace <name>', 'in this namespace')
    .option('--unused', 'only what nobody has used for long, and bindings that nobody uses')
    .option('--unused-days <days>', 'how many days without a use make a grant unused (default: 90)')
    .action((options: AccessOptions) =>
      cli.run(options, async (context) => {
        const { principal, capability, environment, namespace, unused, unusedDays } = options;
        const { body } = await context.client.call<AccessView>({
          method: 'GET',
          path: '/v1/access',
          query: {
            ...{ principal, capability, environment, namespace },
            unused: unused === true ? 'true' : undefined,
            unused_days: unusedDays,
          },
        });
        context.print(body, () => render(body));
        return EXIT.done;
      }),
    );
}

function render({ grants, bindings, unused_days, policy_hash }: AccessView): string {
  const idle = bindings.filter((binding) => binding.unused);
  return [
    table(['PRINCIPAL', 'MAY', 'ENVIRONMENT', 'NAMESPACE', 'BY', 'LAST USED'], grants.map(toRow)),
    '',
    `Bindings that nobody used for ${unused_days} days:${idle.length === 0 ? ' none' : ''}`,
    ...(idle.length === 0
      ? []
      : [table(['BINDING', 'GRANTS', 'HOLDERS', 'LAST USED'], idle.map(toBindingRow))]),
    '',
    `policy ${printable(policy_hash)}`,
  ].join('\n');
}

function toRow({
  principal,
  capability,
  environment,
  namespace,
  binding,
  last_used_ms,
  unused,
}: GrantView): string[] {
  return [
    `${printable(principal.id)}${principal.blocked ? ' (revoked)' : ''}`,
    capability,
    environment,
    namespace,
    nameOf(binding),
    lastUsed(last_used_ms, unused),
  ];
}

function toBindingRow({ capabilities, holders, last_used_ms, ...binding }: BindingView): string[] {
  return [nameOf(binding), capabilities.join(', ') || '-', String(holders), lastUsed(last_used_ms, false)];
}

function nameOf({ by, key, issuer, index }: GrantView['binding']): string {
  const at = issuer === null ? '' : ` at ${issuer}`;
  return printable(`${by} ${key}${at}${index === 0 ? '' : ` (${index + 1})`}`);
}

function lastUsed(lastMs: number | null, unused: boolean): string {
  if (lastMs === null) return 'never';
  return `${moment(lastMs)}${unused ? ' (unused)' : ''}`;
}
