import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { isOrigin, isProxy } from './config-addresses.ts';
import {
  type IssuerConfig,
  isFetchable,
  issuerConfigSchema,
  type WorkloadIssuer,
  workloadIssuerSchema,
} from './issuers/issuers.ts';
import { type MasterKeyConfig, readMasterKeys } from './keys/master-key-config.ts';
import { describeFaults, type SchemaFault } from './schema-faults.ts';

/**
 * The broker's configuration: one YAML file, and environment variables that override single values. This is the only
 * reader of the environment. What governs flags is not here but in the policy bundle, under the policy hash.
 */
export const configSchema = z.strictObject({
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
    .refine(isOrigin, 'must have no path, query or credentials: give the broker a host name of its own')
    .transform((url) => new URL(url).origin)
    .optional(),
  /** The SQLite file; made on the first start. */
  database: z.string().min(1).default('countersign.db'),
  /** Holds the key that the secrets in the database are sealed under. Default: `<database>.master-key`, made once. */
  master_key_file: z.string().min(1).optional(),
  /** Holds the key before; what is sealed under it is sealed anew at the next start. */
  previous_master_key_file: z.string().min(1).optional(),
  /** After so many days the broker signs with a new key; 0 for never. */
  signing_key_days: z.coerce.number().int().min(0).default(30),
  /** The bundle that a first start activates. Later starts only compare it with the active one. */
  policy_bundle: z.string().min(1).optional(),
  log_level: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  /** Calls a principal may make each minute to the control and audit plane; 0 sets no limit. */
  calls_per_minute: z.coerce.number().int().min(0).default(600),
  /** Attempts that an address may make each minute where nobody has to say who they are; 0 sets no limit. */
  attempts_per_minute: z.coerce.number().int().min(0).default(300),
  /** The proxies in front, whose `X-Forwarded-For` is believed. */
  trusted_proxies: z
    .array(z.string().refine(isProxy, 'must be an IP address, or a network such as 10.0.0.0/8'))
    .default([]),
  /** Identity providers of people. */
  issuers: z
    .array(issuerConfigSchema)
    .refine(isEachOnce('key'), 'must have each key once: it names the issuer in the ids of people')
    .refine(isEachOnce('issuer'), 'must have each issuer once: put its clients into one `audience`')
    .default([]),
  /** How long a browser's session lasts: without a request, and at most. */
  sessions: z
    .strictObject({
      idle_minutes: z.coerce.number().int().min(1).max(1440).default(30),
      absolute_hours: z.coerce.number().int().min(1).max(168).default(12),
    })
    .prefault({}),
  /** Which SCIM attribute names the person, and what the broker's name of them has before it. */
  provisioning: z
    .strictObject({
      attribute: z.enum(['userName', 'externalId']).default('externalId'),
      prefix: z.string().max(100).default(''),
    })
    .prefault({}),
  /** How to reach the issuers that trust rules name, where discovery at the issuer will not do. */
  workload_issuers: z
    .array(workloadIssuerSchema)
    .refine(isEachOnce('issuer'), 'must have each issuer once: put the settings of one issuer into one entry')
    .default([]),
});

/** The validated configuration, with all paths absolute. */
export type Config = Readonly<z.infer<typeof configSchema>> & {
  /** The file it was read from, or null when there is none. */
  readonly file: string | null;
  readonly master_key: MasterKeyConfig;
};

/** True for a list in which no two entries have the same `member`. */
function isEachOnce<Member extends string>(
  member: Member,
): (entries: readonly Readonly<Record<Member, string>>[]) => boolean {
  return (entries) => new Set(entries.map((entry) => entry[member])).size === entries.length;
}

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
  COUNTERSIGN_ATTEMPTS_PER_MINUTE: ['attempts_per_minute'],
};

