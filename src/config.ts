import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
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

/** The file that is read when none is named, if it is there. */
export const DEFAULT_FILE = 'countersign.yaml';

/**
 * Reads file and environment.
 *
 * @param options.file path of the YAML file; it must exist then. Without one, `COUNTERSIGN_CONFIG`, then
 *   `countersign.yaml` in the working folder if there is one
 * @throws ConfigError naming every fault and where it is
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
  if (!parsed.success) {
    throw new ConfigError(
      `the configuration ${file ?? '(environment only)'} is not usable:\n${faults(parsed.error)}`,
    );
  }
  const folder = file === null ? process.cwd() : dirname(resolve(file));
  const { policy_bundle, ...rest } = parsed.data;
  return Object.freeze({
    ...rest,
    ...(policy_bundle === undefined ? {} : { policy_bundle: resolve(folder, policy_bundle) }),
    database: resolve(folder, parsed.data.database),
    file: file === null ? null : resolve(file),
  });
}

/** One line a fault: `issuers.0.issuer: must be …`. */
function faults(error: z.ZodError): string {
  return error.issues
    .map(({ path, message }) => `  ${path.join('.') || '(top level)'}: ${message}`)
    .join('\n');
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
