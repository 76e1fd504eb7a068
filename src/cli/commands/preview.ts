import type { Command } from 'commander';
import type { AnswerOf } from '../../routes.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { collect } from '../collect.ts';
import { EXIT } from '../output/exit-codes.ts';
import { table } from '../output/text.ts';
import { fullId } from '../short-id.ts';

interface PreviewOptions extends CommonOptions {
  organization: readonly string[];
}

/** `preview`. */
export function registerPreview(program: Command, cli: Cli): void {
  cli
    .command(program, 'preview <id>', 'show what organizations are served before and after a request')
    .requiredOption('--organization <name>', 'an organization; repeat the option for several', collect)
    .action((id: string, { organization: organizations, ...options }: PreviewOptions) =>
      cli.run(options, async (context) => {
        const path = `/v1/requests/${await fullId(context, 'request', id)}/preview`;
        const body = { contexts: organizations.map((organization) => ({ organization })) };
        const answer = await context.client.call<AnswerOf<'previewRequest'>>({ method: 'POST', path, body });
        const rows = answer.body.results.flatMap(({ flags }, place) =>
          flags.map(({ flag, environment, before, after, changed }) => [
            ...[organizations[place] ?? '', flag, environment],
            ...[
              JSON.stringify(before?.value ?? null),
              JSON.stringify(after?.value ?? null),
              changed ? 'yes' : 'no',
            ],
          ]),
        );
        context.print(answer.body, (columns) =>
          table(['ORGANIZATION', 'FLAG', 'ENVIRONMENT', 'BEFORE', 'AFTER', 'CHANGES'], rows, columns),
        );
        return EXIT.done;
      }),
    );
}
