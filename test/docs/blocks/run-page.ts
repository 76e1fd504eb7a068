import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readPage } from '../pages.ts';
import { answerFaults, commandFaults, documentFaults } from './check-block.ts';
import { commandsOf, type DocumentedCommand } from './commands.ts';
import { createPeople, type People } from './people.ts';
import { createPlaceholders, differenceOf, type Placeholders } from './placeholders.ts';
import type { Block } from './read-blocks.ts';
import type { Demo, PageStage, StageName } from './stage.ts';
import { openTerminal, type Terminal } from './terminal.ts';
import { fileNameOf, quoteFaults, treatmentOf, treeFaults } from './treat-block.ts';

/** What a remark beside a command says about its exit status; without such a word it is 0. */
const REMARKS: readonly [RegExp, number][] = [
  [/^held\b/, 3],
  [/^refused\b/, 4],
];
/** The question of a command that would change something. */
const QUESTION = /\[y\/N\] $/;

/** Places outside of a clone that pages name, which are folders of their own here. */
const PLACES = ['/etc/countersign', '/var/lib/countersign', '/backup', '/srv/log'];

/** A page with open terminals. */
interface PageRun {
  stage: PageStage;
  placeholders: Placeholders;
  people: People;
  terminals: Map<string, OpenTerminal>;
  /** Terminals in which something goes on. */
  busy: Terminal[];
  /** What was not as the page says. */
  faults: string[];
}

interface OpenTerminal {
  terminal: Terminal;
  name: string;
  cwd: string;
  /** The profile of the command that runs now. */
  profile: string;
  /** How much was on the screen when a question of that command was answered. */
  answered: number;
}

/**
 * Treats the blocks of a page in order, as a reader would: each in the terminal that it names, and all in one clone.
 *
 * @throws Error with all that was not as the page says
 */
export async function runPage(demo: Demo, blocks: readonly Block[], name: StageName): Promise<void> {
  const faults = blocks.flatMap(checkBlock);
  if (blocks.some(isTyped)) faults.push(...(await readPageAloud(demo, blocks, name)));
  if (faults.length > 0) throw new Error(`\n${faults.join('\n\n')}`);
}

/** Whether a block needs a terminal, or what was printed there. */
function isTyped(block: Block): boolean {
  return ['commands', 'file', 'answer'].includes(treatmentOf(block));
}

/** What is wrong with a block that is looked at alone. */
function checkBlock(block: Block): string[] {
  const faults = () => {
    switch (treatmentOf(block)) {
      case 'file':
      case 'document':
        return documentFaults(block);
      case 'quote':
        return quoteFaults(block);
      case 'parsed':
        return commandFaults(block.text);
      case 'tree':
        return treeFaults(block);
      default:
        return [];
    }
  };
  return faults().map((fault) => `${placeOf(block)}: ${fault}`);
}

const placeOf = ({ page, line }: Block) => `${page}:${line}`;

async function readPageAloud(demo: Demo, blocks: readonly Block[], name: StageName): Promise<string[]> {
  const stage = await demo.openFor(blocks[0]?.page ?? '', name);
  const run: PageRun = {
    stage,
    placeholders: createPlaceholders({
      ...Object.fromEntries(PLACES.map((place) => [place, `${stage.env.HOME}${place}`])),
      ...demo.addresses,
      'http://127.0.0.1:8480': stage.url,
      ...variablesOf(demo.printed),
    }),
    people: createPeople(() => {
      for (const { terminal } of run.terminals.values()) terminal.type('\u0003');
    }),
    terminals: new Map(),
    busy: [],
    faults: [],
  };
  try {
    for (const block of blocks.filter(isTyped)) await typeBlock(run, block);
  } finally {
    for (const { terminal } of run.terminals.values()) await terminal.close();
    for (const terminal of run.busy) await terminal.close();
    await stage.close();
  }
  return run.faults;
}

/** The variables of the CI job, as `make demo` prints them. */
function variablesOf(printed: string): Record<string, string> {
  const lines = printed.matchAll(/^ +export (ACTIONS_\w+)=(.*)$/gm);
  return Object.fromEntries([...lines].map(([, name, value]) => [`${name}=…`, `${name}=${value}`]));
}

async function typeBlock(run: PageRun, block: Block): Promise<void> {
  const file = fileNameOf(block);
  if (treatmentOf(block) === 'answer') {
    run.faults.push(
      ...answerFaults(block, run.placeholders.fill).map((fault) => `${placeOf(block)}: ${fault}`),
    );
  } else if (file !== null) {
    await mkdir(dirname(join(run.stage.clone, file)), { recursive: true });
    await writeFile(join(run.stage.clone, file), `${run.placeholders.here(block.text)}\n`);
  } else {
    for (const command of [...preparationsOf(block), ...commandsOf(block.text, block.language === 'console')])
      await typeCommand(run, block, command);
  }
}

