import type { Command } from 'commander';
import type { BreakglassView } from '../../emergency/break-glass.ts';
import type { FreezeView } from '../../emergency/freeze.ts';
import { describeScope } from '../../emergency/scope.ts';
import type { RequestView } from '../../requests/view.ts';
import type { AnswerOf } from '../../routes.ts';
import { addChangeOptions } from '../changes.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { addYesOption, confirmAct, confirmRetirements, type YesOption } from '../deliberate.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { answerRequest } from '../output/result.ts';
import { moment, pathSegment, printable, table } from '../output/text.ts';
import { fullId } from '../short-id.ts';
import { addWaitOptions, proposeContent, type WaitOptions } from './propose.ts';

interface FreezeOptions extends CommonOptions, YesOption {
  all?: boolean;
  environment?: string;
  namespace?: string;
  flag?: string;
  incident?: string;
  reason?: string;
  list?: boolean;
  yetUnknown?: boolean;
}

/** `freeze`, `lift` and `break-glass`. */
export function registerEmergency(program: Command, cli: Cli): void {
  const freeze = cli
    .command(program, 'freeze', 'refuse writes immediately; reads continue')
    .option('--all', 'freeze every write')
    .option('--environment <key>', 'freeze this environment')
    .option('--namespace <key>', 'freeze this namespace')
    .option('--flag <key>', 'freeze this flag')
    .option('--incident <id>', 'the incident reference')
    .option('--reason <text>', 'the reason')
    .option('--yet-unknown', 'freeze the namespace or flag although it does not exist yet')
    .option('--list', 'list the freezes in effect');
  addYesOption(freeze).action((options: FreezeOptions) =>
    cli.run(options, async (context) => {
      if (options.list === true) return listFreezes(context);
      const order = toFreezeOrder(options);
      if (options.all === true) await confirmAct(context, FREEZE_OF_ALL, options);
      return engage(context, order);
    }),
  );
  const lift = cli
    .command(program, 'lift <freeze>', 'propose to lift a freeze')
    .requiredOption('--reason <text>', 'the reason')
    .option('--ticket <id>', 'the ticket reference');
  addWaitOptions(lift).action(
    (freeze: string, options: CommonOptions & WaitOptions & { reason: string; ticket?: string }) =>
      cli.run(options, async (context) => {
        const { reason, ticket } = options;
        const id = await fullId(context, 'freeze', freeze);
        const body = { kind: 'freeze.lift', freeze: id, reason, ...(ticket === undefined ? {} : { ticket }) };
        return proposeContent(context, { body, ...options });
      }),
  );
  registerBreakGlass(
    program.command('break-glass').description('limited emergency access during an incident'),
    cli,
  );
}

const FREEZE_OF_ALL = {
  says: 'This freezes every write in every environment, at once. Only a request that another person approves lifts it.',
  question: 'Freeze everything?',
};

/** The freeze that the options describe, as the broker expects it. */
function toFreezeOrder(options: FreezeOptions): object {
  const { all, environment, namespace, flag, incident, reason, yetUnknown } = options;
  if (incident === undefined || reason === undefined) {
    throw usageError('A freeze requires --incident ID and --reason "…".');
  }
  if (flag !== undefined && namespace !== undefined)
    throw usageError('Use either --flag or --namespace, not both.');
  const place = environment === undefined ? {} : { environment };
  const said = { incident, reason };
  const named = yetUnknown === true ? { ...said, yet_unknown: true } : said;
  if (all === true) {
    if (flag ?? namespace ?? environment)
      throw usageError('--all covers every write. Omit the narrower scope.');
    return { scope: 'all', ...said };
  }
  if (flag !== undefined) return { scope: 'flag', flag, ...place, ...named };
  if (namespace !== undefined) return { scope: 'namespace', namespace, ...place, ...named };
  if (environment !== undefined) return { scope: 'environment', environment, ...said };
  throw usageError('Specify what to freeze: --all, --environment KEY, --namespace KEY or --flag KEY.');
}

