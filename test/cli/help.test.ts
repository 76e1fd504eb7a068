import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCli } from '../../src/cli/cli.ts';
import { loadGroups } from '../../src/cli/groups.ts';
import type { Io } from '../../src/cli/io.ts';
import { SHELLS } from '../../src/cli/output/completion.ts';
import { createProgram, runCli } from '../../src/cli/program.ts';

const GROUPS = await loadGroups();

const io: Io = {
  stdout: () => undefined,
  stderr: () => undefined,
  readStdin: async () => '',
  env: {},
  home: '/nonexistent',
  fetch,
  clock: () => 0,
  sleep: async () => undefined,
  ask: null,
  openBrowser: () => undefined,
  onStopSignal: () => () => undefined,
  exit: () => undefined,
};

async function outputOf(...argv: string[]): Promise<string> {
  let out = '';
  await runCli(argv, {
    ...io,
    stdout: (text) => {
      out += text;
    },
  });
  return out;
}

interface Leaf {
  words: string[];
  command: Command;
}

/** The commands that do something. */
function leavesOf(command: Command, words: string[] = []): Leaf[] {
  const inner = command.commands.flatMap((each) => leavesOf(each, [...words, each.name()]));
  return inner.length === 0 ? [{ words, command }] : inner;
}

const leaves = leavesOf(createProgram(createCli(io), GROUPS));

/** The words of a command line, as a shell reads it. */
function wordsOf(line: string): string[] {
  return execFileSync('sh', ['-c', `printf '%s\\n' ${line.replace(/ > .*$/, '')}`], { encoding: 'utf8' })
    .trim()
    .split('\n');
}

describe('the help of a command', () => {
  it('is found for all of them', () => {
    expect(leaves.length).toBeGreaterThan(60);
  });

  it.each(leaves.map(({ words }) => words.join(' ')))(
    'has an example that the command line takes: %s',
    async (name) => {
      const help = await outputOf(...name.split(' '), '--help');
      const [, block = ''] = /\nExamples?:\n([\s\S]*)/.exec(help) ?? [];
      // Up to a remark beside it, or the end of what the shell puts in its place.
      const lines = block
        .replaceAll('\\\n', ' ')
        .split('\n')
        .flatMap(
          (line) =>
            /^ +(?:.*[(])?(countersign .+?)(?: {3,}| #|\)|$)/.exec(line.replace(/\\? {2,}--/g, ' --'))?.[1] ??
            [],
        );
      expect(lines.length, help).toBeGreaterThan(0);
      for (const line of lines) {
        const program = createProgram(createCli(io), GROUPS);
        const done: string[] = [];
        for (const { words, command } of leavesOf(program)) {
          command.action(() => {
            done.push(words.join(' '));
          });
        }
        const first =
          line
            .trim()
            .replace(/ #.*$/, '')
            .split(/ && | \| /)[0] ?? '';
        await program.parseAsync(wordsOf(first).slice(1), { from: 'user' });
        expect(done.length, line).toBe(1);
      }
    },
  );
});

describe('completion', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-completion-'));
    for (const shell of SHELLS) writeFileSync(join(folder, shell), await outputOf('completion', shell));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const ask = (...words: string[]): string[] => {
    const script = `source ${join(folder, 'bash')}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _countersign; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync('bash', ['-c', script, 'bash', 'countersign', ...words], { encoding: 'utf8' })
      .trim()
      .split('\n');
  };

  it('in bash knows commands, their commands, options and choices', () => {
    expect(ask('pol')).toEqual(['policy']);
    expect(ask('policy', 'add-')).toEqual(['add-binding', 'add-trust-rule', 'add-window']);
    expect(ask('propose', '--environment', 'production', '--pl')).toEqual(['--plan']);
    expect(ask('access', 'list', '--capability', 'ap')).toEqual(['approve']);
    expect(ask('access', 'list', '--nam')).toEqual(['--namespace']);
    // A value is no command.
    expect(ask('propose', '--reason', 'policy', '--app')).toEqual(['--apply']);
    expect(ask('propose', '--reason', 'p')).toEqual(['']);
    expect(ask('nonsense')).toEqual(['']);
  });

  it.each(leaves.map(({ words }) => words.join(' ')))('knows the command %s', (name) => {
    const words = name.split(' ');
    expect(ask(...words)).toContain(words.at(-1));
  });

  it.each(SHELLS)('is a script that %s accepts', (shell) => {
    const checked = spawnSync(shell, ['-n', join(folder, shell)], { encoding: 'utf8' });
    if (shell !== 'bash' && checked.error !== undefined) return;
    expect([checked.status, checked.stderr]).toEqual([0, '']);
  });
});
