import type { Command } from 'commander';
import { DIGEST_PATTERN } from '../../json.ts';
import type { RequestView } from '../../requests/view.ts';
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
      .option('--digest <digest>', `${verdict} only exactly this content: sha256:…`)
      .option('--comment <text>', 'what to say about it')
      .option('--yes', 'ask no question')
      .action((id: string, options: VoteOptions) =>
        cli.run(options, async (context) => {
          // 1. Read what the vote is about, and show it.
          const request = await readRequest(context, id);
          if (options.digest !== undefined) assertDigest(request, options.digest);
          context.note(renderBrief(request, context.commandLine));
          // 2. Ask, where somebody is there to answer.
          await confirm(context, verdict, options);
          // 3. Vote on the digest that was shown.
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
  reject: 'show what a request changes, and reject it for good',
} as const;

function assertDigest(request: RequestView, digest: string): void {
  if (!DIGEST_PATTERN.test(digest)) throw usageError(`"${digest}" is no digest; it looks like sha256:…`);
  if (request.digest === digest) return;
  throw new CliError(EXIT.conflict, {
    code: 'digest_mismatch',
    title: 'The request is not the one that you read',
    detail: `Its digest is ${request.digest}. Read it again with: countersign show ${request.id}`,
    digest: request.digest,
  });
}

async function confirm({ io }: Context, verdict: string, { yes }: VoteOptions): Promise<void> {
  if (yes === true || io.ask === null) return;
  const answer = await io.ask(`${verdict} this? [y/N] `);
  if (/^y(es)?$/i.test(answer.trim())) return;
  throw new CliError(EXIT.error, {
    code: 'not_confirmed',
    title: 'Nothing was sent',
    detail: `You did not say yes, so nothing was recorded.`,
  });
}
