import { readFile } from 'node:fs/promises';
import * as client from 'openid-client';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import type { IdentityLog } from '../identity/refusal.ts';
import { readCapped } from '../issuers/fetch-document.ts';
import { type IssuerConfig, isFetchable } from '../issuers/issuers.ts';
import { assertPublicSubjects, SubjectsDiffer } from '../issuers/subjects.ts';
import { nearestOf, unknownName } from '../unknown-name.ts';

/** How long a provider's metadata is cached, in milliseconds. */
const FRESH_MS = 10 * 60_000;
/** The minimum time between two attempts while a provider does not respond, in milliseconds. */
const FAILURE_COOLDOWN_MS = 5_000;
/** The timeout for one request to a provider, in seconds. */
const TIMEOUT_S = 5;

/** An issuer with browser sign-in. */
export type WebIssuer = IssuerConfig & { web: NonNullable<IssuerConfig['web']> };

/** What {@link createProviders} needs. */
export interface ProvidersDeps {
  issuers: readonly IssuerConfig[];
  fetch: typeof globalThis.fetch;
  clock: Clock;
  log: IdentityLog;
}

/** The OpenID providers for browser sign-in, each with the broker's client. */
export interface Providers {
  /** The issuers configured for browser sign-in. */
  issuers: readonly WebIssuer[];
  /**
   * A provider's client configuration, cached for {@link FRESH_MS}. A failure starts a short cooldown.
   *
   * @throws BrokerError `issuer_unavailable`
   */
  open(issuer: WebIssuer): Promise<client.Configuration>;
}

interface KnownProvider {
  config: Promise<client.Configuration>;
  /** When the cached value becomes stale. */
  untilMs: number;
}

/** Creates the clients. A provider is contacted at the first sign-in only, so the broker starts without it. */
export function createProviders(deps: ProvidersDeps): Providers {
  const { clock, log } = deps;
  const known = new Map<string, KnownProvider>();

  function discoverOnce(issuer: WebIssuer): Promise<client.Configuration> {
    const entry: KnownProvider = {
      config: discover(issuer, deps.fetch).catch((error: unknown) => {
        entry.untilMs = clock() + FAILURE_COOLDOWN_MS;
        const cause = error instanceof SubjectsDiffer ? error.message : faultOf(error);
        log.warn({ issuer: issuer.issuer, cause }, 'identity provider not reached');
        throw unavailable(issuer.issuer);
      }),
      untilMs: clock() + FRESH_MS,
    };
    known.set(issuer.key, entry);
    return entry.config;
  }

  return {
    issuers: deps.issuers.filter((issuer): issuer is WebIssuer => issuer.web !== undefined),
    open: (issuer) => {
      const found = known.get(issuer.key);
      return found !== undefined && clock() < found.untilMs ? found.config : discoverOnce(issuer);
    },
  };
}

/**
 * The named issuer, or the only one; null when there are several to choose from.
 *
 * @throws BrokerError `not_found`
 */
export function chooseIssuer({ issuers }: Providers, key: string | undefined): WebIssuer | null {
  if (issuers.length === 0) {
    throw new BrokerError(
      'not_found',
      'Browser sign-in is not configured: no issuer has `web`. Use the command line: countersign login.',
    );
  }
  if (key === undefined) return issuers.length === 1 ? (issuers[0] ?? null) : null;
  const issuer = issuers.find((candidate) => candidate.key === key);
  if (issuer !== undefined) return issuer;
  const known = issuers.map((candidate) => candidate.key);
  throw unknownName({
    what: 'identity provider',
    name: key,
    nearest: nearestOf(key, known),
    more: `Choose one of ${known.join(', ')}.`,
  });
}

/** The refusal while a provider is unavailable. Existing sessions continue. */
export function unavailable(issuer: string): BrokerError {
  return new BrokerError(
    'issuer_unavailable',
    `The identity provider ${issuer} does not respond correctly. Try again in a moment. Existing sessions are not affected.`,
    { headers: { 'Retry-After': String(FAILURE_COOLDOWN_MS / 1000) } },
  );
}

/** A short cause without any text from the provider, whose responses may contain tokens. */
export function faultOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return typeof code === 'string' ? code : String(name ?? 'unknown');
}

async function discover(issuer: WebIssuer, fetch: typeof globalThis.fetch): Promise<client.Configuration> {
  const { client_id, client_secret_file } = issuer.web;
  // Read with each discovery, so a new secret requires no restart.
  const secret =
    client_secret_file === undefined ? null : (await readFile(client_secret_file, 'utf8')).trim();
  const isPlain = new URL(issuer.issuer).protocol === 'http:';
  const server = new URL(issuer.issuer);
  const config = await client.discovery(server, client_id, undefined, authentication(secret), {
    // The ID token comes over TLS from the provider itself. Its signature is verified anyway.
    execute: [client.enableNonRepudiationChecks, ...(isPlain ? [client.allowInsecureRequests] : [])],
    timeout: TIMEOUT_S,
    [client.customFetch]: guarded(issuer, fetch),
  });
  // The library ignores a trailing slash, but tokens are checked against the exact issuer.
  const metadata = config.serverMetadata();
  if (metadata.issuer !== issuer.issuer) throw new Error('the metadata names another issuer');
  assertPublicSubjects(issuer, metadata.subject_types_supported);
  return config;
}

/** `client_secret_basic` if the provider supports it, which is the default; a public client without a secret. */
function authentication(secret: string | null): client.ClientAuth {
  if (secret === null) return client.None();
  return (server, metadata, body, headers) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const method = methods.includes('client_secret_basic')
      ? client.ClientSecretBasic
      : client.ClientSecretPost;
    method(secret)(server, metadata, body, headers);
  };
}

/** Only https (or loopback, where allowed), no redirects, and a limited response size. */
function guarded(issuer: WebIssuer, fetch: typeof globalThis.fetch): client.CustomFetch {
  return async (url, { body, ...options }) => {
    if (!isFetchable(url, issuer.allow_insecure_loopback)) throw new Error('the address is not an https URL');
    const response = await fetch(url, {
      ...options,
      redirect: 'manual',
      ...(body === undefined || body === null ? {} : { body: body as NonNullable<RequestInit['body']> }),
    });
    const { status, headers } = response;
    const text = await readCapped(response);
    return new Response(text === '' ? null : text, { status, headers });
  };
}
