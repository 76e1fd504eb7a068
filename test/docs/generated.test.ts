import { describe, expect, it } from 'vitest';
import { openApiDocument } from '../../src/http/openapi.ts';
import { queryOf, type RouteShape, TAGS } from '../../src/http/route.ts';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { listRoutes } from '../../src/routes.ts';
import { commandsReference, listCommands } from '../support/reference/commands.ts';
import { configurationReference } from '../support/reference/configuration.ts';
import { withGenerated } from '../support/reference/markdown.ts';
import { policyReference, referenceSections } from '../support/reference/policy.ts';
import { problemsReference } from '../support/reference/problems.ts';
import { readPage } from './pages.ts';

/* The documents that derive from the lists in the code. `make docs` writes them. */

const routes = listRoutes(requestKinds);

/** What a call takes besides its path, as the table shows it. */
function takes(route: RouteShape): string {
  const names = Object.keys(queryOf(route).shape).filter((name) => !['limit', 'cursor'].includes(name));
  const headers = [
    ...(route.idempotent === true ? ['Idempotency-Key'] : []),
    ...(route.ifMatch === true ? ['If-Match'] : []),
  ];
  return [...names, ...headers].map((name) => `\`${name}\``).join(', ');
}

function tableOf(tag: (typeof TAGS)[number]): string {
  const rows = routes
    .filter((route) => route.tag === tag)
    .map((route) => `| \`${route.method} ${route.path}\` | ${route.summary} | ${takes(route)} |`);
  return [`## ${tag}`, '', '| call | does | takes |', '|---|---|---|', ...rows].join('\n');
}

describe('generated documents', () => {
  it('docs/openapi.json is the OpenAPI document of the list', async () => {
    const json = `${JSON.stringify(openApiDocument(routes), null, 1)}\n`;
    await expect(json).toMatchFileSnapshot('../../docs/openapi.json');
  });

  it.each([
    ['docs/api.md', () => TAGS.map(tableOf).join('\n\n')],
    ['docs/policy-reference.md', policyReference],
    ['docs/configuration.md', configurationReference],
    ['docs/problems.md', problemsReference],
    ['docs/commands.md', commandsReference],
  ])('%s ends with what the lists in the code say', async (path, generated) => {
    await expect(withGenerated(readPage(path), generated())).toMatchFileSnapshot(`../../${path}`);
  });
});

describe('the input and the result', () => {
  it('say of each member what it is', () => {
    const members = referenceSections().flatMap(({ heading, members }) =>
      members.map((member) => ({ ...member, path: `${heading} ${member.path}` })),
    );
    expect(members.length).toBeGreaterThan(100);
    expect(members.filter(({ description }) => !description?.endsWith('.')).map(({ path }) => path)).toEqual(
      [],
    );
  });
});

describe('the commands', () => {
  it.each(listCommands())('say what each argument and option is: $words', ({ command }) => {
    const { registeredArguments, options } = command;
    for (const { description } of [...registeredArguments, ...options])
      expect(description).toMatch(/^\S(?:.*[^.\s])?$/s);
  });
});
