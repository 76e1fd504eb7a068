import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { completionScript, SHELLS } from '../output/completion.ts';

/** `completion`: the scripts by which shells complete commands and options. */
export function registerCompletion(program: Command, cli: Cli): void {
  const completion = program.command('completion').description('print the completion script of a shell');
  for (const shell of SHELLS) {
    completion
      .command(shell)
      .description(`for ${shell}`)
      .action(() => cli.io.stdout(completionScript(program, shell)));
  }
}
