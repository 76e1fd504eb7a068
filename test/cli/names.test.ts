import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCli } from '../../src/cli/cli.ts';
import { loadGroups } from '../../src/cli/groups.ts';
import { createProcessIo } from '../../src/cli/process-io.ts';
import { createProgram } from '../../src/cli/program.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag } from '../support/flags.ts';
import { createTerminal } from './support.ts';

const GROUPS = await loadGroups();

/* One mistake, one answer: every option of the command line that takes a name, with a wrong one. */

let t: TestBroker;
beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'nav.checkout');
  // Writes who was seen.
  await t.call('avery', 'GET', '/v1/access');
});
afterAll(() => t.close());

const MISSING_ID = '0190a1b2-0000-7000-8000-000000000000';

/** The options that take the name of something, with a wrong one and what it is near. */
const WRONG: Record<string, [wrong: string, near: string | null]> = {
  '--environment': ['prod', 'production'],
  '--namespace': ['paymentz', 'payments'],
  '--flag': ['nav.chekout', 'nav.checkout'],
  '--principal': ['person:demo:danna', 'person:demo:dana'],
  '--proposer': ['person:demo:danna', 'person:demo:dana'],
  '--request': [MISSING_ID, null],
  '--stage': ['prodution', null],
  '--enable': ['nav.chekout', 'nav.checkout'],
};

const SAID = ['--incident', 'INC-7', '--reason', 'x'];
const ON = ['--enable', 'nav.checkout', '--reason', 'x'];

/** What each command with such an option is run with besides, by whom; null where the option describes what is new. */
const COMMANDS: Record<string, [who: string, ...words: string[]] | null> = {
  flags: ['dana', '--environment', 'production'],
  organizations: ['dana', '--environment', 'production'],
  list: ['dana'],
  decisions: ['avery'],
  'access list': ['avery'],
  'audit evaluations': ['avery'],
  propose: ['dana', '--environment', 'production', ...ON],
  edit: null,
  freeze: ['riley', ...SAID],
  'break-glass apply': null,
  'what-if': ['dana', '--operation', 'flag.read'],
  'policy show': ['morgan'],
  'policy history': ['morgan'],
  'policy download': ['morgan', '--output', '/nonexistent/bundle'],
  'policy set': ['morgan', '/config/limits/request_ttl_s', '86400', '--reason', 'x'],
  // They read a file of the machine first, or take the names of what is not there yet.
  init: null,
  'policy init': null,
  'policy propose': null,
  'policy activate': null,
  'policy backtest': null,
  'policy recover': null,
  'policy add-binding': null,
  'policy remove-binding': null,
  'policy add-trust-rule': null,
  'policy add-window': null,
  'policy unset': null,
  // They read with a token of the environment, or files that anybody may have published.
  publish: null,
  'verify-snapshot': null,
};

function commandsOf(command: Command, words: readonly string[] = []): [string, Command][] {
  const own: [string, Command][] = words.length === 0 ? [] : [[words.join(' '), command]];
  return [...own, ...command.commands.flatMap((each) => commandsOf(each, [...words, each.name()]))];
}

const named = commandsOf(createProgram(createCli(createProcessIo({})), GROUPS)).flatMap(
  ([name, { options }]) =>
    options
      .map(({ long }) => long ?? '')
      .filter((option) => Object.hasOwn(WRONG, option))
      .map((option) => [name, option] as const),
);
const tried = named.filter(([name]) => COMMANDS[name] != null);

/** The words of a command with a wrong name in place of its option. */
function wordsWith(name: string, option: string): [who: string, words: string[]] {
  const [who = '', ...given] = COMMANDS[name] ?? [];
  const [wrong] = WRONG[option] ?? [''];
  const at = given.indexOf(option);
  const rest = at < 0 ? given : given.toSpliced(at, 2);
  const action = option === '--flag' ? ['--action', 'enable'] : [];
  const besides = ['--environment', 'production', ...action];
  const isChange = option === '--flag' || option === '--enable';
  const words = name === 'what-if' && isChange ? besides : rest;
  return [who, [...name.split(' '), ...words, option, wrong]];
}

