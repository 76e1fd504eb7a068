import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { readPage } from '../pages.ts';
import { answerFaults, documentFaults } from './check-block.ts';
import { commandsOf, type DocumentedCommand, wordsOf } from './commands.ts';
import { createPeople, type People } from './people.ts';
import { createPlaceholders, differenceOf, type Placeholders } from './placeholders.ts';
import type { Block } from './read-blocks.ts';
import type { Demo, PageStage, StageName } from './stage.ts';
import { openTerminal, type Terminal } from './terminal.ts';
import { fileNameOf, quoteFaults, treatmentOf, unrunFaults } from './treat-block.ts';

/** What a remark beside a command says about its exit status; without such a word it is 0. */
const REMARKS: readonly [RegExp, number][] = [
  [/^held\b/, 3],
  [/^refused\b/, 4],
];
/** The question of a command that would change something. */
const QUESTION = /\[y\/N\] $/;

/** A page with open terminals. */
interface PageRun {
  stage: PageStage;
  placeholders: Placeholders;
  people: People;
  terminals: Map<string, OpenTerminal>;
}

interface OpenTerminal {
  terminal: Terminal;
  /** The profile of the command that runs now. */
  profile: string;
  /** Whether the question of that command was answered. */
  isAnswered: boolean;
}

/** Runs the blocks of a page in order, as a reader would: each in the terminal that it names, and all in one clone. */
export async function runPage(demo: Demo, blocks: readonly Block[], name: StageName): Promise<void> {
  const [{ page } = { page: '' }] = blocks;
  const stage = await demo.openFor(page, name);
  const run: PageRun = {
    stage,
    placeholders: createPlaceholders({
      ...demo.addresses,
      'http://127.0.0.1:8480': stage.url,
      ...variablesOf(demo.printed),
    }),
    people: createPeople(() => {
      for (const { terminal } of run.terminals.values()) terminal.type('\u0003');
    }),
    terminals: new Map(),
  };
  try {
    for (const block of blocks) await treatBlock(run, block);
  } finally {
    for (const { terminal } of run.terminals.values()) await terminal.close();
    await stage.close();
  }
}

/** The variables of the CI job, as `make demo` prints them. */
function variablesOf(printed: string): Record<string, string> {
  const lines = printed.matchAll(/^ +export (ACTIONS_\w+)=(.*)$/gm);
  return Object.fromEntries([...lines].map(([, name, value]) => [`${name}=…`, `${name}=${value}`]));
}

async function treatBlock(run: PageRun, block: Block): Promise<void> {
  const place = `${block.page}:${block.line}`;
  const treatment = treatmentOf(block);
  switch (treatment) {
    case 'commands':
      return runBlock(run, block, place);
    case 'file':
      await writeFile(
        join(run.stage.clone, fileNameOf(block) ?? ''),
        `${run.placeholders.fill(block.text)}\n`,
      );
      return expect(documentFaults(block), place).toEqual([]);
    case 'document':
      return expect(documentFaults(block), place).toEqual([]);
    case 'answer':
      return expect(answerFaults(block, run.placeholders.fill), place).toEqual([]);
    case 'quote':
      return expect(quoteFaults(block), place).toEqual([]);
    case 'parsed':
      return expect(unrunFaults(block), place).toEqual([]);
    case 'elsewhere':
  }
}

async function runBlock(run: PageRun, block: Block, place: string): Promise<void> {
  const opened = await terminalFor(run, block);
  const person = block.notes.get('as');
  if (person !== undefined) {
    run.people.expect(person, 'default');
    await runCommand(run, opened, { text: 'countersign login --fresh', remark: '', shown: [] }, place);
  }
  for (const command of commandsOf(block.text, block.language === 'console')) {
    await runCommand(run, opened, command, `${place}: ${command.text}`);
  }
}

async function terminalFor(run: PageRun, block: Block): Promise<OpenTerminal> {
  const name = block.notes.get('terminal') ?? 'first';
  const known = run.terminals.get(name);
  if (known !== undefined) return known;
  const { clone, env } = run.stage;
  const cwd = block.notes.get('in') === 'an empty folder' ? await mkdtemp(join(clone, 'empty-')) : clone;
  const terminal = await openTerminal({ cwd, env, onOutput: (screen) => watch(run, name, screen) });
  const opened = { terminal, profile: 'default', isAnswered: false };
  run.terminals.set(name, opened);
  return opened;
}

function watch({ terminals, people }: PageRun, name: string, screen: string): void {
  const opened = terminals.get(name);
  if (opened === undefined) return;
  people.look(screen, opened.profile);
  if (!QUESTION.test(screen) || opened.isAnswered) return;
  opened.isAnswered = true;
  opened.terminal.type('y\n');
}

async function runCommand(
  { people, placeholders }: PageRun,
  opened: OpenTerminal,
  { text, remark, shown }: DocumentedCommand,
  place: string,
): Promise<void> {
  const words = wordsOf(text);
  if (words[0] === 'make') return assertTarget(words, place);
  opened.profile = / --profile ([\w-]+)/.exec(text)?.[1] ?? 'default';
  opened.isAnswered = false;
  const [, person] = /\bas (\w+(?:-alt)?)\b/.exec(remark) ?? [];
  if (words.includes('login') && person !== undefined) people.expect(person, opened.profile);
  const { code, output } = await opened.terminal.run(placeholders.fill(text));
  await people.settle();
  const [, expected = 0] = REMARKS.find(([pattern]) => pattern.test(remark)) ?? [];
  if (words.includes('login') && person !== undefined)
    expect(output, place).toMatch(new RegExp(` as ${person}[ ,]`));
  const isShownHeld = shown.some((line) => /^(pending|ready)\b/.test(line));
  expect(code, `${place}\n${output}`).toBe(isShownHeld ? 3 : expected);
  if (shown.length > 0) expect(differenceOf(shown, output, placeholders), `${place}\n${output}`).toBeNull();
  placeholders.learn(output);
}

/** `make demo` is what the page runs against, and `make test` is what runs here. */
function assertTarget([, target = '']: readonly string[], place: string): void {
  expect(readPage('Makefile'), place).toMatch(new RegExp(`^${target}:`, 'm'));
}
