import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { inexactNumber, isExactNumber } from '../json-numbers.ts';
import { readYaml } from '../yaml.ts';
import { usageError } from './cli-error.ts';
import type { Io } from './io.ts';

/** A change as sent. It is assembled here and validated by the broker. */
type ChangeDocument = Record<string, unknown>;

/** The change options of a command line, in their order. */
export interface ChangeOptions {
  /**
   * Returns the changes, and the other members of a request if a file has them.
   *
   * @throws CliError `usage` when an option is incomplete or a file cannot be read
   */
  load(io: Io): Promise<{ changes: ChangeDocument[]; rest: Record<string, unknown> }>;
}

/** An option as parsed; files are read later. */
type Item = { kind: 'change'; change: ChangeDocument } | { kind: 'file'; path: string };

/** Adds the change options. They may be repeated, and their order is kept. */
export function addChangeOptions(command: Command): ChangeOptions {
  const items: Item[] = [];
  const add = (change: ChangeDocument): void => {
    items.push({ kind: 'change', change });
  };
  command
    .option('--enable <flag>', 'switch a flag on', (flag: string) => add({ action: 'enable', flag }))
    .option('--disable <flag>', 'switch a flag off', (flag: string) => add({ action: 'disable', flag }))
    .option('--set-audience <flag>', 'set the audience of a flag, together with --audience', (flag: string) =>
      add({ action: 'set_audience', flag }),
    )
    .option('--audience <who>', 'all, none, or organizations such as org:acme,org:globex', (who: string) =>
      completeAudience(items, who),
    )
    .option(
      '--rollout <flag and shares...>',
      'set shares in percent: new-nav on=25,off=75 (or: new-nav none)',
      (word: string) => addRolloutWord(items, word),
    )
    .option('--return-to <flag@version>', 'return to an earlier version', (text: string) =>
      add(parseReturn(text)),
    )
    .option('--retire <flag>', 'retire a flag in every environment, for ever', (flag: string) =>
      add({ action: 'retire', flag }),
    )
    .option(
      '--file <path>',
      'read a request or a list of changes from a YAML or JSON file; - is standard input',
      (path: string) => {
        items.push({ kind: 'file', path });
      },
    );
  return { load: (io) => loadItems(io, items) };
}

function completeAudience(items: readonly Item[], who: string): void {
  const last = lastChange(items);
  if (last?.action !== 'set_audience' || 'audience' in last) {
    throw usageError('--audience must directly follow --set-audience FLAG.');
  }
  last.audience = parseAudience(who);
}

function parseAudience(who: string): Record<string, unknown> {
  if (who === 'all' || who === 'none') return { kind: who };
  const organizations = who.split(',').map((word) => {
    const organization = /^org:(.+)$/.exec(word.trim())?.[1];
    if (organization === undefined) {
      throw usageError(
        `Invalid audience "${word}". Use all, none, or organizations such as org:acme,org:globex.`,
      );
    }
    return organization;
  });
  return { kind: 'some', organizations, users: [] };
}

/** The option takes two values, which arrive one by one: the flag, then its shares. */
function addRolloutWord(items: Item[], word: string): void {
  const last = lastChange(items);
  if (last?.action === 'set_rollout' && !('rollout' in last)) {
    last.rollout = word === 'none' ? null : parseShares(word);
  } else {
    items.push({ kind: 'change', change: { action: 'set_rollout', flag: word } });
  }
}

function parseShares(text: string): { variant: string; percent: number }[] {
  return text.split(',').map((share) => {
    const [, variant, percent] = /^([^=]+)=(\d+(?:\.\d+)?)%?$/.exec(share.trim()) ?? [];
    if (variant === undefined) {
      throw usageError(`Invalid share "${share}". Write shares in percent, such as on=25,off=75.`);
    }
    return { variant, percent: exactly(percent) };
  });
}

function parseReturn(text: string): ChangeDocument {
  const [, flag, version] = /^([^@]+)@v?(\d+)$/.exec(text) ?? [];
  if (flag === undefined) throw usageError(`"${text}" has no version. Write it as new-nav@3.`);
  return { action: 'return_to_version', flag, version: exactly(version) };
}

function exactly(number = ''): number {
  if (!isExactNumber(number)) throw usageError(inexactNumber(number));
  return Number(number);
}

function lastChange(items: readonly Item[]): ChangeDocument | undefined {
  const last = items.at(-1);
  return last?.kind === 'change' ? last.change : undefined;
}

async function loadItems(io: Io, items: readonly Item[]): ReturnType<ChangeOptions['load']> {
  const changes: ChangeDocument[] = [];
  let rest: Record<string, unknown> = {};
  for (const item of items) {
    if (item.kind === 'change') {
      assertComplete(item.change);
      changes.push(item.change);
      continue;
    }
    const document = await loadDocument(io, item.path);
    if (Array.isArray(document)) {
      changes.push(...(document as ChangeDocument[]));
    } else {
      const { changes: listed = [], ...others } = document;
      if (!Array.isArray(listed)) throw usageError(`"changes" in ${item.path} must be a list.`);
      changes.push(...(listed as ChangeDocument[]));
      rest = { ...rest, ...others };
    }
  }
  return { changes, rest };
}

function assertComplete({ action, flag, ...members }: ChangeDocument): void {
  if (action === 'set_audience' && !('audience' in members)) {
    throw usageError(`--set-audience ${flag} requires --audience all|none|org:…`);
  }
  if (action === 'set_rollout' && !('rollout' in members)) {
    throw usageError(`--rollout ${flag} requires shares after the flag, such as on=25,off=75`);
  }
}

async function loadDocument(io: Io, path: string): Promise<unknown[] | Record<string, unknown>> {
  let text: string;
  try {
    text = path === '-' ? await io.readStdin() : await readFile(path, 'utf8');
  } catch (error) {
    throw usageError(`${path} cannot be read: ${(error as Error).message}`);
  }
  const document = readYaml(text);
  if ('faults' in document) {
    throw usageError(`${path} is not usable YAML or JSON: ${document.faults.join('; ')}`);
  }
  const { value } = document;
  if (typeof value !== 'object' || value === null) {
    throw usageError(`${path} must contain a request or a list of changes.`);
  }
  return value as unknown[] | Record<string, unknown>;
}
