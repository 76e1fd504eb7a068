import { type Command, Option } from 'commander';
import type { ExplanationView } from '../../explain/view.ts';
import type { RequestView } from '../../requests/view.ts';
import { addChangeOptions, type ChangeOptions } from '../changes.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import type { ClientAnswer } from '../client.ts';
import { addYesOption, confirmRetirements, type YesOption } from '../deliberate.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { renderExplanation } from '../output/render-explanation.ts';
import { answerRequest } from '../output/result.ts';
import { pathSegment } from '../output/text.ts';
import { MOMENT_HELP, parseMoment } from '../parse-moment.ts';
import { fullId } from '../short-id.ts';
import { parseDuration, waitUntilClosed, waitUntilServed } from './wait.ts';

/** Options for the members of a request besides its changes. */
interface ContentOptions extends CommonOptions {
  reason?: string;
  ticket?: string;
  apply?: 'auto' | 'manual';
  /** Epoch milliseconds, or `none` for as soon as policy allows. */
  start?: number | 'none';
  /** What `schedule` calls it, too. */
  at?: number | 'none';
}

/** Options for waiting. */
export interface WaitOptions {
  /** `served`: until connected relays serve it, too. */
  wait?: boolean | 'served';
  timeout: string;
}

interface ProposeOptions extends ContentOptions, WaitOptions, YesOption {
  environment?: string;
  plan?: boolean;
  idempotencyKey?: string;
}

/** `propose` and `edit`. */
export function registerPropose(program: Command, cli: Cli): void {
  const propose = cli
    .command(program, 'propose', 'propose flag changes in one environment, as one request')
    .option('--environment <key>', 'the environment of the flags');
  const changes = addChangeOptions(addContentOptions(propose));
  addYesOption(addTimeoutOption(propose.addOption(waitOption())))
    .option(
      '--plan',
      'say what it would do, what the policy would say and who would approve; propose nothing',
    )
    .option(
      '--idempotency-key <key>',
      'repeat the command with the same key to propose only once (default: a new key)',
    )
    .action((options: ProposeOptions) =>
      cli.run(options, async (context) => {
        const body = await loadContent(context, changes, options);
        if (options.plan === true) return planContent(context, body, options);
        await confirmRetirements(context, listOf(body.changes), options);
        return proposeContent(context, { body, ...options });
      }),
    );

  const edit = cli.command(program, 'edit <id>', 'change an open request; voids its approvals');
  const edits = addChangeOptions(addContentOptions(edit));
  addYesOption(edit).action((id: string, options: ContentOptions & YesOption) =>
    cli.run(options, async (context) => {
      const { changes: listed, rest } = await edits.load(context.io);
      const body = { ...rest, ...contentOf(options), ...(listed.length === 0 ? {} : { changes: listed }) };
      if (Object.keys(body).length === 0)
        throw usageError('Specify what to edit. See: countersign edit --help');
      await confirmRetirements(context, listed, options);
      const path = `/v1/requests/${pathSegment(await fullId(context, 'request', id))}`;
      return answerRequest(context, await callWithDigest(context, { method: 'PATCH', path, body }));
    }),
  );
}

function addContentOptions(command: Command): Command {
  return command
    .option('--reason <text>', 'the reason for the request')
    .option('--ticket <id>', 'the ticket reference')
    .addOption(
      new Option(
        '--apply <how>',
        'auto: as soon as the policy allows; manual: only with an apply command',
      ).choices(['auto', 'manual']),
    )
    .option('--start <moment>', `earliest time to apply: ${MOMENT_HELP}, or none`, parseStart)
    .addOption(new Option('--at <moment>', 'the same as --start').argParser(parseStart).hideHelp());
}

function parseStart(text: string): number | 'none' {
  return text === 'none' ? text : parseMoment('--start', text, 'none');
}

/** `--wait`, which may name what it waits for. */
function waitOption(): Option {
  return new Option(
    '--wait [for]',
    'wait until the request is applied or otherwise closed; served: until the relays that are connected serve it, too',
  ).choices(['served']);
}

/** Adds `--wait` and `--timeout`. */
export function addWaitOptions(command: Command): Command {
  return addTimeoutOption(command.option('--wait', 'wait until the request is applied or otherwise closed'));
}

