import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { findFaults } from './config-faults.ts';
import { configSchema, VARIABLES } from './config-schema.ts';
import type { SyncListenerConfig } from './data/sync-config.ts';
import {
  type IssuerConfig,
  isFetchable,
  issuerConfigSchema,
  type WorkloadIssuer,
} from './issuers/issuers.ts';
import { personFaults } from './issuers/subjects.ts';
import { type MasterKeyConfig, readMasterKeys } from './keys/master-key-config.ts';
import type { BundleKeyConfig } from './policy/bundle-keys.ts';
import type { SchemaFault } from './schema-faults.ts';
import { addressFault, isAddress } from './store/database-address.ts';
import { readYaml } from './yaml.ts';

/*
 * The broker's configuration: one YAML file, and environment variables that override single values. This is the only code
 * that reads the environment.
 */

/** The validated configuration, with all paths absolute. */
export type Config = Readonly<z.infer<typeof configSchema>> & {
  /** The file it was read from, or null if there is none. */
  readonly file: string | null;
  readonly master_key: MasterKeyConfig;
};

/** All faults of a configuration, for the operator. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

/** The default file, which is read if it exists. */
const DEFAULT_FILE = 'countersign.yaml';

/**
 * Reads the file and the environment.
 *
 * @param options.file path of the YAML file, which must exist. Default: `COUNTERSIGN_CONFIG`, then `countersign.yaml` in
 *   the working directory, if it exists
 * @throws ConfigError listing every fault and its place; nothing is created then
 */
export function loadConfig(options: { file?: string | undefined; env: NodeJS.ProcessEnv }): Config {
  const named = options.file ?? options.env.COUNTERSIGN_CONFIG;
  const file = named ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : null);
  const document = file === null ? {} : readFile(file);
  for (const [variable, path] of Object.entries(VARIABLES)) {
    const value = options.env[variable];
    if (value !== undefined && value !== '') override(document, path, value);
  }
  const parsed = configSchema.safeParse(document);
  const folder = file === null ? process.cwd() : dirname(resolve(file));
  const located = locateFiles(document, folder);
  const { address, faults: addressFaults } = readAddress(document, located);
  const files = { ...located, ...(address === null ? {} : { database: address }) };
  const { master_key, faults: keyFaults } = readMasterKeys({
    env: options.env,
    file: files.master_key_file,
    previousFile: files.previous_master_key_file,
    defaultFile: isAddress(files.database ?? '')
      ? resolve(folder, 'countersign.master-key')
      : `${files.database}.master-key`,
  });
  const { faults: ownFaults, sound } = findFaults(configSchema, document);
  const faults = [
    ...ownFaults,
    ...addressFaults,
    ...fileFaults(files),
    ...keyFaults,
    ...webFaults(sound),
    ...personFaults(soundIssuers(sound)),
    ...namedFileFaults(sound, folder),
    ...quorumFaults(parsed.data),
    ...archiveFaults(parsed.data),
  ]
    .filter(({ path }, place, all) => all.findIndex((other) => `${other.path}` === `${path}`) === place)
    .map(({ path, detail }) => `  ${nameKey(path, options.env)}: ${detail}`);
  if (!parsed.success || faults.length > 0) {
    throw new ConfigError(
      `the configuration ${file ?? '(environment only)'} is invalid:\n${faults.join('\n')}`,
    );
  }
  const issuers = parsed.data.issuers.map((issuer) => locateKeySet(locateSecret(issuer, folder), folder));
  const workload_issuers = parsed.data.workload_issuers.map((issuer) => locateKeySet(issuer, folder));
  return Object.freeze({
    ...parsed.data,
    issuers,
    workload_issuers,
    bundle_keys: parsed.data.bundle_keys.map((key) => locateBundleKey(key, folder)),
    published_log: parsed.data.published_log.map((place) =>
      /^https?:\/\//.test(place) ? place : resolve(folder, place),
    ),
    retention: locateArchives(parsed.data.retention, folder),
    flagd_sync: parsed.data.flagd_sync.map((listener) => locateCertificates(listener, folder)),
    ...files,
    master_key,
    file: file === null ? null : resolve(file),
  });
}

/** A quorum that no set of witnesses can reach. */
function quorumFaults(config: Pick<Config, 'witnesses' | 'witness_quorum'> | undefined): SchemaFault[] {
  if (config === undefined || (config.witness_quorum ?? 0) <= config.witnesses.length) return [];
  const detail = `there are only ${config.witnesses.length} witnesses; name more of them, or ask for fewer`;
  return [{ path: ['witness_quorum'], detail }];
}

