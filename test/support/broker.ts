import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CiIssuer, startCiIssuer } from '../../fixtures/identity/ci-issuer.ts';
import { rebundle, replaceText } from '../../fixtures/rebundle.ts';
import { replayPage } from '../../src/audit/replay.ts';
import { createMeaning } from '../../src/audit/verify/meaning.ts';
import { type Broker, startBroker } from '../../src/broker.ts';
import { loadConfig } from '../../src/config.ts';
import type { RequestKinds } from '../../src/decide/control.ts';
import { createLog, type Logger } from '../../src/logger.ts';
import { inputVersions } from '../../src/policy/input-versions.ts';
import { storedPolicies } from '../../src/policy/stored-policies.ts';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { readHead } from '../../src/store/log-head.ts';
import { listTileLeaves } from '../../src/store/log-tiles.ts';
import type { Store } from '../../src/store/store.ts';
import { TILE_WIDTH } from '../../src/tree/tiles.ts';
import { watchAnswers } from './answers.ts';
import { IS_POSTGRES } from './postgres-server.ts';
import { startTokenIssuer, type TokenIssuer } from './token-issuer.ts';

/** Wednesday, 18 November 2026, 10:30 in Berlin: inside the shipped business hours. */
export const WORKING_HOURS_MS = Date.UTC(2026, 10, 18, 9, 30);

/** A clock that a test sets. */
export interface TestClock {
  (): number;
  set(ms: number): void;
  /** Runs with the clock of the machine until it is set: beside others that do, a clock that stands falls behind them. */
  follow(): void;
  advance(ms: number): void;
}

/** What a call answered. */
export interface Reply {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any;
  headers: Headers;
}

export interface TestBroker {
  broker: Broker;
  url: string;
  folder: string;
  /** Its database, as the configuration names it. */
  file: string;
  clock: TestClock;
  people: TokenIssuer;
  ci: CiIssuer;
  /** Calls the API as a person of the cast (`dana`, `alex+mfa`), with a token, or as nobody. */
  call(
    who: string | null,
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Reply>;
  /** A Countersign token for the CI job of `acme/payments`, or for the service `acme/checkout`. */
  workloadToken(job?: 'payments' | 'checkout', form?: Record<string, string>): Promise<string>;
  /** Stops the broker and starts another one on the same file, which may know other kinds of requests. */
  restart(kinds?: RequestKinds): Promise<void>;
  /**
   * Starts another broker on the same database, whose `close` leaves everything else as it is. Both need the same `public_url`.
   *
   * @param itsClock default: the clock of this one
   */
  another(itsClock?: TestClock): Promise<TestBroker>;
  /** Verifies now what `close` verifies, because what is recorded from here on is forged. */
  beforeForging(): Promise<void>;
  close(): Promise<void>;
}

/** Starts the real broker on a file in a new folder, with issuers that sign real tokens, and a clock of the test's. */
export async function startTestBroker(
  options: {
    nowMs?: number;
    editData?: (data: unknown, issuers: { people: string; ci: string }) => unknown;
    archive?: Buffer;
    /** The database that it finds; none unless it is given. */
    database?: Buffer;
    /** Takes the place of members of the configuration; a function is given what they would be. */
    config?: Record<string, unknown> | ((defaults: Record<string, unknown>) => Record<string, unknown>);
    /** The kinds of requests that it knows; those that the broker comes with unless they are given. */
    kinds?: RequestKinds;
    /** Whether the test forges records, or spoils the store: then its decisions are not replayed at the end. */
    forged?: true;
    /** Where the broker logs; nowhere unless it is given. */
    log?: Logger;
    /** Whether Express serves every request of the control and audit planes. */
    onlyExpress?: boolean;
    /** The folder of the built console, if it is served. */
    consoleFolder?: string;
    /** Sees every request before it is answered. */
    observe?: RequestListener;
  } = {},
): Promise<TestBroker> {
  const clock = createTestClock(options.nowMs ?? WORKING_HOURS_MS);
  const [people, ci, folder] = await Promise.all([
    startTokenIssuer(clock),
    startCiIssuer({ clock }),
    mkdtemp(join(tmpdir(), 'countersign-')),
  ]);
  const shipped =
    options.archive ??
    (await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url)));
  const archive = await rebundle(shipped, (data) => {
    const local = replaceText(data, {
      'http://127.0.0.1:9401': people.issuer,
      'http://127.0.0.1:9402': ci.issuer,
    });
    return options.editData?.(local, { people: people.issuer, ci: ci.issuer }) ?? local;
  });
  await writeFile(join(folder, 'bundle.tar.gz'), archive);
  const file = join(folder, 'countersign.db');
  if (options.database !== undefined) await writeFile(file, options.database);
  // Not loaded otherwise: processes of tests start brokers, too.
  const server = IS_POSTGRES ? await (await import('./postgres.ts')).createDatabase() : null;
  const { config } = options;
  const defaults = configFor(people, ci);
  await writeFile(
    join(folder, 'countersign.yaml'),
    JSON.stringify({
      ...defaults,
      ...(server === null ? {} : { database: server.address }),
      ...(typeof config === 'function' ? config(defaults) : config),
    }),
  );
  const answers = watchAnswers();
  const start = (kinds = options.kinds, itsClock = clock) =>
    startBroker({
      ...(kinds === undefined ? {} : { kinds }),
      config: loadConfig({ file: join(folder, 'countersign.yaml'), env: {} }),
      clock: itsClock,
      log: options.log ?? createLog('silent'),
      onlyExpress: options.onlyExpress ?? false,
      consoleFolder: options.consoleFolder ?? null,
      observe: (req, res) => {
        answers.observe(req, res);
        options.observe?.(req, res);
      },
    });

  let isForged = options.forged === true;
  const assertHonest = async () => {
    await assertReplayable(test.broker.store, options.kinds);
    await assertMeaningful(test.broker.store);
  };
  const tokens = new Map<string, string>();
  const test: TestBroker = {
    broker: await start(),
    url: '',
    folder,
    file: server?.address ?? file,
    clock,
    people,
    ci,
    ...callsTo(() => test.url),
    restart: async (kinds) => {
      await test.broker.close();
      test.broker = await start(kinds);
      test.url = test.broker.url;
    },
    another: async (itsClock = clock) => {
      const broker = await start(options.kinds, itsClock);
      const { url } = broker;
      return { ...test, ...callsTo(() => url), broker, url, clock: itsClock, close: () => broker.close() };
    },
    beforeForging: async () => {
      await assertHonest();
      isForged = true;
    },
    close: async () => {
      if (!isForged) await assertHonest();
      await test.broker.close();
      await Promise.all([people.close(), ci.close(), server?.remove()]);
      await rm(folder, { recursive: true, force: true });
      answers.assertDeclared();
    },
  };
  test.url = test.broker.url;
  return test;

  function callsTo(urlNow: () => string): Pick<TestBroker, 'call' | 'workloadToken'> {
    return {
      call: async (who, method, path, body, headers = {}) => {
        const token = who === null ? null : await tokenOf(who);
        const response = await fetch(`${urlNow()}${path}`, {
          method,
          headers: {
            ...(token === null ? {} : { authorization: `Bearer ${token}` }),
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...headers,
          },
          ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        });
        const text = await response.text();
        return {
          status: response.status,
          body: text === '' ? null : JSON.parse(text),
          headers: response.headers,
        };
      },
      workloadToken: async (job = 'payments', form = {}) => {
        const subject = job === 'payments' ? await ci.token() : await ci.checkoutToken();
        const answer = await exchange(urlNow(), subject, form);
        if (answer.body.access_token === undefined) throw new Error(JSON.stringify(answer.body));
        return answer.body.access_token;
      },
    };
  }

  async function tokenOf(who: string): Promise<string> {
    if (who.includes('.')) return who;
    const [person = '', factor] = who.split('+');
    const key = `${who}@${Math.floor(clock() / 60_000)}`;
    const known = tokens.get(key);
    if (known !== undefined) return known;
    const token = await people.idToken(person, { mfa: factor === 'mfa' });
    tokens.set(key, token);
    return token;
  }
}

