import type { Command } from 'commander';
import { type Migrated, migrateDatabase } from '../../store/migrate.ts';
import type { Cli, Output } from '../cli.ts';
import { CliError } from '../cli-error.ts';
import { readConfig } from '../local-config.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';

interface MigrateOptions {
  config?: string;
  database?: string;
  grantTo?: string;
  json?: boolean;
}

/** `migrate`: brings the schema of a database up to date, apart from the broker. */
export function registerMigrate(program: Command, cli: Cli): void {
  cli
    .localCommand(
      program,
      'migrate',
      'bring the tables of a database up to date, with a role that owns them; the broker then needs no such role',
    )
    .option('--config <file>', 'the configuration file of the broker, as for serve')
    .option(
      '--database <name>',
      'the file, or a direct address of the server, whose password PGPASSWORD or ~/.pgpass may hold (default: that of the configuration)',
    )
    .option('--grant-to <role>', 'the role of the broker, which gets the rights that it needs, and no others')
    .action((options: MigrateOptions) => cli.runLocal(options, (output) => runMigrate(output, options)));
}

async function runMigrate(output: Output, options: MigrateOptions): Promise<ExitCode> {
  const database = options.database ?? readConfig(output.io, options.config).database;
  let migrated: Migrated;
  try {
    migrated = await migrateDatabase(database, { grantTo: options.grantTo ?? null });
  } catch (error) {
    const problem = {
      code: 'migrate_failed',
      title: 'The database was not brought up to date',
      detail: (error as Error).message,
    };
    throw new CliError(EXIT.error, problem, { cause: error });
  }
  output.print(migrated, () => describe(migrated));
  return EXIT.done;
}

function describe({ database, applied, granted }: Migrated): string {
  const first =
    applied.length === 0
      ? `${database} is up to date; nothing was changed.`
      : `${database} is up to date. Applied: ${applied.join(', ')}.`;
  return [
    first,
    ...granted.map(
      (role) =>
        `The role ${role} may do what a broker does, and cannot change, empty or delete evidence: it owns no table.`,
    ),
  ].join('\n');
}
