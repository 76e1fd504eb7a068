import { isOpen } from '../../requests/states.ts';
import type { RequestView } from '../../requests/view.ts';
import type { Context } from '../cli.ts';
import { EXIT, type ExitCode, exitOfState } from './exit-codes.ts';
import { CREATED, renderGates } from './render.ts';
import { printable } from './text.ts';

/** A request that a command has created or changed. */
interface Result {
  body: RequestView;
  /** True when the command created it, so its id must be printed. */
  isNew?: boolean;
}

/** Prints the outcome of a request. Its state determines the exit status. */
export function answerRequest(context: Context, result: Result): ExitCode {
  printResult(context, result);
  return exitOfState(result.body.state);
}

/** Prints the outcome of a request, for a command that succeeds even when the request still waits. */
export function answerDone(context: Context, result: Result): ExitCode {
  printResult(context, result);
  return result.body.state === 'conflicted' ? EXIT.conflict : EXIT.done;
}

function printResult(context: Context, { body, isNew = false }: Result): void {
  context.print(body, () =>
    [
      ...describeOutcome(body).map((words) => [body.state, ...words].join('  ')),
      ...(isNew || isOpen(body) ? [`request  ${body.id}`] : []),
      ...(isOpen(body) ? [`digest   ${body.digest}`] : []),
      ...renderGates(body.gates, {
        requestId: body.id,
        commandLine: context.commandLine,
        denied: body.standing.effect === 'deny',
      }),
    ].join('\n'),
  );
}

/** One row per flag and scope: the versions if the request is applied, otherwise the actions. */
function describeOutcome(request: RequestView): string[][] {
  const { summary, changes, state } = request;
  if (summary !== null) return [[printable(summary)]];
  return [...new Set(changes.map(({ flag }) => flag.key))].flatMap((flag) =>
    (['definition', 'state'] as const).flatMap((scope) => {
      const ofFlag = changes.filter((change) => change.flag.key === flag && change.facts.scope === scope);
      if (ofFlag.length === 0) return [];
      const where = scope === 'definition' ? 'every environment' : (request.environment ?? '');
      const actions = ofFlag.map(({ action }) => action).join(', ');
      if (state !== 'applied') return [[flag, where, actions]];
      const isNew = ofFlag.some(({ action }) => action === 'create');
      return [[flag, where, isNew ? CREATED : versionsOf(request, flag, scope)]];
    }),
  );
}

/** A request increments each version by one, even if several of its changes affect it. */
function versionsOf(
  { bases, environment }: RequestView,
  flag: string,
  scope: 'definition' | 'state',
): string {
  const of = scope === 'definition' ? `definition:${flag}` : `state:${flag}@${environment}`;
  const before = bases.find((base) => base.of === of)?.version ?? 0;
  return `${before} → ${before + 1}`;
}
