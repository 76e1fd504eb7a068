import { type Command, Option } from 'commander';
import type { AccessView, BindingView, GrantView } from '../../access/access.ts';
import { DAY_MS } from '../../moment.ts';
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
  const access = program.command('access').description('show who can do what under the active policy');
  cli
    .command(
      access,
      'list',
      'list what each known principal may do, through which binding, and when it was last used',
    )
    .option('--principal <id>', 'only this principal or person')
    .addOption(new Option('--capability <name>', 'only this capability').choices(CAPABILITIES))
    .option('--environment <key>', 'only in this environment')
    .option('--namespace <name>', 'only in this namespace')
    .option('--unused', 'only unused grants and unused bindings')
    .option('--unused-days <days>', 'days without use after which a grant is unused (default: 90)')
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
        context.print(body, (columns) => render(body, columns));
        return EXIT.done;
      }),
    );
}

function render(
  { grants, bindings, bootstraps, unused_days, known_since_ms, at_ms, policy_hash }: AccessView,
  columns: number | null,
): string {
  const idle = bindings.filter((binding) => binding.unused);
  return [
    table(['PRINCIPAL', 'MAY', 'ENVIRONMENT', 'NAMESPACE', 'BY', 'LAST USED'], grants.map(toRow), columns),
    '',
    `Bindings unused for ${unused_days} days:${idle.length === 0 ? ' none' : ''}`,
    ...(idle.length === 0
      ? []
      : [table(['BINDING', 'GRANTS', 'HOLDERS', 'LAST USED'], idle.map(toBindingRow), columns)]),
    ...(at_ms - known_since_ms < unused_days * DAY_MS
      ? [`Uses are known since ${moment(known_since_ms)}: what was not used before that is not counted.`]
      : []),
    '',
    'Policies that were activated without a decision:',
    table(
      ['NUMBER', 'BY', 'ACTIVATED', 'POLICY', 'DECISION'],
      bootstraps.map((each) => [
        String(each.number),
        each.kind === 'first_start' ? 'the first start' : 'an operator, to recover',
        moment(each.activated_ms),
        each.policy_hash,
        each.decision_id ?? '-',
      ]),
      columns,
    ),
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
