import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, createBrowser, type Page } from '../../fixtures/identity/browser.ts';
import {
  CLI_CLIENT_ID,
  type IdentityProvider,
  type ProviderOptions,
  startIdentityProvider,
  WEB_CLIENT_ID,
  WEB_CLIENT_SECRET,
} from '../../fixtures/identity/provider.ts';
import { replaceText } from '../../fixtures/rebundle.ts';
import type { SessionsTable } from '../../src/store/schema.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { readRecords, readSessions } from '../support/sqlite/rows.ts';

/** How somebody signs in. */
export interface SignInOptions {
  mfa?: boolean;
  /** Added to `/auth/sign-in`. */
  query?: Record<string, string>;
  browser?: Browser;
}

/** A broker at which people sign in with a browser, and the provider that they come from. */
export interface SignInBench {
  t: TestBroker;
  provider: IdentityProvider;
  /** Signs a person in with a browser, and ends where the broker sends it; a new browser unless there is one. */
  signIn(person: string, options?: SignInOptions): Promise<{ browser: Browser; page: Page }>;
  /** The same, up to the provider's answer: the address that the browser would open next is in `url`. */
  signInUntilAnswer(person: string, options?: SignInOptions): Promise<{ browser: Browser; url: URL }>;
  /** Calls the API with a browser's cookies, from a page of the broker unless the headers say otherwise. */
  call(browser: Browser, method: string, path: string, headers?: Record<string, string>): Promise<Reply>;
  /** Sends a form of a page of the broker, which has no fields. */
  press(browser: Browser, path: string): Promise<Page>;
  /** All sessions, oldest first. */
  sessions(): Promise<SessionsTable[]>;
  /** The operations that were recorded, oldest first, with outcome and note. */
  records(): Promise<
    { operation: string; outcome: string; principal: string; note: string | null; token: string | null }[]
  >;
  /** Stops the broker and starts another on the same file and the same port. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** What a bench is made of. */
export interface BenchOptions {
  provider?: Omit<ProviderOptions, 'webOrigin'>;
  /** More issuers of the configuration. */
  others?: readonly Record<string, unknown>[];
  /** Settings of the issuer's `web`. */
  web?: Record<string, unknown>;
  config?: Record<string, unknown>;
  editData?: (data: never) => void;
  /**
   * Also accepts the ID tokens of `t.people`, for the same people: the provider's key is then `web`, and a sign-in has to
   * name it.
   */
  withTokens?: boolean;
  /** The folder of the built console, if it is served. */
  consoleFolder?: string;
}

/** The session's cookie. */
export const SESSION = '__Host-countersign-session';
/** The secrets of the sign-ins that a browser has on their way, oldest first. */
export function signInSecrets({ cookies }: Browser): string[] {
  return [...cookies].flatMap(([name, value]) =>
    /^__Host-countersign-sign-in-[\w-]{8}$/.test(name) ? [value] : [],
  );
}

/** An issuer of the configuration, for a provider with the same two clients. */
export function issuerConfig(key: string, issuer: string, secretFile: string): Record<string, unknown> {
  return {
    key,
    issuer,
    allow_insecure_loopback: true,
    audience: [CLI_CLIENT_ID, WEB_CLIENT_ID],
    algorithms: ['ES256'],
    claims: { person: 'employee_id' },
    levels: { acr: { 'urn:countersign:password': 1, 'urn:countersign:mfa': 2 } },
    web: { client_id: WEB_CLIENT_ID, client_secret_file: secretFile },
  };
}

/** Gives the groups of another issuer the same roles. */
function withIssuer(data: unknown, { as, issuer }: { as: string; issuer: string }): unknown {
  const edited = structuredClone(data) as { config: { role_bindings: { groups: Record<string, unknown> } } };
  const { groups } = edited.config.role_bindings;
  groups[issuer] = groups[as];
  return edited;
}

/** Starts both. The clock of the broker begins at the machine's time, because the provider has no other. */
export async function startSignInBench(options: BenchOptions = {}): Promise<SignInBench> {
  let origin = '';
  const secrets = await mkdtemp(join(tmpdir(), 'countersign-secrets-'));
  const secretFile = join(secrets, 'web');
  await writeFile(secretFile, `${WEB_CLIENT_SECRET}\n`, { mode: 0o600 });
  const provider = await startIdentityProvider({ ...options.provider, webOrigin: () => origin });
  const { withTokens = false } = options;
  const own = issuerConfig(withTokens ? 'web' : 'demo', provider.issuer, secretFile);
  const t = await startTestBroker({
    nowMs: Date.now(),
    ...(options.consoleFolder === undefined ? {} : { consoleFolder: options.consoleFolder }),
    editData: (data, { people }) => {
      const local = withTokens
        ? withIssuer(data, { as: people, issuer: provider.issuer })
        : replaceText(data, { [people]: provider.issuer });
      options.editData?.(local as never);
      return local;
    },
    config: (defaults) => ({
      ...defaults,
      issuers: [
        { ...own, web: { ...(own.web as object), ...options.web } },
        ...(withTokens ? (defaults.issuers as unknown[]) : []),
        ...(options.others ?? []),
      ],
      ...options.config,
    }),
  });
  origin = t.url;

  async function signInUntil(person: string, settings: SignInOptions, until?: string) {
    const { mfa = false, query = {}, browser = createBrowser() } = settings;
    // So that what comes later sorts later.
    t.clock.advance(1);
    const start = await browser.visit(
      `${t.url}/auth/sign-in?${new URLSearchParams(query)}`,
      undefined,
      until,
    );
    // A provider that knows the browser already sends it back at once.
    if (!start.url.pathname.startsWith('/interaction/')) return { browser, page: start };
    const page = await browser.visit(start.url, { person, ...(mfa ? { mfa: 'yes' } : {}) }, until);
    return { browser, page };
  }

  return {
    t,
    provider,
    signIn: (person, settings = {}) => signInUntil(person, settings),
    signInUntilAnswer: async (person, settings = {}) => {
      const { browser, page } = await signInUntil(person, settings, `${t.url}/auth/callback`);
      return { browser, url: page.url };
    },
    call: async (browser, method, path, headers = {}) => {
      const page = await browser.send(`${t.url}${path}`, {
        method,
        headers: { origin: t.url, 'sec-fetch-site': 'same-origin', ...headers },
      });
      const body: unknown = page.text === '' ? null : JSON.parse(page.text);
      return { status: page.status, body, headers: page.headers };
    },
    press: (browser, path) => browser.send(`${t.url}${path}`, { method: 'POST', headers: { origin: t.url } }),
    sessions: async () => readSessions<SessionsTable>(t.file),
    records: async () =>
      readRecords(t.file).map(({ operation, outcome, record }) => {
        const { principal, outcome: said, correlation } = JSON.parse(record);
        return {
          operation,
          outcome,
          principal: principal.id,
          note: said.note?.detail ?? null,
          token: correlation.token,
        };
      }),
    restart: async () => {
      const file = join(t.folder, 'countersign.yaml');
      const config = JSON.parse(await readFile(file, 'utf8'));
      await writeFile(file, JSON.stringify({ ...config, listen: { port: Number(new URL(origin).port) } }));
      await t.restart();
    },
    close: async () => {
      await t.close();
      // A test may have closed it to see what happens without one.
      await provider.close().catch(() => undefined);
      await rm(secrets, { recursive: true, force: true });
    },
  };
}
