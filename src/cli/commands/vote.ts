import type { Command } from 'commander';
import { DIGEST_PATTERN } from '../../json.ts';
import type { RequestView } from '../../requests/view.ts';
import { isNamed } from '../auth/profiles.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { CliError, usageError } from '../cli-error.ts';
import { renderBrief } from '../output/brief.ts';
import { EXIT } from '../output/exit-codes.ts';
import { answerDone } from '../output/result.ts';
import { readRequest } from './propose.ts';

interface VoteOptions extends CommonOptions {
  digest?: string;
  comment?: string;
  yes?: boolean;
}

/** `approve` and `reject`. */
export function registerVotes(program: Command, cli: Cli): void {
  for (const verdict of ['approve', 'reject'] as const) {
    cli
      .command(program, `${verdict} <id>`, SUMMARY[verdict])
      .option('--digest <digest>', `${verdict} only this exact content: sha256:…`)
      .option('--comment <text>', 'a comment on the vote')
      .option('--yes', 'do not ask for confirmation')
      .action((id: string, options: VoteOptions) =>
        cli.run(options, async (context) => {
          // 1. Read the request and show it.
          const request = await readRequest(context, id);
          if (options.digest !== undefined) assertDigest(request, options.digest);
          context.note(renderBrief(request, context.commandLine));
          // 2. Ask for confirmation at a terminal.
          await confirm(context, verdict, options);
          // 3. Vote on the digest shown.
          const answer = await context.client.call<RequestView>({
            method: 'POST',
            path: `/v1/requests/${request.id}/${verdict}`,
            body: {
              digest: request.digest,
              ...(options.comment === undefined ? {} : { comment: options.comment }),
            },
          });
          return answerDone(context, answer);
        }),
      );
  }
}

const SUMMARY = {
  approve: 'show what a request changes, and approve exactly that content',
  reject: 'show what a request changes, and reject it permanently',
} as const;

function assertDigest(request: RequestView, digest: string): void {
  if (!DIGEST_PATTERN.test(digest)) throw usageError(`Invalid digest "${digest}". Use the form sha256:…`);
  if (request.digest === digest) return;
  throw new CliError(EXIT.conflict, {
    code: 'digest_mismatch',
    title: 'The digest does not match',
    detail: `The request now has the digest ${request.digest}. Review it with: countersign show ${request.id}`,
    digest: request.digest,
  });
}

async function confirm(context: Context, verdict: string, { yes }: VoteOptions): Promise<void> {
  const { ask } = context.io;
  if (yes === true || ask === null) return;
  const named = isNamed(context) ? `, as ${context.profile}` : '';
  const answer = await ask(`${verdict} this${named}? [y/N] `);
  if (/^y(es)?$/i.test(answer.trim())) return;
  throw new CliError(EXIT.error, {
    code: 'not_confirmed',
    title: 'Nothing was sent',
    detail: `You did not confirm, so nothing was recorded.`,
  });
}
