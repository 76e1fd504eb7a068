import type { Command } from 'commander';
import type { RequestView } from '../../requests/view.ts';
import type { AnswerOf } from '../../routes.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { EXIT } from '../output/exit-codes.ts';
import { addPageOptions, type PageOptions, pageQuery, printPage } from '../output/paging.ts';
import { answerDone } from '../output/result.ts';
import { moment, table } from '../output/text.ts';
import { fullId } from '../short-id.ts';
import { readRequest } from './propose.ts';

type Comment = AnswerOf<'listComments'>;
type TextOptions = CommonOptions & { text: string };

/** `comments`, `comment` and `request-changes`. */
export function registerComments(program: Command, cli: Cli): void {
  const comments = cli.command(program, 'comments <id>', 'list the comments on a request, oldest first');
  addPageOptions(comments).action((id: string, options: CommonOptions & PageOptions) =>
    cli.run(options, async (context) => {
      const path = `/v1/requests/${await fullId(context, 'request', id)}/comments`;
      const query = pageQuery(options);
      const page = await context.client.list<Comment>({ path, query, all: options.all === true });
      return printPage(context, page, (items, columns) =>
        table(['ID', 'AT', 'BY', 'WHAT', 'TEXT'], items.map(toRow), columns),
      );
    }),
  );
  cli
    .command(program, 'comment <id>', 'comment on a request')
    .requiredOption('--text <text>', 'what to say')
    .action((id: string, { text, ...options }: TextOptions) =>
      cli.run(options, async (context) => {
        const path = `/v1/requests/${await fullId(context, 'request', id)}/comments`;
        const { body } = await context.client.call<Comment>({ method: 'POST', path, body: { text } });
        context.print(body, () => `Comment ${body.id}`);
        return EXIT.done;
      }),
    );
  cli
    .command(program, 'request-changes <id>', 'ask for changes of a request, which is not applied as it is')
    .requiredOption('--text <text>', 'what should change')
    .action((id: string, { text, ...options }: TextOptions) =>
      cli.run(options, async (context) => {
        const request = await readRequest(context, await fullId(context, 'request', id));
        const path = `/v1/requests/${request.id}/request-changes`;
        const body = { text, digest: request.digest };
        return answerDone(context, await context.client.call<RequestView>({ method: 'POST', path, body }));
      }),
    );
}

function toRow({ id, at_ms, person, principal, kind, stands, text }: Comment): string[] {
  const what = kind === 'comment' ? 'comment' : stands ? 'changes requested' : 'changes were requested';
  return [id, moment(at_ms), person ?? principal, what, text ?? '(withdrawn)'];
}
