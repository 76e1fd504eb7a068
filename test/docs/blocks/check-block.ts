import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { type Command, CommanderError } from 'commander';
import { parseAllDocuments } from 'yaml';
import type { z } from 'zod';
import { createCli } from '../../../src/cli/cli.ts';
import { loadGroups } from '../../../src/cli/groups.ts';
import { createProcessIo } from '../../../src/cli/process-io.ts';
import { createProgram } from '../../../src/cli/program.ts';
import { configSchema } from '../../../src/config-schema.ts';
import { readCases } from '../../../src/policy/cases.ts';
import { parseBrokerData } from '../../../src/policy/data.ts';
import { DATA_FOLDERS } from '../../../src/policy/data-schema.ts';
import { bootstrapSchema } from '../../../src/relay/config.ts';
import { lintTrustRules } from '../../../src/trust/lint.ts';
import { trustRulesOf } from '../../../src/trust/policy-rules.ts';
import { listedIn, readPage } from '../pages.ts';

import { callsOf } from './commands.ts';
import type { Block } from './read-blocks.ts';

const GROUPS = await loadGroups();

/*
 * What can be said about a block without running it: that its commands, its configuration, its data and its answers are
 * ones that this version has.
 */

type Json = Record<string, unknown>;

/** Whether a value is an object with members. */
function isTree(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What is wrong with the calls of the command line in a text. */
export function commandFaults(text: string): string[] {
  return callsOf(text).flatMap((words) => {
    const fault = parseFault(words);
    return fault === null ? [] : [`countersign ${words.join(' ')}: ${fault}`];
  });
}

/** Lets the real program read the words, and do nothing. */
function parseFault(words: readonly string[]): string | null {
  let said = '';
  const silent = { stdout: () => undefined, stderr: (text: string) => (said += text) };
  const program = createProgram(createCli({ ...createProcessIo({}), ...silent }), GROUPS);
  let done = 0;
  const disarm = (command: Command): void => {
    if (command.commands.length === 0)
      command.action(() => {
        done += 1;
      });
    for (const inner of command.commands) disarm(inner);
  };
  disarm(program);
  try {
    program.parse([...words], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return null;
    return said === '' ? String(error) : said.trim();
  }
  return done === 1 ? null : 'this is no command';
}

/** The variables of the command line and of the broker that no page of reference lists. */
function variableFaults(text: string): string[] {
  const known = new Set(listedIn(readPage('docs/configuration.md'), 'variable'));
  const named = [...text.matchAll(/\bCOUNTERSIGN_\w+/g)].map(([name]) => name);
  return [...new Set(named)]
    .filter((name) => !known.has(name))
    .map((name) => `nothing reads the variable ${name}`);
}

/** What a document of YAML can be, by what it has; and what is wrong with it. */
const DOCUMENTS: readonly {
  is(document: unknown): boolean;
  faults(document: Json, text: string): string[];
}[] = [
  // A file of configuration, or a part of one.
  {
    is: (document) => isTree(document) && Object.keys(document).every((key) => key in configSchema.shape),
    faults: (document) => faultsOf(configSchema, document),
  },
  // A bootstrap file of a relay, or a part of one.
  {
    is: (document) => isTree(document) && Object.keys(document).every((key) => key in bootstrapSchema.shape),
    faults: (document) => faultsOf(bootstrapSchema.partial(), document),
  },
  {
    is: (document) =>
      isTree(document) &&
      Object.values(document).every((rule) => isTree(rule) && 'issuer' in rule && 'grant' in rule),
    faults: ruleFaults,
  },
  {
    is: (document) => isTree(document) && 'issuer' in document && 'grant' in document,
    faults: (document) => ruleFaults({ rule: document }),
  },
  {
    is: (document) => isTree(document) && ('changes' in document || 'patch' in document),
    faults: (document) => schemaFaults('Proposal', document),
  },
  // The data of a policy: folders with their rows.
  {
    is: (document) => isTree(document) && Object.keys(document).every((key) => key in DATA_FOLDERS),
    faults: (document) => Object.entries(document).flatMap(([folder, rows]) => dataFaults(folder, rows)),
  },
  {
    is: (document) => Array.isArray(document) && document.every((item) => isTree(item) && 'expected' in item),
    faults: (_, text) => casesFaults(text),
  },
  // A workflow of GitHub, or a job of GitLab.
  {
    is: (document) => isTree(document) && scriptsOf(document).length > 0,
    faults: (document, text) => [...scriptsOf(document).flatMap(commandFaults), ...variableFaults(text)],
  },
  // A resource of Kubernetes, or a part of one.
  {
    is: (document) => isTree(document) && ('spec' in document || 'apiVersion' in document),
    faults: (_, text) => variableFaults(text),
  },
];

/** The scripts in a pipeline, wherever they are. */
function scriptsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(scriptsOf);
  if (!isTree(value)) return [];
  return Object.entries(value).flatMap(([name, member]) =>
    ['run', 'script', 'before_script'].includes(name) ? [member].flat().map(String) : scriptsOf(member),
  );
}

function faultsOf(schema: z.ZodType, document: unknown): string[] {
  const { error } = schema.safeParse(document);
  return error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];
}