/** Inputs without a place to move them to. A folder that is not mounted is no reason not to start. */
function archiveFaults(config: Pick<Config, 'retention'> | undefined): SchemaFault[] {
  const { archive_folder, inputs_days } = config?.retention ?? {};
  if (inputs_days === undefined || archive_folder !== undefined) return [];
  const detail = 'is required with `inputs_days`: name the folder for the archives';
  return [{ path: ['retention', 'archive_folder'], detail }];
}

function locateArchives(retention: Config['retention'], folder: string): Config['retention'] {
  const { archive_folder } = retention;
  if (archive_folder === undefined) return retention;
  return { ...retention, archive_folder: resolve(folder, archive_folder) };
}

/** The keys that name files. */
const FILE_KEYS = [
  'database',
  'database_file',
  'policy_bundle',
  'master_key_file',
  'previous_master_key_file',
] as const;

/** The files that the configuration names, without those whose name is itself invalid. */
type Files = { [Key in (typeof FILE_KEYS)[number]]?: string };

/** The absolute paths, even if other parts of the configuration have faults. */
function locateFiles(document: Record<string, unknown>, folder: string): Files {
  const files: Files = {};
  for (const key of FILE_KEYS) {
    const file = configSchema.shape[key].safeParse(document[key]).data;
    if (file !== undefined) files[key] = isAddress(file) ? file : resolve(folder, file);
  }
  return files;
}

/** The address of the database that a file holds, or null if none is named. A fault contains nothing of it. */
function readAddress(
  document: Record<string, unknown>,
  { database_file: file }: Files,
): { address: string | null; faults: SchemaFault[] } {
  const fault = (detail: string) => ({ address: null, faults: [{ path: ['database_file'], detail }] });
  if (file === undefined) return { address: null, faults: [] };
  if (document.database !== undefined) return fault('`database` is set, too; use only one of them');
  if (!isReadableFile(file)) return fault(`${file} cannot be read; put the address of the database there`);
  const address = readFileSync(file, 'utf8').trim();
  if (!isAddress(address)) return fault(`${file} holds no address such as postgres://user@host/name`);
  const unreadable = addressFault(address);
  if (unreadable !== null) return fault(`in ${file}, ${unreadable}`);
  return { address, faults: [] };
}

/** Faults that would make the first start fail half-way. Later starts have the bundle in the database. */
function fileFaults({ database: name, policy_bundle }: Files): SchemaFault[] {
  // Whether a server has an installation already is found out when it is opened.
  const isOnServer = name !== undefined && isAddress(name);
  const database = isOnServer ? undefined : name;
  const isStarted = isOnServer || (database !== undefined && existsSync(database));
  const faults: SchemaFault[] = [];
  const unreadable = isOnServer ? addressFault(name) : null;
  if (unreadable !== null) faults.push({ path: ['database'], detail: unreadable });
  if (database !== undefined && !isFolder(dirname(database))) {
    const detail = `the directory ${dirname(database)} does not exist; create it, or choose another file`;
    faults.push({ path: ['database'], detail });
  }
  if (database !== undefined && isFolder(database)) {
    faults.push({ path: ['database'], detail: `${database} is a directory; it must be a file` });
  }
  if (
    policy_bundle !== undefined &&
    !isStarted &&
    !isReadableFile(policy_bundle) &&
    !isFolder(policy_bundle)
  ) {
    const detail = `${policy_bundle} is neither a readable file nor a folder; the first start requires the bundle`;
    faults.push({ path: ['policy_bundle'], detail });
  }
  return faults;
}

function locateKeySet<Issuer extends IssuerConfig | WorkloadIssuer>(issuer: Issuer, folder: string): Issuer {
  const { jwks_file } = issuer;
  return jwks_file === undefined ? issuer : { ...issuer, jwks_file: resolve(folder, jwks_file) };
}

/** The files that entries of lists name, and what belongs there. Their contents are checked when the broker starts. */
const NAMED_FILES = [
  { list: 'issuers', members: ['jwks_file'], remedy: "; put the issuer's key set there" },
  { list: 'issuers', members: ['web', 'client_secret_file'], remedy: '' },
  { list: 'workload_issuers', members: ['jwks_file'], remedy: "; put the issuer's key set there" },
  { list: 'bundle_keys', members: ['key_file'], remedy: '; put the public key there' },
  { list: 'flagd_sync', members: ['tls', 'cert_file'], remedy: '; put the certificate there' },
  { list: 'flagd_sync', members: ['tls', 'key_file'], remedy: '; put its private key there' },
  {
    list: 'flagd_sync',
    members: ['tls', 'client_ca_file'],
    remedy: "; put the authority's certificate there",
  },
] as const;

