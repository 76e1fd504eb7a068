import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addYesOption, confirmAct, type YesOption } from '../deliberate.ts';
import type { ActOptions } from '../operator-acts.ts';

// The store and the policy engine are loaded by what needs them.
const acts = () => import('../operator-acts.ts');

type Options = ActOptions & YesOption;

/** `accept-clock` and `accept-restore`: an operator's acts on the database of a stopped broker. */
export function registerOperator(program: Command, cli: Cli): void {
  actCommand(
    program,
    cli,
    'accept-clock',
    'on the stopped broker’s machine: go on with a clock that is behind the last record',
  ).action((options: Options) =>
    cli.runLocal(options, async (output) => (await acts()).acceptClock(output, options)),
  );
  const restore = actCommand(
    program,
    cli,
    'accept-restore',
    'on the stopped broker’s machine: go on with a restored copy of the database; freezes everything and voids all credentials',
  );
  addYesOption(restore).action((options: Options) =>
    cli.runLocal(options, async (output) => {
      await confirmAct(output, RESTORE, options);
      return (await acts()).acceptRestored(output, options);
    }),
  );
}

const RESTORE = {
  says: 'This is for ever, and reaches everything: the records since the copy are given up, all writes are frozen, and every token, session and signing key is void.',
  question: 'Accept the restored copy?',
};

const RECOVERY = {
  says: 'This replaces the policy of every environment without any decision or approval, for ever in the record.',
  question: 'Replace the policy?',
};

/** `policy recover`: the way out of a policy that lets nobody activate another one. */
export function registerRecover(policy: Command, cli: Cli): void {
  const recover = actCommand(
    policy,
    cli,
    'recover <bundle>',
    'on the stopped broker’s machine: activate a bundle without a decision, if nobody can do it by request',
  );
  addYesOption(recover)
    .option('--stage <name>', 'the stage that gets it (default: the last)')
    .action((file: string, options: Options & { stage?: string }) =>
      cli.runLocal(options, async (output) => {
        await confirmAct(output, RECOVERY, options);
        return (await acts()).recover(output, file, options);
      }),
    );
}

function actCommand(program: Command, cli: Cli, name: string, summary: string): Command {
  return cli
    .localCommand(program, name, summary)
    .requiredOption('--reason <text>', 'why; it is recorded')
    .option('--config <file>', 'the configuration file of the broker, as for serve');
}
