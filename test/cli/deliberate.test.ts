import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCli } from '../../src/cli/cli.ts';
import { loadGroups } from '../../src/cli/groups.ts';
import { createProcessIo } from '../../src/cli/process-io.ts';
import { createProgram } from '../../src/cli/program.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose, readFlag, readRequest } from '../support/flags.ts';
import { readRecords } from '../support/sqlite/rows.ts';
import { createTerminal, type Run } from './support.ts';

const GROUPS = await loadGroups();

/* Deliberate acts: one rule of what asks, and of what `--yes` does, for every command that has it. */

let t: TestBroker;
// biome-ignore lint/suspicious/noExplicitAny: a request as it is answered
let request: any;
let config: string;
let kid: string;

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'nav');
  await createFlag(t, 'old');
  request = (await propose(t, [{ action: 'enable', flag: 'nav' }])).body;
  kid = (await t.call('avery', 'GET', '/v1/keys')).body.items[0].kid;
  config = join(t.folder, 'countersign.yaml');
});
afterAll(() => t.close());

const INCIDENT = ['--incident', 'INC-7', '--reason', 'x'];
const RETIRE = ['--environment', 'production', '--retire', 'old', '--reason', 'x'];

/** The acts that ask, by the words of their command: who does it, with which words, and what it says first. */
const ACTS: Record<string, [who: string, words: () => string[], says: RegExp][]> = {
  propose: [['dana', () => ['propose', ...RETIRE], /retires old in every environment, for ever/]],
  edit: [
    ['dana', () => ['edit', request.id, '--retire', 'old'], /retires old in every environment, for ever/],
  ],
  'break-glass apply': [
    [
      'riley',
      () => ['break-glass', 'apply', 'none', '--environment', 'production', '--retire', 'old'],
      /retires old in every environment, for ever/,
    ],
  ],
  freeze: [['riley', () => ['freeze', '--all', ...INCIDENT], /every write in every environment/]],
  revoke: [
    ['riley', () => ['revoke', 'class', 'all', ...INCIDENT], /every member of the class/],
    ['riley', () => ['revoke', 'trust-rule', 'payments-deploy', ...INCIDENT], /every job/],
    ['riley', () => ['revoke', 'issuer', t.url, ...INCIDENT], /everything with a token of the issuer/],
    ['riley', () => ['revoke', 'key', kid, ...INCIDENT], /every holder/],
  ],
  approve: [['alex+mfa', () => ['approve', request.id], /digest/]],
  reject: [['alex+mfa', () => ['reject', request.id], /digest/]],
  'accept-restore': [
    ['riley', () => ['accept-restore', '--config', config, '--reason', 'x'], /reaches everything/],
  ],
  'policy recover': [
    [
      'riley',
      () => ['policy', 'recover', 'none.tar.gz', '--config', config, '--reason', 'x'],
      /policy of every environment/,
    ],
  ],
  'store reopen': [['riley', () => ['store', 'reopen', 'none.db'], /write to this file again/]],
};

const VOTES = ['approve', 'reject'];

function commandsOf(command: Command, words: readonly string[] = []): [string, Command][] {
  const own: [string, Command][] = words.length === 0 ? [] : [[words.join(' '), command]];
  return [...own, ...command.commands.flatMap((each) => commandsOf(each, [...words, each.name()]))];
}

const program = createProgram(createCli(createProcessIo({})), GROUPS);
const withYes = commandsOf(program).filter(([, command]) =>
  command.options.some(({ long }) => long === '--yes'),
);
const acts = Object.entries(ACTS).flatMap(([name, list]) => list.map((act) => [name, ...act] as const));

/** Runs with somebody at the terminal who gives this answer; with null there is no terminal. */
async function run(who: string, words: readonly string[], answer: string | null) {
  const questions: string[] = [];
  const ask = async (question: string) => {
    questions.push(question);
    return answer ?? '';
  };
  const done: Run = await createTerminal(t, { ask: answer === null ? null : ask }).as(who, ...words);
  return { code: done.code, out: done.out, err: done.err, questions };
}

describe('--yes', () => {
  it('is tested for every command that has it, and says the same of itself in all', () => {
    expect(withYes.map(([name]) => name).toSorted()).toEqual(Object.keys(ACTS).toSorted());
    const texts = withYes.map(
      ([, command]) => command.options.find(({ long }) => long === '--yes')?.description,
    );
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]).toMatch(/^answer yes in advance/);
  });
});

describe('a deliberate act', () => {
  it.each(acts)(
    '%s by %s, without a terminal, is refused before anything is sent',
    async (name, who, words, says) => {
      const before = readRecords(t.file).length;
      const { code, err } = await run(who, words(), null);
      expect([code, err]).toEqual([2, expect.stringMatching(says)]);
      expect(err).toMatch(VOTES.includes(name) ? /--digest sha256:… .*countersign show/s : /add --yes/);
      expect(readRecords(t.file).length).toEqual(before);
    },
  );

  it.each(acts)(
    '%s by %s, at a terminal, says what it does and is not done without a yes',
    async (_, who, words, says) => {
      const before = await readRequest(t, request.id);
      for (const answer of ['', 'n', 'yesterday']) {
        const { code, err, questions } = await run(who, [...words(), '--json'], answer);
        expect([code, questions]).toEqual([1, [expect.stringMatching(/\? \[y\/N\] $/)]]);
        expect(err).toMatch(says);
      }
      expect(await readRequest(t, request.id)).toEqual(before);
      expect((await readFlag(t, 'old')).retired).toBe(false);
      expect((await t.call('riley', 'GET', '/v1/freezes')).body.items).toEqual([]);
      expect((await t.call('riley', 'GET', '/v1/revocations')).body.items).toEqual([]);
    },
  );

  it.each(VOTES)('%s is not done with --yes alone, at a terminal either', async (verdict) => {
    const { code, err, questions } = await run('alex+mfa', [verdict, request.id, '--yes'], 'y');
    expect([code, questions]).toEqual([2, []]);
    expect(err).toMatch(/--yes shows nobody the change.*--digest/);
    expect((await readRequest(t, request.id)).state).toBe('pending');
  });

  it('an ordinary change of the same commands asks nothing', async () => {
    const change = ['propose', '--environment', 'production', '--disable', 'old', '--reason', 'x', '--plan'];
    expect((await run('dana', change, null)).code).not.toBe(2);
    const order = ['freeze', '--namespace', 'payments', ...INCIDENT, '--json'];
    const { code, questions } = await run('riley', order, 'no');
    expect([code, questions]).toEqual([0, []]);
  });

  it('a plan of a retirement asks nothing, because nothing is proposed', async () => {
    const { code, questions } = await run('dana', ['propose', ...RETIRE, '--plan'], 'no');
    expect([code === 2, questions]).toEqual([false, []]);
  });

  it('is done after a yes, and with --yes without a terminal', async () => {
    const asked = await run('riley', ['revoke', 'class', 'workload', ...INCIDENT, '--json'], 'y');
    expect([asked.code, asked.questions.length]).toEqual([0, 1]);
    expect(asked.err).toContain('It would affect');
    const told = await run('riley', ['freeze', '--all', ...INCIDENT, '--yes', '--json'], null);
    expect([told.code, JSON.parse(told.out).scope, told.questions]).toEqual([0, 'all', []]);
  });
});