/** @param sound the document, whose other values may have been repaired */
function namedFileFaults(sound: Record<string, unknown>, folder: string): SchemaFault[] {
  return NAMED_FILES.flatMap(({ list, members, remedy }) =>
    entriesOf(sound, list).flatMap((entry, index) => {
      const file = members.reduce<unknown>(memberOf, entry);
      if (typeof file !== 'string' || isReadableFile(resolve(folder, file))) return [];
      const detail = `${resolve(folder, file)} is not a readable file${remedy}`;
      return [{ path: [list, index, ...members], detail }];
    }),
  );
}

function entriesOf(document: Record<string, unknown>, list: string): readonly unknown[] {
  const entries = document[list];
  return Array.isArray(entries) ? entries : [];
}

function memberOf(value: unknown, member: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[member] : undefined;
}

/** The issuers, if each has the right form: they are compared with each other. */
function soundIssuers(sound: Record<string, unknown>): IssuerConfig[] {
  const entries = entriesOf(sound, 'issuers').map((entry) => issuerConfigSchema.safeParse(entry).data);
  const issuers = entries.filter((entry) => entry !== undefined);
  return issuers.length === entries.length ? issuers : [];
}

function locateBundleKey(key: BundleKeyConfig, folder: string): BundleKeyConfig {
  return key.key_file === undefined ? key : { ...key, key_file: resolve(folder, key.key_file) };
}

function locateCertificates(listener: SyncListenerConfig, folder: string): SyncListenerConfig {
  const { tls } = listener;
  if (tls === undefined) return listener;
  const [cert_file, key_file, client_ca_file] = [tls.cert_file, tls.key_file, tls.client_ca_file].map(
    (file) => resolve(folder, file),
  ) as [string, string, string];
  return { ...listener, tls: { cert_file, key_file, client_ca_file } };
}

function locateSecret(issuer: IssuerConfig, folder: string): IssuerConfig {
  const file = issuer.web?.client_secret_file;
  if (issuer.web === undefined || file === undefined) return issuer;
  return { ...issuer, web: { ...issuer.web, client_secret_file: resolve(folder, file) } };
}

/** An address that would send tokens unencrypted, or prevent browser sign-ins. */
function webFaults(sound: Record<string, unknown>): SchemaFault[] {
  const path = ['public_url'];
  const { public_url } = sound;
  if (typeof public_url === 'string') {
    // A malformed one is reported by its form.
    if (
      !URL.canParse(public_url) ||
      new URL(public_url).protocol !== 'http:' ||
      isFetchable(public_url, true)
    )
      return [];
    const detail =
      'must be an https URL: tokens for the broker would be sent unencrypted. Plain http is for this machine only, such as http://127.0.0.1:8480';
    return [{ path, detail }];
  }
  const listen = configSchema.shape.listen.safeParse(sound.listen).data;
  const host = listen?.host ?? '127.0.0.1';
  const isWeb = entriesOf(sound, 'issuers').some((entry) => memberOf(entry, 'web') !== undefined);
  // Browsers accept `Secure` cookies over https, and over plain http from their own machine.
  if (!isWeb || isFetchable(`http://${host.includes(':') ? `[${host}]` : host}`, true)) return [];
  return [
    {
      path,
      detail: 'must be an https URL, because an issuer has `web`: otherwise browsers store no session',
    },
  ];
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

/** The path of the key, and the environment variable that set it, if any. */
function nameKey(path: readonly PropertyKey[], env: NodeJS.ProcessEnv): string {
  const key = path.join('.') || '(top level)';
  const [variable] =
    Object.entries(VARIABLES).find(([name, place]) => place.join('.') === key && env[name]) ?? [];
  return variable === undefined ? key : `${key} (${variable})`;
}

function readFile(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const remedy =
      code === 'EACCES'
        ? 'Let the user who runs the broker read it and open its folder, or name another file with'
        : 'Name the file with';
    throw new ConfigError(
      `the configuration ${file} cannot be read: ${message}. ${remedy} --config or COUNTERSIGN_CONFIG.`,
    );
  }
  const document = readYaml(text);
  if ('faults' in document) {
    throw new ConfigError(
      `${file} is not usable YAML:\n${document.faults.map((fault) => `  ${fault}`).join('\n')}`,
    );
  }
  const value = document.value ?? {};
  if (typeof value !== 'object' || Array.isArray(value)) throw new ConfigError(`${file} must be a mapping`);
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
