import { readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { isHost, isOrigin, isProxy } from '../config-addresses.ts';
import { findFaults } from '../config-faults.ts';
import { type SyncListenerConfig, syncListenerSchema } from '../data/sync-config.ts';
import { FLAG_KINDS } from '../flags/model.ts';
import { PROXY_HEADERS } from '../http/client-address.ts';
import { LogFault } from '../tree/fault.ts';
import { type NoteVerifier, parseVerifier } from '../tree/note.ts';
import { readYaml } from '../yaml.ts';
import type { RelaySettings } from './environment.ts';
import type { StaleService } from './staleness.ts';

/*
 * The bootstrap file of a relay: where its snapshots come from, by which keys it believes them, and what it does when they become
 * old. What governs flags is in the snapshots alone.
 */

const service = z.enum(['last', 'safe']);

const webAddress = z.url({ protocol: /^https?$/ });

/** The name of an environment is that of a folder, too. */
const environment = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9][\w.-]*$/);

/** The keys of the bootstrap file. docs/relay.md explains them. */
export const bootstrapSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[\w.:-]{1,200}$/)
    .optional(),
  source: z
    .strictObject({
      broker: webAddress
        .refine(isOrigin, 'must have no path, query or credentials')
        .transform((url) => new URL(url).origin)
        .optional(),
      place: z.string().min(1).max(2000).optional(),
      header_file: z.string().min(1).optional(),
    })
    .refine(
      ({ broker, place }) => (broker === undefined) !== (place === undefined),
      'must name either the broker, or the place that snapshots are published to',
    )
    .refine(
      ({ place, header_file }) => header_file === undefined || (place !== undefined && isUrl(place)),
      'has headers, which only the address of a place takes',
    ),
  identity: z.strictObject({ token_file: z.string().min(1).optional() }).prefault({}),
  keys: z.array(z.string().min(1)).min(1),
  environments: z
    .array(environment)
    .min(1)
    .refine((names) => new Set(names).size === names.length, 'must name each environment once'),
  state_folder: z.string().min(1),
  listen: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1'),
      port: z.coerce.number().int().min(0).max(65535).default(8485),
    })
    .prefault({}),
  ticket_secret_file: z.string().min(1).optional(),
  public_url: webAddress.transform((url) => url.replace(/\/+$/, '')).optional(),
  hosts: z.array(z.string().refine(isHost, 'must be a host name or an address')).default([]),
  attempts_per_minute: z.coerce.number().int().min(0).default(300),
  trusted_proxies: z
    .array(z.string().refine(isProxy, 'must be an IP address, or a network such as 10.0.0.0/8'))
    .default([]),
  proxy_header: z.enum(PROXY_HEADERS).default('X-Forwarded-For'),
  flagd_sync: z.array(syncListenerSchema).default([]),
  poll_seconds: z.coerce.number().min(1).max(3600).default(5),
  staleness: z
    .strictObject({
      max_seconds: z.coerce.number().int().min(0).max(31_536_000).default(86_400),
      kinds: z.partialRecord(z.enum(FLAG_KINDS), service).default({}),
      flags: z.record(z.string(), service).default({}),
    })
    .prefault({}),
  log_level: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

/** What the bootstrap file says, with absolute paths. */
export interface RelayConfig
  extends Omit<
    z.infer<typeof bootstrapSchema>,
    'name' | 'source' | 'keys' | 'staleness' | 'ticket_secret_file'
  > {
  file: string;
  name: string;
  source:
    | { kind: 'broker'; broker: string }
    | { kind: 'folder'; folder: string }
    | { kind: 'address'; address: URL; headers: Record<string, string> };
  settings: RelaySettings;
  /** What the tickets of streams are sealed under. */
  ticketSecret?: Buffer;
}

/** All faults of a bootstrap file, for the operator. */
export class RelayConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RelayConfigError';
  }
}

/** What is served of a flag that is too old. A kill switch that nobody can throw any more counts as thrown. */
const STALE_SERVICE: Readonly<Record<(typeof FLAG_KINDS)[number], StaleService>> = {
  release: 'last',
  entitlement: 'last',
  operational: 'safe',
  experiment: 'last',
};

/**
 * Reads a bootstrap file, and the files that it names.
 *
 * @throws RelayConfigError listing every fault and its place
 */