/** Every decision that a test recorded comes out the same when it is replayed. */
async function assertReplayable(store: Store, kinds: RequestKinds = requestKinds): Promise<void> {
  const policies = storedPolicies({ inputs: inputVersions(kinds.all) });
  let from_place = 1;
  for (;;) {
    const page = await replayPage({ store, policies }, { from_place }, 1000);
    if (page.first_difference !== null) throw new Error(JSON.stringify(page.first_difference));
    if (page.next_place === null) return;
    from_place = page.next_place;
  }
}

/** What a stranger can verify holds for the log of every test, so no honest log is ever taken for a forged one. */
async function assertMeaningful(store: Store): Promise<void> {
  const meaning = createMeaning();
  const { size } = await readHead(store.read);
  for (let index = 0; index * TILE_WIDTH < size; index += 1) {
    const leaves = await listTileLeaves(store.read, { index, width: TILE_WIDTH });
    for (const leaf of leaves) meaning.take(Buffer.from(leaf));
  }
}

/** Exchanges a platform token, as a pipeline does. */
export async function exchange(
  url: string,
  subjectToken: string,
  form: Record<string, string> = {},
): Promise<Reply> {
  const response = await fetch(`${url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: subjectToken,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      ...form,
    }),
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

function configFor(people: TokenIssuer, ci: CiIssuer): Record<string, unknown> {
  return {
    listen: { port: 0 },
    policy_bundle: 'bundle.tar.gz',
    calls_per_minute: 0,
    attempts_per_minute: 0,
    issuers: [
      {
        key: 'demo',
        issuer: people.issuer,
        allow_insecure_loopback: true,
        audience: 'countersign-cli',
        algorithms: ['ES256'],
        claims: { person: 'employee_id' },
        levels: { acr: { 'urn:countersign:password': 1, 'urn:countersign:mfa': 2 } },
      },
    ],
    workload_issuers: [{ issuer: ci.issuer, allow_insecure_loopback: true }],
  };
}

/** A clock that stands until a test moves it. */
export function createTestClock(startMs: number): TestClock {
  let read = () => startMs;
  const set = (ms: number) => {
    read = () => ms;
  };
  return Object.assign(() => read(), {
    set,
    follow: () => {
      read = Date.now;
    },
    advance: (ms: number) => set(read() + ms),
  });
}
