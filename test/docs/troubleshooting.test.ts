import { describe, expect, it } from 'vitest';
import { PROBLEMS } from '../../src/problems.ts';
import { readSources } from '../support/sources.ts';
import { readPage, tablesOf } from './pages.ts';

/* docs/how-to/troubleshooting.md has every code that somebody can be shown, and no other. */

const page = readPage('docs/how-to/troubleshooting.md');

/** The codes in the first cells of tables that are headed by a word. */
function codesUnder(head: string): string[] {
  return tablesOf(page)
    .filter((table) => table.head === head)
    .flatMap(({ rows }) =>
      rows.flatMap(([first = '']) => [...first.matchAll(/`(\w+)`/g)].map(([, code = '']) => code)),
    );
}

/** The codes of the command line itself, without what `replay` says of a decision: that is a result. */
function codesOfCommands(): string[] {
  return readSources('src/cli', '.ts')
    .filter(({ path }) => path !== 'src/cli/replay-file.ts')
    .flatMap(({ text }) => codesIn(text));
}

function codesIn(text: string): string[] {
  return [...text.matchAll(/\bcode: '(\w+)'/g)].map(([, code = '']) => code);
}

/** The reasons of the shipped policy that keep something from happening, as its page lists them. */
function reasons(): string[] {
  const [, section = ''] = /^## Reason codes$(.*?)^## /ms.exec(readPage('docs/policy.md')) ?? [];
  const rows = tablesOf(section).flatMap(({ rows }) => rows);
  return rows.filter(([, effect]) => effect !== 'allow').map(([code = '']) => code.replaceAll('`', ''));
}

describe('troubleshooting', () => {
  it('has each problem and each code of the command line, once', () => {
    const own = codesOfCommands();
    expect(own.length).toBeGreaterThan(30);
    const expected = new Set([...Object.keys(PROBLEMS), ...own]);
    expect(codesUnder('code').toSorted()).toEqual([...expected].toSorted());
  });

  it('leads from each problem to what it means', () => {
    const linked = [...page.matchAll(/\[`(\w+)`\]\(\.\.\/problems\.md#\1\)/g)].map(([, code]) => code);
    expect(linked.toSorted()).toEqual(Object.keys(PROBLEMS).toSorted());
  });

  it('has each reason that a policy denies or holds something for, once', () => {
    const guardrails = ['own_erasure', 'two_persons'];
    expect(reasons().length).toBeGreaterThan(40);
    expect(codesUnder('reason').toSorted()).toEqual([...reasons(), ...guardrails].toSorted());
  });

  it('has each gate of an open request, once', () => {
    const gates = ['src/requests/gates.ts', 'src/decide/refusals.ts'].flatMap((path) =>
      codesIn(readPage(path)),
    );
    expect(gates.length).toBeGreaterThan(6);
    expect(codesUnder('gate').toSorted()).toEqual([...new Set(gates)].toSorted());
  });
});
