import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { AnswerOf } from '../../routes.ts';
import { readBundleFile } from '../bundle-file.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { CliError, usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { addPageOptions, type PageOptions, pageQuery, printPage } from '../output/paging.ts';
import { moment, pathSegment, printable, table } from '../output/text.ts';
import { checkFirst } from '../run-checks.ts';
import { registerRecover } from './operator.ts';
import { registerAuthor } from './policy-author.ts';
import { registerChecks } from './policy-checks.ts';
import { registerPolicyData } from './policy-data.ts';
import { registerDiff } from './policy-diff.ts';
import { registerInit } from './policy-init.ts';
import {
  activations,
  addStageOption,
  parseNumber,
  registerStages,
  renderActivations,
  type StageOption,
} from './policy-stages.ts';
import { uploadBundle, uploadFile } from './policy-upload.ts';
import { addWaitOptions, proposeContent, type WaitOptions } from './propose.ts';

type Bundle = AnswerOf<'listBundles'>;

const EXAMPLES = `
Examples:
  countersign policy propose bundle.tar.gz --reason "quarterly review"
  countersign policy add-binding --group leads --role flag-approver --namespace payments --environment '*' --reason "…"
  countersign policy set /config/limits/request_ttl_s 86400 --reason "requests expire after a day"
  countersign policy propose bundle.tar.gz --stage staging --reason "try it first"
  countersign policy promote --to production --reason "it stood the test"`;

/** `policy`: the active policy, and how another one becomes active. */
export function registerPolicy(program: Command, cli: Cli): void {
  const policy = program
    .command('policy')
    .description('the active policy, and how another one becomes active');
  cli
    .localCommand(
      policy,
      'hash <file>',
      'print the policy hash of a bundle, a file or a folder; needs no broker',
    )
    .action((file: string, options: { json?: boolean }) =>
      cli.runLocal(options, async ({ print }) => {
        const { hash } = await readBundleFile(file);
        print({ policy_hash: hash }, () => hash);
        return EXIT.done;
      }),
    );
  registerInit(policy, cli);
  registerAuthor(policy, cli);
  registerLists(policy, cli);
  registerDiff(policy, cli);
  registerProposals(policy, cli);
  registerStages(policy, cli);
  registerChecks(policy, cli);
  registerPolicyData(policy, cli);
  registerRecover(policy, cli);
  policy.addHelpText('after', EXAMPLES);
}

function registerLists(policy: Command, cli: Cli): void {
  const show = cli.command(policy, 'show', 'list the activations, newest first; the first is active');
  addPageOptions(addStageOption(show, 'only those of this stage')).action(
    (options: StageOption & CommonOptions & PageOptions) =>
      cli.run(options, async (context) =>
        printPage(context, await activations(context, options), renderActivations),
      ),
  );
  const bundles = cli.command(policy, 'bundles', 'list the stored bundles, newest first');
  addPageOptions(bundles).action((options: CommonOptions & PageOptions) =>
    cli.run(options, async (context) => {
      const page = await context.client.list<Bundle>({
        path: '/v1/policy/bundles',
        query: pageQuery(options),
        all: options.all === true,
      });
      return printPage(context, page, (items, columns) =>
        table(
          ['STORED', 'POLICY', 'BYTES', 'REVISION'],
          items.map(({ stored_ms, policy_hash, bytes, revision }) => [
            moment(stored_ms),
            policy_hash,
            String(bytes),
            printable(revision),
          ]),
          columns,
        ),
      );
    }),
  );
  cli
    .command(policy, 'download [hash]', 'save a stored bundle; without a policy hash the active one')
    .requiredOption('--output <file>', 'where to save it')
    .option('--stage <name>', 'the active one of this stage (default: the last)')
    .action((hash: string | undefined, options: StageOption & CommonOptions & { output: string }) =>
      cli.run(options, (context) => download(context, hash, options)),
    );
}

interface ProposalOptions extends StageOption, CommonOptions, WaitOptions {
  reason: string;
  ticket?: string;
  promotes?: number;
}

function registerProposals(policy: Command, cli: Cli): void {
  cli
    .command(policy, 'upload <file>', 'check a bundle and store it, without activating it')
    .action((file: string, options: CommonOptions) =>
      cli.run(options, async (context) => {
        const stored = await uploadBundle(context, file);
        context.print(stored, () =>
          [
            `stored ${stored.policy_hash}`,
            'activate it with',
            `    ${context.commandLine('policy', 'activate', stored.policy_hash, '--reason', '…')}`,
          ].join('\n'),
        );
        return EXIT.done;
      }),
    );
  const propose = cli.command(
    policy,
    'propose <file>',
    'check a bundle, store it, and propose to activate it; others approve',
  );
  addPromotes(addProposalOptions(propose)).action((file: string, options: ProposalOptions) =>
    cli.run(options, async (context) => {
      return proposeActivation(context, await uploadFile(context, file), options);
    }),
  );
  const activate = cli.command(
    policy,
    'activate <hash>',
    'propose to activate a stored bundle; others approve',
  );
  addPromotes(addProposalOptions(activate)).action((hash: string, options: ProposalOptions) =>
    cli.run(options, (context) => proposeActivation(context, { policy_hash: hash }, options)),
  );
}

function addProposalOptions(command: Command): Command {
  return addWaitOptions(
    addStageOption(
      command
        .requiredOption('--reason <text>', 'the reason for the request')
        .option('--ticket <id>', 'the ticket reference'),
      'the stage where it becomes active (default: the last)',
    ),
  );
}

function addPromotes(command: Command): Command {
  return command.option(
    '--promotes <number>',
    'the activation of the stage before whose module it has, as `policy show` lists it',
    parseNumber,
  );
}

async function proposeActivation(
  context: Context,
  bundle: { policy_hash: string; archive_digest?: string },
  options: ProposalOptions,
): Promise<ExitCode> {
  const { reason, ticket, stage, promotes } = options;
  const body = {
    ...{ kind: 'policy.activate', ...bundle, reason },
    ...(ticket === undefined ? {} : { ticket }),
    ...(stage === undefined ? {} : { stage }),
    ...(promotes === undefined ? {} : { promotes }),
  };
  // The broker does not check what a promotion brings without proposing it.
  if (promotes === undefined) await checkFirst(context, { ...bundle, ...(stage !== undefined && { stage }) });
  return proposeContent(context, { body, ...options });
}

async function download(
  context: Context,
  hash: string | undefined,
  { output: file, stage }: StageOption & { output: string },
): Promise<ExitCode> {
  if (file === '') throw usageError('Name the file with --output FILE.');
  if (hash !== undefined && stage !== undefined) throw usageError('Name a policy hash or --stage, not both.');
  const active = `/v1/policy/bundle${stage === undefined ? '' : `?stage=${encodeURIComponent(stage)}`}`;
  const path = hash === undefined ? active : `/v1/policy/bundles/${pathSegment(hash)}`;
  const archive = await context.client.download(path);
  try {
    // Never replaces a file: it could be the source that the bundle is compared with.
    await writeFile(file, archive, { flag: 'wx' });
  } catch (error) {
    throw new CliError(
      EXIT.error,
      { code: 'not_saved', title: 'The bundle was not saved', detail: (error as Error).message },
      { cause: error },
    );
  }
  context.print({ file, bytes: archive.length }, () => `saved ${printable(file)} (${archive.length} bytes)`);
  return EXIT.done;
}
