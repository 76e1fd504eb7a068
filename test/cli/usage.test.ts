import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createCli } from '../../src/cli/cli.ts';
import { loadGroups } from '../../src/cli/groups.ts';
import type { Io } from '../../src/cli/io.ts';
import { createProgram } from '../../src/cli/program.ts';
import { runAlone } from './alone.ts';

const GROUPS = await loadGroups();

/* A wrong command line is told once: in words on standard error, or with --json as the one document on standard output. */

interface Leaf {
  words: string[];
  command: Command;
}

function leavesOf(command: Command, words: string[] = []): Leaf[] {
  const inner = command.commands.flatMap((each) => leavesOf(each, [...words, each.name()]));
  return inner.length === 0 ? [{ words, command }] : inner;
}

const leaves = leavesOf(createProgram(createCli({} as Io), GROUPS));

/** What options want that are read before the rest of the line is judged. */
const SAMPLES: Readonly<Record<string, string>> = { '--days': '1-5', '--start': '09:00', '--end': '17:00' };

/** Words that the command takes, if their meaning is left aside. */
const argumentsOf = ({ registeredArguments }: Command): string[] =>
  registeredArguments.filter(({ required }) => required).map(({ argChoices }) => argChoices?.[0] ?? 'x');
const optionsOf = ({ options }: Command): string[] =>
  options
    .filter(({ mandatory }) => mandatory)
    .flatMap(({ long, argChoices }) => [long ?? '', argChoices?.[0] ?? SAMPLES[long ?? ''] ?? 'x']);

/** The wrong command lines of each command, and what is said of them. */
function mistakesOf({ words, command }: Leaf): [string[], RegExp][] {
  const right = [...words, ...argumentsOf(command), ...optionsOf(command)];
  const isEndless = command.registeredArguments.some(({ variadic }) => variadic);
  const most = command.registeredArguments.map(({ argChoices }) => argChoices?.[0] ?? 'x');
  return [
    [[...right, '--no-such-option'], /unknown option '--no-such-option'/],
    ...(argumentsOf(command).length === 0
      ? []
      : [[[...words, ...optionsOf(command)], /missing required argument/] as [string[], RegExp]]),
    ...(optionsOf(command).length === 0
      ? []
      : [[[...words, ...argumentsOf(command)], /required option .* not specified/] as [string[], RegExp]]),
    ...(isEndless
      ? []
      : [
          [[...words, ...most, ...optionsOf(command), 'surplus'], /too many arguments/] as [string[], RegExp],
        ]),
  ];
}

describe('a wrong command line of every command', () => {
  it.each(leaves.map((leaf) => [leaf.words.join(' '), leaf] as const))('%s', async (_name, leaf) => {
    // A script for a shell is no document.
    const hasJson = leaf.command.options.some(({ long }) => long === '--json');
    for (const [argv, says] of mistakesOf(leaf)) {
      const told = await runAlone(argv);
      const line = argv.join(' ');
      expect([line, told.code, told.out], told.err).toEqual([line, 2, '']);
      expect(told.err, line).toMatch(says);
      expect(told.err, line).not.toContain('\u001b');
      expect(told.err.match(new RegExp(says, 'g')), line).toHaveLength(1);
      const document = await runAlone([...argv, '--json']);
      expect([line, document.code, document.err]).toEqual([line, 2, '']);
      expect(document.json, line).toMatchObject({
        code: 'usage',
        detail: expect.stringMatching(hasJson ? says : /unknown option/),
      });
    }
  });
});
