import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { closestMatch } from 'leven';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { issuerConfigSchema, workloadIssuerSchema } from './identity/issuers.ts';

/**
 * The broker's configuration: one YAML file, and environment variables that override single values. This is the only
 * reader of the environment. What governs flags is not here but in the policy bundle, under the policy hash.
 */
const configSchema = z.strictObject({
  listen: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1'),
      /** 0 takes a free port. */
      port: z.coerce.number().int().min(0).max(65535).default(8480),
    })
    .prefault({}),
  /** How others reach the broker: the `iss` of its tokens. Default: the address it listens on. */
  public_url: z
    .url({ protocol: /^https?$/ })
    .transform((url) => url.replace(/\/+$/, ''))
    .optional(),
  /** The SQLite file; made on the first start. */
  database: z.string().min(1).default('countersign.db'),
  /** The bundle that a first start activates. Later starts only compare it with the active one. */
  policy_bundle: z.string().min(1).optional(),
  log_level: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  /** Calls a principal may make each minute to the control and audit plane; 0 sets no limit. */
  calls_per_minute: z.coerce.number().int().min(0).default(600),
  /** Identity providers of people. */
  issuers: z.array(issuerConfigSchema).default([]),
  /** How to reach the issuers that trust rules name, where discovery at the issuer will not do. */
  workload_issuers: z.array(workloadIssuerSchema).default([]),
});

/** The validated configuration, with all paths absolute. */
export type Config = Readonly<z.infer<typeof configSchema>> & {
  /** The file it was read from, or null when there is none. */
  readonly file: string | null;
};

/** What an operator got wrong, all of it at once. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

/** Environment variable to the place it overrides. */
const VARIABLES: Readonly<Record<string, readonly string[]>> = {
  COUNTERSIGN_HOST: ['listen', 'host'],
  COUNTERSIGN_PORT: ['listen', 'port'],
  COUNTERSIGN_PUBLIC_URL: ['public_url'],
  COUNTERSIGN_DATABASE: ['database'],
  COUNTERSIGN_POLICY_BUNDLE: ['policy_bundle'],
  COUNTERSIGN_LOG_LEVEL: ['log_level'],
  COUNTERSIGN_CALLS_PER_MINUTE: ['calls_per_minute'],
};

/** The most characters of a faulty value that are shown. */
const MAX_SHOWN = 80;

/** The file that is read when none is named, if it is there. */
export const DEFAULT_FILE = 'countersign.yaml';

/**
 * Reads file and environment.
 *
 * @param options.file path of the YAML file; it must exist then. Without one, `COUNTERSIGN_CONFIG`, then
 *   `countersign.yaml` in the working folder if there is one
 * @throws ConfigError naming every fault and where it is; nothing has been created then
 */
export function loadConfig(options: { file?: string | undefined; env: NodeJS.ProcessEnv }): Config {
  const named = options.file ?? options.env.COUNTERSIGN_CONFIG;
  const file = named ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : null);
  const document = file === null ? {} : readYaml(file);
  for (const [variable, path] of Object.entries(VARIABLES)) {
    const value = options.env[variable];
    if (value !== undefined && value !== '') override(document, path, value);
  }
  const parsed = configSchema.safeParse(document);
  const files = locateFiles(document, file === null ? process.cwd() : dirname(resolve(file)));
  const faults = [
    ...(parsed.error?.issues ?? []).flatMap((issue) => describeIssue(issue, document)),
    ...fileFaults(files),
  ].map(({ path, detail }) => `  ${nameKey(path, options.env)}: ${detail}`);
  if (!parsed.success || faults.length > 0) {
    throw new ConfigError(
      `the configuration ${file ?? '(environment only)'} is not usable:\n${faults.join('\n')}`,
    );
  }
  return Object.freeze({ ...parsed.data, ...files, file: file === null ? null : resolve(file) });
}

/** One fault of the configuration and the place it is at. */
interface Fault {
  path: readonly PropertyKey[];
  detail: string;
}

/** The files that the configuration names; one whose name is itself a fault is left out. */
type Files = Partial<Pick<Config, 'database' | 'policy_bundle'>>;

/** The absolute paths, also when other parts of the configuration have faults. */
function locateFiles(document: Record<string, unknown>, folder: string): Files {
  const { database, policy_bundle } = configSchema.shape;
  const file = database.safeParse(document.database).data;
  const bundle = policy_bundle.safeParse(document.policy_bundle).data;
  return {
    ...(file === undefined ? {} : { database: resolve(folder, file) }),
    ...(bundle === undefined ? {} : { policy_bundle: resolve(folder, bundle) }),
  };
}

