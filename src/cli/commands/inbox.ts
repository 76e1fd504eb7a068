import { type Command, Option } from 'commander';
import { INBOX_PARTS } from '../../inbox/parts.ts';
import type { AnswerOf } from '../../routes.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { addPageOptions, type PageOptions, pageQuery, printPage } from '../output/paging.ts';
import { moment, table } from '../output/text.ts';

interface InboxOptions extends CommonOptions, PageOptions {
  part: (typeof INBOX_PARTS)[number];
}

type Item = AnswerOf<'listInbox'>;

/** `inbox`. */
export function registerInbox(program: Command, cli: Cli): void {
  const inbox = cli
    .command(program, 'inbox', 'list what waits for you, oldest first')
    .addOption(
      new Option('--part <part>', 'approve: what you could approve; own: your own open requests')
        .choices(INBOX_PARTS)
        .default('approve'),
    );
  addPageOptions(inbox).action((options: InboxOptions) =>
    cli.run(options, async (context) => {
      const page = await context.client.list<Item>({
        path: '/v1/inbox',
        query: { part: options.part, ...pageQuery(options) },
        all: options.all === true,
      });
      const last = options.part === 'own' ? 'WAITS FOR' : 'YOU CAN GIVE';
      return printPage(context, page, (items, columns) =>
        table(['ID', 'CREATED', 'PROPOSER', 'WHAT', last], items.map(toRow), columns),
      );
    }),
  );
}

function toRow({ request, clears }: Item): string[] {
  const { id, created_ms, proposer, summary, changes, gates } = request;
  const what = summary ?? changes.map(({ action, flag }) => `${action} ${flag.key}`).join(', ');
  const given = clears.map(({ role, organization }) =>
    organization === null ? role : `${role} for ${organization}`,
  );
  const held = gates.map(({ code }) => code);
  return [id, moment(created_ms), proposer.id, what, (given.length > 0 ? given : held).join(', ') || '-'];
}
