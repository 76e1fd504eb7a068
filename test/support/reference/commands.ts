import type { Argument, Command, Option } from 'commander';
import { createCli } from '../../../src/cli/cli.ts';
import { DELIBERATE_RULE } from '../../../src/cli/deliberate.ts';
import { loadGroups } from '../../../src/cli/groups.ts';
import { EXIT_CODES } from '../../../src/cli/output/exit-codes.ts';
import { createProcessIo } from '../../../src/cli/process-io.ts';
import { createProgram } from '../../../src/cli/program.ts';
import { markdownTable } from './markdown.ts';

const GROUPS = await loadGroups();

/** Options that the introduction of the page describes once. */
const COMMON: ReadonlySet<string> = new Set(['--json', '--broker', '--profile', '--step-up']);

/** A command that does something. */
export interface Leaf {
  words: string[];
  command: Command;
}

/** The commands that do something, by the words of a command line. */
export function leavesOf(command: Command, words: string[] = []): Leaf[] {
  const inner = command.commands.flatMap((each) => leavesOf(each, [...words, each.name()]));
  return inner.length === 0 ? [{ words, command }] : inner;
}

/** All commands. */
export function listCommands(): Leaf[] {
  return leavesOf(createProgram(createCli(createProcessIo({})), GROUPS));
}

/** The generated part of docs/commands.md. */
export function commandsReference(): string {
  const leaves = listCommands();
  const list = leaves.map(({ words, command }) => [
    `[\`${words.join(' ')}\`](#${anchorOf(words)})`,
    command.description(),
  ]);
  const statuses = EXIT_CODES.map(({ status, means }) => [`${status}`, means]);
  return [
    '## Exit status',
    markdownTable(['status', 'means'], statuses),
    '`propose`, `edit`, `rebase`, `apply`, `lift`, `revocations lift` and `break-glass apply` exit with the state of the request. All\nother commands exit with 0 on success.',
    '## Deliberate acts',
    DELIBERATE_RULE.join('\n').replaceAll(/--\w+/g, '`$&`'),
    '## List',
    markdownTable(['command', 'does'], list),
    ...leaves.map(sectionOf),
  ].join('\n\n');
}

/** The anchor that GitHub makes of the heading of a command. */
function anchorOf(words: readonly string[]): string {
  return words.join('-');
}

function sectionOf({ words, command }: Leaf): string {
  const usage = ['countersign', ...words, ...command.registeredArguments.map(nameOf)].join(' ');
  const args = command.registeredArguments.map((argument) => [
    `\`${nameOf(argument)}\``,
    argument.description,
  ]);
  const options = command.options
    .filter((option) => !option.hidden && !COMMON.has(option.long ?? ''))
    .map((option) => [`\`${option.flags}\``, saysOf(option)]);
  const rows = [...args, ...options];
  return [
    `### ${words.join(' ')}`,
    `\`${usage}\`: ${command.description()}.`,
    ...(rows.length === 0 ? [] : [markdownTable(['takes', 'is'], rows)]),
  ].join('\n\n');
}

function nameOf(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function saysOf({ description, argChoices, defaultValue, mandatory }: Option): string {
  return [
    description,
    ...(argChoices === undefined ? [] : [`one of ${argChoices.map((choice) => `\`${choice}\``).join(', ')}`]),
    ...(typeof defaultValue === 'string' || typeof defaultValue === 'number'
      ? [`default \`${defaultValue}\``]
      : []),
    ...(mandatory ? ['required'] : []),
  ].join('; ');
}
