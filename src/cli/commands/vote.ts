import type { Command } from 'commander';
import { DIGEST_PATTERN } from '../../json.ts';
import type { RequestView } from '../../requests/view.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { CliError, usageError } from '../cli-error.ts';
import { addYesOption, assertNamesContent, confirmVote, type YesOption } from '../deliberate.ts';
import { renderBrief } from '../output/brief.ts';
import { EXIT } from '../output/exit-codes.ts';
import { answerDone } from '../output/result.ts';
import { fullId } from '../short-id.ts';
import { readRequest } from './propose.ts';

interface VoteOptions extends CommonOptions, YesOption {
  digest?: string;
  comment?: string;
}

/** `approve` and `reject`. */
export function registerVotes(program: Command, cli: Cli): void {
  for (const verdict of ['approve', 'reject'] as const) {
    const vote = cli
      .command(program, `${verdict} <id>`, SUMMARY[verdict])
      .option(
        '--digest <digest>',
        `${verdict} only this exact content: sha256:…; required without a terminal`,
      )
      .option('--comment <text>', 'a comment on the vote');
    addYesOption(vote).action((id: string, options: VoteOptions) =>
      cli.run(options, async (context) => {
        assertNamesContent(context, { verdict, id, ...options, digest: options.digest });
        // 1. Read the request and show it.
        const request = await readRequest(context, await fullId(context, 'request', id));
        if (options.digest !== undefined) assertDigest(request, options.digest);
        context.note(renderBrief(request, context.commandLine));
        // 2. Ask for confirmation at a terminal.
        await confirmVote(context, verdict, options);
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