describe('a wrong name on the command line', () => {
  it('is tried in every command that takes one', () => {
    expect([...new Set(named.map(([name]) => name))].toSorted()).toEqual(Object.keys(COMMANDS).toSorted());
    expect(tried.length).toBeGreaterThan(18);
  });

  it.each(tried)('of %s, with %s, has the one answer', async (name, option) => {
    const [wrong, near] = WRONG[option] ?? ['', null];
    const [who, words] = wordsWith(name, option);
    const { code, err } = await createTerminal(t).as(who, ...words);
    expect([words.join(' '), code, err]).toEqual([words.join(' '), 1, expect.stringContaining('not_found')]);
    expect(err).toMatch(/There is no [a-z -]+ "[^"]+" that you may see\./);
    expect(err).toContain(JSON.stringify(wrong));
    if (near !== null) expect(err).toContain(`Did you mean ${near}?`);
  });

  it.each([
    ['dana', ['flags', 'nav.chekout'], 'nav.checkout'],
    ['avery', ['list', '--proposer', 'dana'], 'person:demo:dana'],
    ['avery', ['decisions', '--principal', 'dana'], 'person:demo:dana'],
    ['dana', ['flags', 'nav.checkout', '--environment', 'prod'], 'production'],
    ['dana', ['flags', 'nav.checkout', '--history', '--environment', 'prod'], 'production'],
    ['riley', ['revoke', 'trust-rule', 'payments-deplox', ...SAID, '--dry-run'], 'payments-deploy'],
  ])('by %s as %j is answered with the nearest', async (who, words, near) => {
    const { code, err } = await createTerminal(t).as(who, ...words);
    expect([code, err]).toEqual([1, expect.stringContaining(`Did you mean ${near}?`)]);
  });

  it.each([
    [['flags', '--enviroment', 'production'], '--environment'],
    [['flgs'], 'flags'],
    [['list', '--kind', 'flag.chnge'], 'flag.change'],
    [['access', 'list', '--capability', 'aprove'], 'approve'],
    [['revoke', 'trust-rul', 'x', ...SAID], 'trust-rule'],
  ])(
    'of an option, a command or a word, as %j, is refused with the nearest before anything is sent',
    async (words, near) => {
      const { code, err } = await createTerminal(t).run(...words);
      expect([code, err]).toEqual([2, expect.stringMatching(new RegExp(`did you mean ${near}\\?`, 'i'))]);
    },
  );

  it.each([
    [['list', '--state', 'opn'], 'open'],
    [['decisions', '--operation', 'request.aprove'], 'request.approve'],
  ])('of a fixed list of the broker, as %j, is refused with the nearest', async (words, near) => {
    const { code, err } = await createTerminal(t).as('avery', ...words);
    expect([code, err]).toEqual([1, expect.stringContaining(`did you mean ${near}?`)]);
  });

  it.each([
    [['--json', 'flags', '--environment', 'production'], 0, /^\{\s+"items"/],
    [['--json', 'profiles', 'list'], 0, /^\{\s+"profiles"/],
    [['--profile=Nobody', 'whoami'], 2, /^$/],
    [['--profile', 'Nobody', 'whoami', '--profile', 'dana'], 0, /^person:demo:dana\n/],
    [['--json', '--', 'flags'], 2, /^\{\s+"code": "usage"/],
    [['--broker'], 2, /^$/],
  ])('is none where a common option stands before the command, as in %j', async (words, status, says) => {
    const { code, out } = await createTerminal(t).as('dana', ...words);
    expect([code, out]).toEqual([status, expect.stringMatching(says)]);
  });

  it('of a profile is answered with the nearest on this machine', async () => {
    const { code, err } = await createTerminal(t).run('profiles', 'remove', 'defalt');
    expect([code, err]).toEqual([1, expect.stringContaining('Did you mean default?')]);
  });
});