function ruleFaults(trust_rules: Json): string[] {
  const environments = {
    production: { kind: 'production' },
    staging: { kind: 'staging' },
    development: { kind: 'development' },
  };
  try {
    const broker = parseBrokerData({ config: { environments, trust_rules } });
    return lintTrustRules(trustRulesOf({ broker })).map(({ rule, detail }) => `${rule}: ${detail}`);
  } catch (error) {
    return [String(error)];
  }
}

function casesFaults(text: string): string[] {
  try {
    const base = Buffer.from(readPage('fixtures/decisions/base.json'));
    readCases(new Map(Object.entries({ 'cases/base.json': base, 'cases/page.json': Buffer.from(text) })));
    return [];
  } catch (error) {
    return [String(error)];
  }
}

/** What is wrong with a document of YAML or JSON. */
export function documentFaults({ text, notes, language }: Block): string[] {
  const folder = notes.get('data') ?? /^# (?:policies\/starter\/|data\/)?config\/(\w+)/.exec(text)?.[1];
  return parseAllDocuments(text).flatMap((parsed) => {
    if (parsed.errors.length > 0) return parsed.errors.map(String);
    const document = parsed.toJS() as Json;
    if (folder !== undefined) return dataFaults(folder, document);
    const kind = DOCUMENTS.find(({ is }) => is(document));
    return kind?.faults(document, text) ?? [`a block of ${language} of no known kind: see CONTRIBUTING.md`];
  });
}

function valueAt(document: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key],
    document,
  );
}

/** Some rows of a folder of a policy's data. */
function dataFaults(folder: string, document: unknown): string[] {
  const schema = (DATA_FOLDERS as Record<string, z.ZodType>)[folder];
  if (schema === undefined) return [`no folder of the data is called ${folder}`];
  if (folder === 'trust_rules') return ruleFaults(document as Json);
  const { error } = schema.safeParse(document);
  // A page may show one row of several: what it leaves out is no fault, what it has must be right.
  return (error?.issues ?? [])
    .filter(({ path }) => valueAt(document, path) !== undefined)
    .map(({ path, message }) => `${path.join('.')}: ${message}`);
}

const document = JSON.parse(readFileSync(new URL('../../../docs/openapi.json', import.meta.url), 'utf8')) as {
  components: { schemas: Record<string, Json> };
};
const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(document, 'openapi');

/** What is wrong with a value by a schema of docs/openapi.json. @param isPart whether members may be left out */
function schemaFaults(name: string, value: unknown, isPart = false): string[] {
  if (document.components.schemas[name] === undefined) return [`docs/openapi.json has no schema ${name}`];
  const validate = ajv.compile({ $ref: `openapi#/components/schemas/${name}` });
  if (validate(value)) return [];
  return (validate.errors ?? [])
    .filter(({ keyword }) => !(isPart && keyword === 'required'))
    .map(({ instancePath, message = '', params }) => `${instancePath}: ${message} ${JSON.stringify(params)}`);
}

/**
 * What is wrong with an answer that a page shows: a document, or some members of one.
 *
 * @param fill puts what commands have printed in the place of placeholders
 */
export function answerFaults({ text, notes }: Block, fill: (text: string) => string): string[] {
  const name = notes.get('answer') ?? '';
  const filled = fill(text);
  const value: unknown = JSON.parse(/^[[{]/.test(filled) ? filled : `{${filled}}`);
  const known = document.components.schemas[name]?.properties;
  const unknown =
    isTree(value) && isTree(known) ? Object.keys(value).filter((member) => !(member in known)) : [];
  return [...schemaFaults(name, value, true), ...unknown.map((member) => `${name} has no member ${member}`)];
}