/** The file that is read when none is named, if it is there. */
const DEFAULT_FILE = 'countersign.yaml';

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
  const folder = file === null ? process.cwd() : dirname(resolve(file));
  const files = locateFiles(document, folder);
  const { master_key, faults: keyFaults } = readMasterKeys({
    env: options.env,
    file: files.master_key_file,
    previousFile: files.previous_master_key_file,
    defaultFile: `${files.database}.master-key`,
  });
  const faults = [
    ...(parsed.success ? [] : describeFaults(configSchema, document, parsed.error)),
    ...fileFaults(files),
    ...keyFaults,
    ...(parsed.success ? webFaults(parsed.data, folder) : []),
    ...(parsed.success ? keySetFaults(parsed.data, folder) : []),
  ].map(({ path, detail }) => `  ${nameKey(path, options.env)}: ${detail}`);
  if (!parsed.success || faults.length > 0) {
    throw new ConfigError(
      `the configuration ${file ?? '(environment only)'} is not usable:\n${faults.join('\n')}`,
    );
  }
  const issuers = parsed.data.issuers.map((issuer) => locateSecret(issuer, folder));
  const workload_issuers = parsed.data.workload_issuers.map((issuer) => locateKeySet(issuer, folder));
  return Object.freeze({
    ...parsed.data,
    issuers,
    workload_issuers,
    ...files,
    master_key,
    file: file === null ? null : resolve(file),
  });
}

/** The keys that name files. */
const FILE_KEYS = ['database', 'policy_bundle', 'master_key_file', 'previous_master_key_file'] as const;

/** The files that the configuration names; one whose name is itself a fault is left out. */
type Files = { [Key in (typeof FILE_KEYS)[number]]?: string };

/** The absolute paths, also when other parts of the configuration have faults. */
function locateFiles(document: Record<string, unknown>, folder: string): Files {
  const files: Files = {};
  for (const key of FILE_KEYS) {
    const file = configSchema.shape[key].safeParse(document[key]).data;
    if (file !== undefined) files[key] = resolve(folder, file);
  }
  return files;
}

/** What the first start would stumble over half-way. Later starts have the bundle in the database. */
function fileFaults({ database, policy_bundle }: Files): SchemaFault[] {
  const isStarted = database !== undefined && existsSync(database);
  const faults: SchemaFault[] = [];
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

function locateKeySet(issuer: WorkloadIssuer, folder: string): WorkloadIssuer {
  const { jwks_file } = issuer;
  return jwks_file === undefined ? issuer : { ...issuer, jwks_file: resolve(folder, jwks_file) };
}

/** What is in the files is looked at when the broker starts. */
function keySetFaults({ workload_issuers }: Pick<Config, 'workload_issuers'>, folder: string): SchemaFault[] {
  return workload_issuers.flatMap(({ jwks_file }, index) =>
    jwks_file === undefined || isReadableFile(resolve(folder, jwks_file))
      ? []
      : [
          {
            path: ['workload_issuers', index, 'jwks_file'],
            detail: `${resolve(folder, jwks_file)} is no file that can be read; put the issuer's key set there`,
          },
        ],
  );
}

function locateSecret(issuer: IssuerConfig, folder: string): IssuerConfig {
  const file = issuer.web?.client_secret_file;
  if (issuer.web === undefined || file === undefined) return issuer;
  return { ...issuer, web: { ...issuer.web, client_secret_file: resolve(folder, file) } };
}

/** What would keep people from signing in with a browser. */
function webFaults(config: z.infer<typeof configSchema>, folder: string): SchemaFault[] {
  const { public_url, listen, issuers } = config;
  const faults: SchemaFault[] = [];
  const isWeb = issuers.some(({ web }) => web !== undefined);
  // Browsers keep `Secure` cookies from https, and from plain http on their own machine.
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  if (isWeb && !isFetchable(public_url ?? `http://${host}`, true)) {
    const detail = 'must be an https URL, because an issuer has `web`: browsers keep no session otherwise';
    faults.push({ path: ['public_url'], detail });
  }
  issuers.forEach((issuer, place) => {
    const file = locateSecret(issuer, folder).web?.client_secret_file;
    if (file === undefined || isReadableFile(file)) return;
    const path = ['issuers', place, 'web', 'client_secret_file'];
    faults.push({ path, detail: `${file} is no file that can be read` });
  });
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

function readYaml(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(
      `the configuration ${file} cannot be read: ${(error as Error).message}. Name one with --config or COUNTERSIGN_CONFIG.`,
    );
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
