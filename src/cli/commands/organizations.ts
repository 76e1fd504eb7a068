import type { Command } from 'commander';
import type { AnswerOf } from '../../routes.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { addPageOptions, type PageOptions, pageQuery, printPage } from '../output/paging.ts';
import { moment, pathSegment, table } from '../output/text.ts';

interface OrganizationsOptions extends CommonOptions, PageOptions {
  environment: string;
  search?: string;
  changes?: boolean;
}

/** `organizations`: those that flags name, the flags of one, or what has changed for it. */
export function registerOrganizations(program: Command, cli: Cli): void {
  const command = cli
    .command(
      program,
      'organizations [name]',
      'find organizations, or list the flags as one of them sees them',
    )
    .requiredOption('--environment <key>', 'the environment')
    .option('--search <text>', 'only names that contain it; of one organization, only flags whose key does')
    .option('--changes', 'list what has changed for one in the last days, newest first');
  addPageOptions(command).action((name: string | undefined, options: OrganizationsOptions) =>
    cli.run(options, async (context) => {
      const { environment, search, changes } = options;
      const list = { query: { environment, ...pageQuery(options) }, all: options.all === true };
      if (name === undefined) {
        const query = { ...list.query, q: search };
        const path = '/v1/organizations';
        const page = await context.client.list<AnswerOf<'listOrganizations'>>({ ...list, path, query });
        return printPage(context, page, (items) => items.map(({ organization }) => organization).join('\n'));
      }
      const path = `/v1/organizations/${pathSegment(name)}`;
      if (changes === true) {
        const page = await context.client.list<AnswerOf<'listOrganizationChanges'>>({
          ...list,
          path: `${path}/changes`,
        });
        return printPage(context, page, (items, columns) =>
          table(['AT', 'FLAG', 'BEFORE', 'AFTER', 'REQUEST'], items.map(toChangeRow), columns),
        );
      }
      const page = await context.client.list<AnswerOf<'listOrganizationFlags'>>({
        ...list,
        path: `${path}/flags`,
        query: { ...list.query, q: search },
      });
      return printPage(context, page, (items, columns) =>
        table(['KEY', 'NAMESPACE', 'VALUE', 'WHY'], items.map(toFlagRow), columns),
      );
    }),
  );
}

function toChangeRow({
  at_ms,
  flag,
  before,
  after,
  request_id,
}: AnswerOf<'listOrganizationChanges'>): string[] {
  return [moment(at_ms), flag, before?.variant ?? '-', after?.variant ?? '-', request_id];
}

function toFlagRow({
  key,
  namespace,
  value,
  why,
  rule,
  bucket,
  conditional,
}: AnswerOf<'listOrganizationFlags'>): string[] {
  const at = rule === null ? why : `${why} ${rule}`;
  const place = bucket === null ? '' : ` at ${bucket} %`;
  return [key, namespace, JSON.stringify(value), `${at}${place}${conditional ? ', or by other rules' : ''}`];
}