function addTimeoutOption(command: Command): Command {
  return command.option('--timeout <time>', 'how long to wait, such as 90s, 30m or 2h', '30m');
}

function contentOf({ reason, ticket, apply, at, start = at }: ContentOptions): Record<string, unknown> {
  return {
    ...(reason === undefined ? {} : { reason }),
    ...(ticket === undefined ? {} : { ticket }),
    ...(apply === undefined ? {} : { apply }),
    ...(start === undefined ? {} : { start_ms: start === 'none' ? null : start }),
  };
}

async function loadContent(
  { io }: Context,
  options: ChangeOptions,
  content: ProposeOptions,
): Promise<Record<string, unknown>> {
  const { changes, rest } = await options.load(io);
  const environment = content.environment === undefined ? {} : { environment: content.environment };
  const body: Record<string, unknown> = { ...rest, ...environment, ...contentOf(content) };
  const isFlagChange = (body.kind ?? 'flag.change') === 'flag.change';
  if (isFlagChange && changes.length === 0) {
    throw usageError('Specify what to change, such as --enable FLAG or --file changes.yaml.');
  }
  if (isFlagChange && body.environment === undefined)
    throw usageError('Specify the environment with --environment KEY.');
  if (body.reason === undefined) throw usageError('Give a reason with --reason "…".');
  return changes.length === 0 ? body : { ...body, changes };
}

/** The changes of a content; anything else is refused by the broker. */
function listOf(changes: unknown): readonly unknown[] {
  return Array.isArray(changes) ? changes : [];
}

/** Prints what a proposal would do. The exit status is that of the proposal. */
async function planContent(
  context: Context,
  body: Record<string, unknown>,
  { wait, idempotencyKey }: ProposeOptions,
): Promise<ExitCode> {
  if (wait !== undefined || idempotencyKey !== undefined) {
    throw usageError('--plan proposes nothing, so --wait and --idempotency-key do not go with it.');
  }
  const call = { method: 'POST', path: '/v1/policy/explain', body: { plan: body } } as const;
  const { body: explanation } = await context.client.call<ExplanationView>(call);
  context.print(explanation, () => renderExplanation(explanation, context));
  if (explanation.effect === 'deny') return EXIT.denied;
  return explanation.gates.length === 0 ? EXIT.done : EXIT.waiting;
}

/** Proposes a request, waits if asked to, and prints the outcome. */
export async function proposeContent(
  context: Context,
  {
    body,
    idempotencyKey,
    wait,
    timeout,
  }: { body: unknown; idempotencyKey?: string | undefined } & WaitOptions,
): Promise<ExitCode> {
  const timeoutMs = parseDuration(timeout);
  const answer = await context.client.call<RequestView>({
    method: 'POST',
    path: '/v1/requests',
    body,
    idempotencyKey: idempotencyKey ?? true,
  });
  // The stored response shows the request as it was at that time.
  const request = answer.replayed ? await readRequest(context, answer.body.id) : answer.body;
  if (answer.replayed) context.note('This request was already proposed with the same idempotency key.');
  const deadlineMs = context.io.clock() + timeoutMs;
  const latest = wait === undefined ? request : await waitUntilClosed(context, { request, timeoutMs });
  if (wait !== 'served' || latest.state !== 'applied')
    return answerRequest(context, { body: latest, isNew: true });
  const served = await waitUntilServed(context, { request: latest, deadlineMs });
  const exit = answerRequest(context, { body: served.request, isNew: true });
  return served.isServed ? exit : EXIT.unserved;
}

/** Reads one request. */
export async function readRequest(context: Context, id: string): Promise<RequestView> {
  const path = `/v1/requests/${pathSegment(id)}`;
  return (await context.client.call<RequestView>({ method: 'GET', path })).body;
}

/**
 * Reads the request, then changes the content that was read. A concurrent change is detected by the digest in the body:
 * proxies may alter an ETag.
 */
export async function callWithDigest(
  { client }: Context,
  call: { method: 'PATCH' | 'POST'; path: string; body?: object },
): Promise<ClientAnswer<RequestView>> {
  const path = call.path.replace(/\/(?:rebase|schedule)$/, '');
  const { digest } = (await client.call<RequestView>({ method: 'GET', path })).body;
  return client.call<RequestView>({ ...call, body: { ...call.body, digest } });
}