async function engage(context: Context, order: object): Promise<ExitCode> {
  const call = { method: 'POST', path: '/v1/freezes', body: order, idempotencyKey: true } as const;
  const { body } = await context.client.call<FreezeView>(call);
  context.print(body, () =>
    [
      `freeze   ${body.id} of ${describeScope(body)} is in effect`,
      `incident ${printable(body.incident)}`,
      'lift it with',
      `    ${context.commandLine('lift', body.id, '--reason', '…')}`,
    ].join('\n'),
  );
  return EXIT.done;
}

async function listFreezes(context: Context): Promise<ExitCode> {
  const { body } = await context.client.call<AnswerOf<'listFreezes'>>({ method: 'GET', path: '/v1/freezes' });
  context.print(body, (columns) =>
    body.items.length === 0
      ? 'No freeze is in effect.'
      : table(
          ['ID', 'SCOPE', 'INCIDENT', 'ENGAGED', 'BY', 'REASON'],
          body.items.map((freeze) => [
            freeze.id,
            describeScope(freeze),
            freeze.incident,
            moment(freeze.engaged_ms),
            freeze.engaged_by.id,
            freeze.reason,
          ]),
          columns,
        ),
  );
  return EXIT.done;
}

function registerBreakGlass(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'open', 'open a session; requires a fresh, strong sign-in')
    .requiredOption('--incident <id>', 'the incident reference')
    .requiredOption('--reason <text>', 'the reason')
    .action((options: CommonOptions & { incident: string; reason: string }) =>
      cli.run(options, (context) =>
        callSession(context, '/v1/break-glass', { incident: options.incident, reason: options.reason }),
      ),
    );
  const apply = cli
    .command(parent, 'apply <session>', 'change flags immediately; only safer states are accepted')
    .requiredOption('--environment <key>', 'the environment of the flags');
  const changes = addChangeOptions(apply);
  addYesOption(apply).action(
    (session: string, options: CommonOptions & YesOption & { environment: string }) =>
      cli.run(options, async (context) => {
        const { changes: listed } = await changes.load(context.io);
        if (listed.length === 0) throw usageError('Specify what to change, such as --disable FLAG.');
        await confirmRetirements(context, listed, options);
        const call = {
          method: 'POST',
          path: `/v1/break-glass/${pathSegment(await fullId(context, 'break-glass session', session))}/apply`,
          body: { environment: options.environment, changes: listed },
          idempotencyKey: true,
        } as const;
        const { body } = await context.client.call<RequestView>(call);
        return answerRequest(context, { body, isNew: true });
      }),
  );
  cli
    .command(parent, 'close <session>', 'end a session early')
    .action((session: string, options: CommonOptions) =>
      cli.run(options, async (context) => {
        const id = await fullId(context, 'break-glass session', session);
        return callSession(context, `/v1/break-glass/${pathSegment(id)}/close`);
      }),
    );
  cli.command(parent, 'list', 'list sessions').action((options: CommonOptions) =>
    cli.run(options, async (context) => {
      const call = { method: 'GET', path: '/v1/break-glass' } as const;
      const { body } = await context.client.call<AnswerOf<'listBreakGlass'>>(call);
      context.print(body, (columns) =>
        body.items.length === 0 ? 'No sessions.' : table(SESSION_HEAD, body.items.map(sessionRow), columns),
      );
      return EXIT.done;
    }),
  );
}

async function callSession(context: Context, path: string, body?: object): Promise<ExitCode> {
  const call = { method: 'POST', path, ...(body === undefined ? {} : { body }) } as const;
  const { body: session } = await context.client.call<BreakglassView>(call);
  context.print(session, (columns) => table(SESSION_HEAD, [sessionRow(session)], columns));
  return EXIT.done;
}

const SESSION_HEAD = ['ID', 'PERSON', 'INCIDENT', 'OPENED', 'ENDS', 'REASON'] as const;

function sessionRow(session: BreakglassView): string[] {
  return [
    session.id,
    session.person,
    session.incident,
    moment(session.opened_ms),
    session.closed_ms === null ? moment(session.expires_ms) : `closed ${moment(session.closed_ms)}`,
    session.reason,
  ];
}
