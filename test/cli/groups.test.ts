import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createCli } from '../../src/cli/cli.ts';
import { GROUPS, loadGroups } from '../../src/cli/groups.ts';
import { createProcessIo } from '../../src/cli/process-io.ts';
import { REQUEST_KINDS } from '../../src/requests/kinds/kinds.ts';
import { KIND_NAMES } from '../../src/requests/kinds/names.ts';
import { importsOf, readSources } from '../support/sources.ts';

/* A command loads its own group. */

const io = createProcessIo({});
const namesOf = (registers: Awaited<ReturnType<typeof loadGroups>>) => {
  const program = new Command();
  for (const register of registers) register(program, createCli(io));
  return program.commands.map((command) => command.name());
};

describe('the groups of commands', () => {
  it.each(
    GROUPS.filter(({ names }) => names[0] !== 'completion').map(
      ({ names }) => [names.join(', '), names] as const,
    ),
  )('%s is named as it is', async (_, names) => {
    for (const name of names) expect(namesOf(await loadGroups([name, '--help']))).toEqual([...names]);
  });

  it.each([[], ['help'], ['--help'], ['completion', 'bash'], ['unknown']])(
    'are all there for %j',
    async (...words) => {
      expect(namesOf(await loadGroups(words.flat())).length).toBe(
        GROUPS.flatMap(({ names }) => names).length,
      );
    },
  );
});

/** What takes long to load, and a command that asks a broker has no use for. */
const HEAVY = [
  'kysely',
  'better-sqlite3',
  'pg',
  'express',
  'pino',
  'prom-client',
  '@open-policy-agent/opa-wasm',
];
/** Groups that open a database, run the broker, or decide by themselves. */
const OF_THIS_MACHINE = [
  'archive',
  'audit',
  'backup',
  'migrate',
  'relay',
  'replay',
  'serve',
  'store',
  'verify',
  'witness',
];

describe('a command that asks a broker', () => {
  const sources = new Map(readSources('src', '.ts').map((source) => [source.path, source]));
  const groups = sources.get('src/cli/groups.ts')?.text ?? '';

  /** The packages that are loaded with a file, without what it imports later. */
  function loadedWith(path: string, seen = new Set<string>()): Set<string> {
    const source = sources.get(path);
    if (seen.has(path)) return seen;
    seen.add(path);
    if (source === undefined) return seen;
    const text = source.text
      .replaceAll(/\bimport\('[^']+'\)/g, '')
      .replaceAll(/^(?:import|export) type .*?;$/gms, '');
    for (const to of importsOf({ path, text })) loadedWith(to, seen);
    return seen;
  }

  it.each(GROUPS.flatMap(({ names: [name = ''] }) => (OF_THIS_MACHINE.includes(name) ? [] : [name])))(
    'loads no store and no policy engine: %s',
    (name) => {
      const [, file = ''] =
        new RegExp(`names: \\[\\s*'${name}'[^\\]]*\\],\\s*load: [^']*'\\./([^']+)'`).exec(groups) ?? [];
      const loaded = loadedWith(`src/cli/${file}`);
      expect(loaded.size).toBeGreaterThan(1);
      expect(HEAVY.filter((vendor) => loaded.has(vendor))).toEqual([]);
    },
  );

  it('would be seen to load them', () => {
    expect(loadedWith('src/cli/commands/serve.ts')).toContain('express');
  });
});

it('the command line knows every kind of request', () => {
  expect(KIND_NAMES).toEqual(REQUEST_KINDS.map(({ name }) => name));
});