/** What a reader has done before, and the page does not show: sign-ins, and commands. */
function preparationsOf({ notes }: Block): DocumentedCommand[] {
  const signIns = (notes.get('as')?.split(', ') ?? []).map((person, place) => ({
    text: place === 0 ? 'countersign login --fresh' : `countersign login --profile ${person}`,
    remark: `as ${person}`,
    shown: [],
  }));
  return [...signIns, ...commandsOf((notes.get('before') ?? '').replaceAll('; ', '\n'), false)];
}

async function terminalFor(run: PageRun, { notes }: Block): Promise<OpenTerminal> {
  const name = notes.get('terminal') ?? 'first';
  const known = run.terminals.get(name);
  if (known !== undefined) return known;
  const { clone } = run.stage;
  return openIn(
    run,
    name,
    notes.get('in') === 'an empty folder' ? await mkdtemp(join(clone, 'empty-')) : clone,
  );
}

async function openIn(run: PageRun, name: string, cwd: string): Promise<OpenTerminal> {
  const terminal = await openTerminal({
    cwd,
    env: run.stage.env,
    onOutput: (screen) => watch(run, name, screen),
  });
  const opened = { terminal, name, cwd, profile: 'default', answered: 0 };
  run.terminals.set(name, opened);
  return opened;
}

function watch({ terminals, people }: PageRun, name: string, screen: string): void {
  const opened = terminals.get(name);
  if (opened === undefined) return;
  people.look(screen, opened.profile);
  if (!QUESTION.test(screen) || screen.length <= opened.answered) return;
  opened.answered = screen.length;
  opened.terminal.type('y\n');
}

/** Types a command, and notes what was not as the page says; the reader goes on, as well as they can. */
async function typeCommand(run: PageRun, block: Block, command: DocumentedCommand): Promise<void> {
  const fault = (text: string) => run.faults.push(`${placeOf(block)}: ${command.text}\n${text}`);
  if (command.text.startsWith('make ')) {
    if (!hasTarget(command.text)) fault('the Makefile has no such target');
    return;
  }
  const opened = await terminalFor(run, block);
  try {
    const text = run.placeholders.fill(command.text);
    if (/^countersign serve\b/.test(text)) await serve(run, opened, text);
    else for (const each of await runCommand(run, opened, { ...command, text })) fault(each);
  } catch (error) {
    fault(String(error));
  }
}

async function runCommand(
  { people, placeholders }: PageRun,
  opened: OpenTerminal,
  { text, remark, shown }: DocumentedCommand,
): Promise<string[]> {
  opened.profile = / --profile ([\w-]+)/.exec(text)?.[1] ?? 'default';
  opened.answered = 0;
  const isSignIn = /^countersign login\b/.test(text);
  const [, person] = (isSignIn && /\bas ([\w-]+)/.exec(remark)) || [];
  if (person !== undefined) people.expect(person, opened.profile);
  const { code, output } = await opened.terminal.run(text);
  await people.settle();
  placeholders.learn(output);
  const expected = statusOf(remark, shown);
  const difference = shown.length === 0 ? null : differenceOf(shown, output, placeholders);
  return [
    ...(code === expected ? [] : [`has the status ${code}, not ${expected}:\n${output}`]),
    ...(difference === null ? [] : [`does not print\n${difference}\nbut\n${output}`]),
    ...(person === undefined || new RegExp(` as ${person}[ ,]`).test(output)
      ? []
      : [`is not ${person}:\n${output}`]),
    ...(/\bcurl\b/.test(text) && isRefusal(output) !== /^refused\b/.test(remark)
      ? [`is answered with\n${output}`]
      : []),
  ];
}

/** The exit status that the page lets expect. */
function statusOf(remark: string, shown: readonly string[]): number {
  if (shown.some((line) => /^(pending|ready)\b/.test(line))) return 3;
  return REMARKS.find(([pattern]) => pattern.test(remark))?.[1] ?? 0;
}

/** Whether an answer is a problem document, or an error of OAuth or SCIM. */
function isRefusal(output: string): boolean {
  return /^\{.*("error"|"gates"|scim:api:messages:2\.0:Error)/m.test(output) && !/"state"/.test(output);
}

/** Starts what goes on in its terminal, and opens another one in the same place. */
async function serve(run: PageRun, opened: OpenTerminal, text: string): Promise<void> {
  const { terminal, name, cwd } = opened;
  await terminal.startUntil(text, 'listening');
  run.busy.push(terminal);
  await openIn(run, name, cwd);
}

/** `make demo` is what the page runs against, and `make test` is what runs here. */
function hasTarget(text: string): boolean {
  return new RegExp(`^${text.split(' ')[1]}:`, 'm').test(readPage('Makefile'));
}