export function loadRelayConfig(file: string): RelayConfig {
  const document = readDocument(file);
  const { faults, sound } = findFaults(bootstrapSchema, document);
  const folder = dirname(resolve(file));
  const collected = faults.map(({ path, detail }) => `${path.join('.') || '(top level)'}: ${detail}`);
  const fault = (path: string, detail: string) => {
    if (!collected.some((line) => line.startsWith(`${path}:`))) collected.push(`${path}: ${detail}`);
  };
  const keys = readKeys(sound.keys, folder, fault);
  const parsed = bootstrapSchema.safeParse(document).data;
  const source = parsed === undefined ? null : readSource(parsed.source, folder, fault);
  const ticketSecret = readSecret(parsed?.ticket_secret_file, folder, fault);
  if (parsed !== undefined && !isFolder(resolve(folder, parsed.state_folder)))
    fault(
      'state_folder',
      `${resolve(folder, parsed.state_folder)} is no folder; create it for the user of the relay`,
    );
  if (parsed === undefined || source === null || collected.length > 0)
    throw new RelayConfigError(
      `the bootstrap file ${file} is invalid:\n${collected.map((line) => `  ${line}`).join('\n')}`,
    );
  const { name = hostname(), staleness, identity, keys: _, ticket_secret_file: __, ...rest } = parsed;
  const { token_file } = identity;
  return {
    ...rest,
    ...{ file: resolve(file), name, source },
    ...(ticketSecret && { ticketSecret }),
    identity: token_file === undefined ? {} : { token_file: resolve(folder, token_file) },
    state_folder: resolve(folder, parsed.state_folder),
    flagd_sync: parsed.flagd_sync.map((listener) => locateCertificates(listener, folder)),
    settings: {
      keys,
      staleness: {
        maxMs: staleness.max_seconds * 1000,
        kinds: { ...STALE_SERVICE, ...staleness.kinds },
        flags: staleness.flags,
      },
    },
  };
}

function locateCertificates({ tls, ...listener }: SyncListenerConfig, folder: string): SyncListenerConfig {
  if (tls === undefined) return listener;
  const at = (file: string) => resolve(folder, file);
  const { cert_file, key_file, client_ca_file } = tls;
  return {
    ...listener,
    tls: { cert_file: at(cert_file), key_file: at(key_file), client_ca_file: at(client_ca_file) },
  };
}

type NoteFault = (path: string, detail: string) => void;

function readDocument(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new RelayConfigError(`the bootstrap file ${file} cannot be read: ${(error as Error).message}`);
  }
  const read = readYaml(text);
  if ('faults' in read)
    throw new RelayConfigError(`the bootstrap file ${file} is no YAML: ${read.faults.join('; ')}`);
  const { value } = read;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RelayConfigError(`the bootstrap file ${file} must be a mapping, such as "keys: […]"`);
  return value as Record<string, unknown>;
}

/** Each entry is a key, or a file with one. A key has a plus sign before and after its id; files seldom do. */
function readKeys(given: unknown, folder: string, fault: NoteFault): NoteVerifier[] {
  const keys: NoteVerifier[] = [];
  for (const [place, entry] of (Array.isArray(given) ? given : []).entries()) {
    if (typeof entry !== 'string') continue;
    try {
      const isKey = /^[^+]+\+[0-9a-f]{8}\+/.test(entry);
      keys.push(parseVerifier(isKey ? entry : readFileSync(resolve(folder, entry), 'utf8')));
    } catch (error) {
      const { message } = error as Error;
      const says = error instanceof LogFault ? message : `${entry} is neither a key nor a readable file`;
      fault(`keys.${place}`, says);
    }
  }
  return keys;
}

/** A shorter one could be guessed: whoever knows it opens tickets, and so reads tokens out of addresses. */
const MIN_SECRET_BYTES = 32;

function readSecret(file: string | undefined, folder: string, fault: NoteFault): Buffer | undefined {
  if (file === undefined) return undefined;
  const path = resolve(folder, file);
  const found = statSync(path, { throwIfNoEntry: false });
  const secret = found?.isFile() === true ? Buffer.from(readFileSync(path, 'utf8').trim()) : null;
  if (secret !== null && secret.length >= MIN_SECRET_BYTES) return secret;
  fault(
    'ticket_secret_file',
    `${path} must hold a secret of at least ${MIN_SECRET_BYTES} characters, such as openssl rand -base64 32 writes`,
  );
  return undefined;
}

function readSource(
  { broker, place, header_file }: z.infer<typeof bootstrapSchema>['source'],
  folder: string,
  fault: NoteFault,
): RelayConfig['source'] | null {
  if (broker !== undefined) return { kind: 'broker', broker };
  if (place === undefined) return null;
  if (!isUrl(place)) return { kind: 'folder', folder: resolve(folder, place) };
  const address = URL.canParse(place) ? new URL(place) : null;
  if (address === null || !['http:', 'https:'].includes(address.protocol)) {
    fault('source.place', 'must be a folder, or an http or https URL');
    return null;
  }
  if (address.username !== '' || address.password !== '') {
    fault('source.place', 'must not have a name or a password in it; give them with header_file');
    return null;
  }
  return { kind: 'address', address, headers: readHeaders(header_file, folder, fault) };
}

/** Lines like those of a request. What is wrong with one is said without its value. */
function readHeaders(file: string | undefined, folder: string, fault: NoteFault): Record<string, string> {
  if (file === undefined) return {};
  const headers = new Headers();
  try {
    for (const [at, line] of readFileSync(resolve(folder, file), 'utf8').split(/\r?\n/).entries()) {
      if (line.trim() === '' || line.startsWith('#')) continue;
      const [, name = '', value = ''] = /^([^:\s]+):(.*)$/.exec(line) ?? [];
      try {
        headers.append(name, value);
      } catch {
        fault('source.header_file', `line ${at + 1} is no header; write one a line: <name>: <value>`);
      }
    }
  } catch {
    fault('source.header_file', `${resolve(folder, file)} cannot be read`);
  }
  return Object.fromEntries(headers);
}

function isUrl(place: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(place);
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