/** What the first start would stumble over half-way. Later starts have the bundle in the database. */
function fileFaults({ database, policy_bundle }: Files): Fault[] {
  const isStarted = database !== undefined && existsSync(database);
  const faults: Fault[] = [];
  if (database !== undefined && !isFolder(dirname(database))) {
    const detail = `there is no folder ${dirname(database)}; make it, or name a file in one that exists`;
    faults.push({ path: ['database'], detail });
  }
  if (database !== undefined && isFolder(database)) {
    faults.push({ path: ['database'], detail: `${database} is a folder; name a file` });
  }
  if (policy_bundle !== undefined && !isStarted && !isReadableFile(policy_bundle)) {
    const detail = `${policy_bundle} is no file that can be read; the first start needs the bundle`;
    faults.push({ path: ['policy_bundle'], detail });
  }
  return faults;
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function isReadableFile(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The key's path, and the environment variable that set it, if one did. */
function nameKey(path: readonly PropertyKey[], env: NodeJS.ProcessEnv): string {
  const key = path.join('.') || '(top level)';
  const [variable] =
    Object.entries(VARIABLES).find(([name, place]) => place.join('.') === key && env[name]) ?? [];
  return variable === undefined ? key : `${key} (${variable})`;
}

/** A part of the configuration's JSON Schema: what is expected at one place. */
type Expected = z.core.JSONSchema.JSONSchema;

/** What zod found, as what is expected there and what was given. An issue names several unknown keys at once. */
function describeIssue(issue: z.core.$ZodIssue, document: unknown): Fault[] {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(expectedAt(path)?.properties ?? {});
    return issue.keys.map((key) => ({ path: [...path, key], detail: describeUnknownKey(key, known) }));
  }
  const expected = expectedAt(path);
  const wanted =
    issue.code === 'custom' || expected === undefined
      ? issue.message
      : `expected ${describeExpected(expected)}`;
  return [{ path, detail: `${wanted}; ${describeGiven(valueAt(document, path))}` }];
}

function describeUnknownKey(key: string, known: string[]): string {
  const nearest = closestMatch(key, known, { maxDistance: Math.max(2, Math.floor(key.length / 2)) });
  return nearest === undefined
    ? `there is no such key; known here are ${known.join(', ')}`
    : `there is no such key; did you mean ${nearest}?`;
}

function expectedAt(path: readonly PropertyKey[]): Expected | undefined {
  let place: Expected | boolean | undefined = z.toJSONSchema(configSchema, {
    io: 'input',
    unrepresentable: 'any',
  });
  for (const step of path) {
    if (typeof place !== 'object') return undefined;
    const { properties, additionalProperties, items }: Expected = place;
    place =
      typeof step === 'number'
        ? (items as Expected | undefined)
        : (properties?.[String(step)] ?? additionalProperties);
  }
  return typeof place === 'object' ? place : undefined;
}

/** What a place of the JSON Schema takes, in words. */
function describeExpected({ type, ...expected }: Expected): string {
  if (expected.anyOf !== undefined) {
    return expected.anyOf.map((each) => describeExpected(each as Expected)).join(' or ');
  }
  if (expected.enum !== undefined) return `one of ${expected.enum.join(', ')}`;
  switch (type) {
    case 'string':
      if (expected.format === 'uri') return 'an http or https URL';
      return expected.pattern === undefined
        ? describeLength(expected)
        : `text that matches ${expected.pattern}`;
    case 'integer':
    case 'number':
      return describeRange(expected);
    case 'boolean':
      return 'true or false';
    case 'array':
      return expected.minItems === undefined ? 'a list' : 'a list that is not empty';
    default:
      return 'a mapping';
  }
}

function describeLength({ maxLength }: Expected): string {
  return maxLength === undefined ? 'text that is not empty' : `text of 1 to ${maxLength} characters`;
}

function describeRange({ minimum, maximum }: Expected): string {
  // zod sets the largest safe integer where the schema sets no limit.
  return maximum === undefined || maximum === Number.MAX_SAFE_INTEGER
    ? `a whole number of at least ${minimum}`
    : `a whole number from ${minimum} to ${maximum}`;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (typeof value !== 'object' || value === null) return undefined;
  return valueAt((value as Record<PropertyKey, unknown>)[step], rest);
}

/** What was given, in short. Whatever an address carries before its `@` may be a password, so it is left out. */
function describeGiven(value: unknown): string {
  if (value === undefined) return 'it is missing';
  if (Array.isArray(value)) return `a list of ${value.length} was given`;
  if (typeof value === 'object' && value !== null) return 'a mapping was given';
  const shown = JSON.stringify(value).replace(/^("(?:[a-z]+:\/\/)?).*@/i, '$1…@');
  return `${shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)}…` : shown} was given`;
}

function readYaml(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`the configuration ${file} cannot be read: ${(error as Error).message}`);
  }
  const document = parseDocument(text, { uniqueKeys: true });
  if (document.errors.length > 0) {
    throw new ConfigError(
      `${file} is not valid YAML:\n${document.errors.map((error) => `  ${error.message}`).join('\n')}`,
    );
  }
  const value: unknown = document.toJS() ?? {};
  if (typeof value !== 'object' || Array.isArray(value)) throw new ConfigError(`${file} must hold a mapping`);
  return value as Record<string, unknown>;
}

function override(document: Record<string, unknown>, path: readonly string[], value: string): void {
  const [head, ...rest] = path;
  if (head === undefined) return;
  if (rest.length === 0) {
    document[head] = value;
    return;
  }
  const inner = document[head];
  const copy = typeof inner === 'object' && inner !== null ? { ...(inner as Record<string, unknown>) } : {};
  document[head] = copy;
  override(copy, rest, value);
}
