import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Browser, createBrowser } from '../../fixtures/identity/browser.ts';
import { signIn as signInOnCommandLine } from '../../fixtures/identity/sign-in.ts';
import { loadConfig } from '../../src/config.ts';
import type { RequestCredentials } from '../../src/identity/credential.ts';
import { createSessions, type SessionsDeps } from '../../src/sessions/sessions.ts';
import { insertRevocation } from '../../src/store/revocations.ts';
import { passTime } from '../support/pass-time.ts';
import { SESSION, type SignInBench, startSignInBench } from './support.ts';

let b: SignInBench;
beforeAll(async () => {
  b = await startSignInBench();
});
afterAll(() => b.close());

const FLAG = {
  namespace: 'payments',
  kind: 'release',
  tier: 'informational',
  owner: 'team-payments',
  purpose: 'what a browser proposes',
  variants: { on: true, off: false },
  retirement: 'when it is on for everybody',
};
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Back to the machine's time, where the provider is. */
const backToNow = () => b.t.clock.set(Date.now());

async function signedIn(person: string): Promise<{ browser: Browser; id: string }> {
  const { browser } = await b.signIn(person);
  const { body } = await b.call(browser, 'GET', '/v1/whoami');
  return { browser, id: body.session };
}

describe('a session', () => {
  it('stands for the person on every call of the control plane', async () => {
    const { browser, id } = await signedIn('dana');
    const { status, body, headers } = await b.call(browser, 'GET', '/v1/whoami');
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toMatchObject({
      principal: {
        id: 'person:demo:dana',
        kind: 'person',
        person: 'emp-1001',
        groups: ['payments-developers'],
      },
      credential: { issuer: b.provider.issuer, token_id: `session:${id}` },
      session: id,
    });
    expect(body.principal.token.issued_ms).toBe(body.credential.issued_ms);
    expect(body.credential.expires_ms - body.credential.issued_ms).toBe(12 * HOUR_MS);
    const proposed = await b.t.call(
      null,
      'POST',
      '/v1/requests',
      {
        environment: 'development',
        reason: 'by a browser',
        changes: [{ action: 'create', flag: 'by-browser', definition: FLAG }],
      },
      { cookie: `${SESSION}=${browser.cookies.get(SESSION)}`, origin: b.t.url },
    );
    expect([proposed.status, proposed.body.proposer?.id]).toEqual([201, 'person:demo:dana']);
  });

  it('is named in the records of what it did', async () => {
    const { browser, id } = await signedIn('avery');
    await b.call(browser, 'GET', '/v1/decisions');
    expect((await b.records()).at(-1)).toMatchObject({
      operation: 'decision.read',
      principal: 'person:demo:avery',
      token: `session:${id}`,
    });
  });

  it('ends when it was not used for half an hour, and not before', async () => {
    const { browser } = await signedIn('dana');
    for (let step = 0; step < 3; step += 1) {
      b.t.clock.advance(30 * MINUTE_MS - 1);
      expect((await b.call(browser, 'GET', '/v1/whoami')).status).toBe(200);
    }
    b.t.clock.advance(30 * MINUTE_MS);
    const { status, body } = await b.call(browser, 'GET', '/v1/whoami');
    expect([status, body.code]).toEqual([401, 'unauthenticated']);
    expect(body.detail).toContain('/auth/sign-in');
    backToNow();
  });

  it('ends after twelve hours, however busy it is', async () => {
    const { browser } = await signedIn('dana');
    for (let passed = 0; passed < 12 * 60 - 20; passed += 20) {
      b.t.clock.advance(20 * MINUTE_MS);
      expect((await b.call(browser, 'GET', '/v1/whoami')).status).toBe(200);
    }
    b.t.clock.advance(20 * MINUTE_MS);
    expect((await b.call(browser, 'GET', '/v1/whoami')).status).toBe(401);
    expect((await browser.send(`${b.t.url}/auth/account`)).status).toBe(401);
    backToNow();
  });

  it('has its use noted once a minute at most', async () => {
    const { browser, id } = await signedIn('dana');
    const seen = async () => (await b.sessions()).find((row) => row.id === id)?.seen_ms ?? 0;
    const opened = await seen();
    b.t.clock.advance(MINUTE_MS - 1);
    await b.call(browser, 'GET', '/v1/whoami');
    expect(await seen()).toBe(opened);
    b.t.clock.advance(1);
    await b.call(browser, 'GET', '/v1/whoami');
    expect(await seen()).toBe(opened + MINUTE_MS);
    backToNow();
  });

  it('goes on while it is used, also where it may be idle for one minute only', async () => {
    const own = await startSignInBench({ config: { sessions: { idle_minutes: 1 } } });
    const { browser } = await own.signIn('dana');
    for (let step = 0; step < 5; step += 1) {
      own.t.clock.advance(50_000);
      expect((await own.call(browser, 'GET', '/v1/whoami')).status).toBe(200);
    }
    own.t.clock.advance(MINUTE_MS);
    expect((await own.call(browser, 'GET', '/v1/whoami')).status).toBe(401);
    await own.close();
  });

  it('goes on while the provider is gone', async () => {
    const own = await startSignInBench();
    const { browser } = await own.signIn('dana');
    await own.provider.close();
    expect((await own.call(browser, 'GET', '/v1/whoami')).status).toBe(200);
    expect((await browser.send(`${own.t.url}/auth/account`)).status).toBe(200);
    own.t.clock.advance(HOUR_MS / 4);
    const start = await createBrowser().send(`${own.t.url}/auth/sign-in`);
    expect(start.status).toBe(503);
    expect(start.headers.get('retry-after')).toBe('5');
    const out = await own.press(browser, '/auth/sign-out');
    expect(out.headers.get('location')).toBe('/auth/signed-out');
    expect((await own.call(browser, 'GET', '/v1/whoami')).status).toBe(401);
    await own.close();
  });
});

describe('one’s sessions', () => {
  it('are listed, newest first, with the one that asks marked', async () => {
    const one = await signedIn('casey');
    const other = await signedIn('casey');
    await signedIn('dana');
    const { body } = await b.call(one.browser, 'GET', '/v1/sessions');
    expect(body.items.map((item: { id: string }) => item.id)).toEqual([other.id, one.id]);
    expect(body.items[1]).toEqual({
      id: one.id,
      issuer: b.provider.issuer,
      opened_ms: expect.any(Number),
      seen_ms: expect.any(Number),
      expires_ms: expect.any(Number),
      user_agent: 'node',
      current: true,
    });
    expect(body.items[0].current).toBe(false);
  });

  it('are listed without those that are over, and for the command line too', async () => {
    const gone = await signedIn('riley');
    b.t.clock.advance(31 * MINUTE_MS);
    backToNow();
    const ended = await signedIn('riley');
    await b.call(ended.browser, 'DELETE', `/v1/sessions/${ended.id}`);
    b.t.clock.advance(20 * MINUTE_MS);
    const { id_token } = await signInOnCommandLine({ issuer: b.provider.issuer, person: 'riley' });
    backToNow();
    const { body } = await b.t.call(id_token, 'GET', '/v1/sessions');
    expect(body.items).toMatchObject([{ id: gone.id, current: false }]);
  });

  it('end at once when their owner ends them, from any of them', async () => {
    const one = await signedIn('sam');
    const other = await signedIn('sam');
    expect((await b.call(one.browser, 'DELETE', `/v1/sessions/${other.id}`)).status).toBe(204);
    expect((await b.call(other.browser, 'GET', '/v1/whoami')).status).toBe(401);
    expect((await b.call(one.browser, 'GET', '/v1/whoami')).status).toBe(200);
    expect((await b.records()).at(-1)).toMatchObject({
      operation: 'session.end',
      outcome: 'allow',
      principal: 'person:demo:sam',
      note: other.id,
      token: `session:${one.id}`,
    });
    expect((await b.call(one.browser, 'DELETE', `/v1/sessions/${other.id}`)).status).toBe(404);
  });

  it('that were ended write nothing more, not even what is already on its way', async () => {
    const { browser, id } = await signedIn('dana');
    const headers = { cookie: `${SESSION}=${browser.cookies.get(SESSION)}`, origin: b.t.url };
    const propose = (flag: string) =>
      b.t.call(
        null,
        'POST',
        '/v1/requests',
        {
          environment: 'development',
          reason: 'in a hurry',
          changes: [{ action: 'create', flag, definition: FLAG }],
        },
        headers,
      );
    const before = Array.from({ length: 20 }, (_, n) => propose(`hurry-${n}`));
    const end = b.call(browser, 'DELETE', `/v1/sessions/${id}`);
    const after = Array.from({ length: 20 }, (_, n) => propose(`late-${n}`));
    const answers = await Promise.all([...before, ...after]);
    expect((await end).status).toBe(204);
    expect(answers.some(({ status }) => status === 401)).toBe(true);
    expect(answers.every(({ status }) => status === 201 || status === 401)).toBe(true);
    const records = (await b.records()).filter(({ token }) => token === `session:${id}`);
    expect(records.filter(({ operation }) => operation === 'session.end').length).toBe(1);
    expect(records.at(-1)?.operation).toBe('session.end');
  });

  it('end by buttons of the account page too', async () => {
    const one = await signedIn('morgan');
    const other = await signedIn('morgan');
    const account = await one.browser.send(`${b.t.url}/auth/account`);
    expect(account.text).toContain(`action="/auth/sessions/${other.id}/end"`);
    const pressed = await b.press(one.browser, `/auth/sessions/${other.id}/end`);
    expect([pressed.status, pressed.headers.get('location')]).toEqual([303, '/auth/account']);
    expect((await b.call(other.browser, 'GET', '/v1/whoami')).status).toBe(401);
    const last = await b.press(one.browser, `/auth/sessions/${one.id}/end`);
    expect(last.headers.get('location')).toBe('/auth/signed-out');
    expect(one.browser.cookies.has(SESSION)).toBe(false);
  });

  it('are nobody else’s to see or to end', async () => {
    const mine = await signedIn('dana');
    const theirs = await signedIn('alex');
    const { status, body } = await b.call(theirs.browser, 'DELETE', `/v1/sessions/${mine.id}`);
    expect([status, body.code]).toEqual([404, 'not_found']);
    expect((await b.press(theirs.browser, `/auth/sessions/${mine.id}/end`)).status).toBe(404);
    expect((await b.call(mine.browser, 'GET', '/v1/whoami')).status).toBe(200);
    const { body: list } = await b.call(theirs.browser, 'GET', '/v1/sessions');
    expect(JSON.stringify(list)).not.toContain(mine.id);
  });

  it('are not for workloads', async () => {
    const token = await b.t.workloadToken();
    const { status, body } = await b.t.call(token, 'GET', '/v1/sessions');
    expect([status, body.code]).toEqual([403, 'policy_denied']);
    const { id } = await signedIn('dana');
    expect((await b.t.call(token, 'DELETE', `/v1/sessions/${id}`)).status).toBe(404);
  });

  it.each(['x', '..', '%00', "1' or '1'='1"])('%j is no id of one', async (id) => {
    const { browser } = await signedIn('dana');
    expect([400, 404]).toContain(
      (await b.call(browser, 'DELETE', `/v1/sessions/${encodeURIComponent(id)}`)).status,
    );
  });
});

/** What another broker on the same store and configuration has its sessions from. */
function replicaDeps(): SessionsDeps {
  return {
    store: b.t.broker.store,
    issuers: loadConfig({ file: join(b.t.folder, 'countersign.yaml'), env: {} }).issuers,
    publicUrl: b.t.url,
    limits: { idle_minutes: 30, absolute_hours: 12 },
    clock: b.t.clock,
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  };
}

/** What a browser shows of who is calling when it asks who it is. */
function presentedBy(browser: Browser): RequestCredentials {
  return {
    authorization: undefined,
    dpop: [],
    cookie: `${SESSION}=${browser.cookies.get(SESSION)}`,
    method: 'GET',
    target: '/v1/whoami',
    origin: undefined,
    fetch_site: undefined,
  };
}

describe('two brokers on one store', () => {
  it('know the same sessions, and what one ends is over for the other at once', async () => {
    const { browser, id } = await signedIn('dana');
    const replica = createSessions(replicaDeps());
    const presented = presentedBy(browser);
    expect((await replica.callerOf(presented))?.credential.token_id).toBe(`session:${id}`);
    await b.call(browser, 'DELETE', `/v1/sessions/${id}`);
    await expect(replica.callerOf(presented)).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});

describe('the use of a session that cannot be noted', () => {
  it('keeps nobody from reading, whatever the fault, and is logged with it', async () => {
    const { browser, id } = await signedIn('dana');
    b.t.clock.advance(10 * 60_000);
    const { store } = b.t.broker;
    const fault = new Error('no fault of the store');
    const logged: object[] = [];
    const log = { info: () => undefined, warn: () => undefined, error: (line: object) => logged.push(line) };
    const sessions = createSessions({
      ...replicaDeps(),
      store: { ...store, writer: { ...store.writer, write: () => Promise.reject(fault) } },
      log,
    });
    const caller = await sessions.callerOf(presentedBy(browser));
    expect(caller?.credential.token_id).toBe(`session:${id}`);
    expect(logged).toEqual([{ session: id, err: fault }]);
  });
});

describe('a revocation', () => {
  async function revoke(kind: string, value: string, issuedBeforeMs: number | null = null) {
    const id = crypto.randomUUID();
    await b.t.broker.store.writer.write((tx) =>
      insertRevocation(tx, {
        id,
        kind,
        value,
        issued_before_ms: issuedBeforeMs,
        cause: 'incident',
        incident: 'INC-1',
        reason: 'test',
        created_by: '{}',
        created_ms: b.t.clock(),
        expires_ms: null,
        lifted_ms: null,
        lifted_by: null,
        person: null,
        returned_ms: null,
        person_state: null,
      }),
    );
  }

  it('of the session, of its person, or of all before a moment ends it with the next request', async () => {
    const one = await signedIn('dana');
    await revoke('session', `session:${one.id}`);
    expect((await b.call(one.browser, 'GET', '/v1/whoami')).body.code).toBe('token_invalid');
    const other = await signedIn('dana');
    expect((await b.call(other.browser, 'GET', '/v1/whoami')).status).toBe(200);
    b.t.clock.advance(2000);
    await revoke('class', 'person', b.t.clock());
    expect((await b.call(other.browser, 'GET', '/v1/whoami')).status).toBe(401);
    backToNow();
  });

  it('of the person keeps them from signing in again', async () => {
    await revoke('subject', 'emp-1005');
    const { browser, page } = await b.signIn('riley');
    expect(page.status).toBe(401);
    expect(page.text).toContain('this broker did not accept the sign-in');
    expect(browser.cookies.has(SESSION)).toBe(false);
  });
});

describe('an issuer that is taken out of the configuration', () => {
  it('vouches for no session any more', async () => {
    const own = await startSignInBench();
    const { browser } = await own.signIn('dana');
    const file = join(own.t.folder, 'countersign.yaml');
    const config = JSON.parse(await readFile(file, 'utf8'));
    delete config.issuers[0].web;
    await writeFile(file, JSON.stringify(config));
    await own.restart();
    expect((await own.call(browser, 'GET', '/v1/whoami')).status).toBe(401);
    const start = await createBrowser().send(`${own.t.url}/auth/sign-in`);
    expect(start.status).toBe(404);
    expect(start.text).toContain('countersign login');
    await own.close();
  });
});

describe('a policy that opens no sessions', () => {
  it('is followed, and its denial is recorded', async () => {
    const own = await startSignInBench({
      editData: (data: { config: { operations: Record<string, unknown> } }) => {
        delete data.config.operations['session.open'];
      },
    });
    const { browser, page } = await own.signIn('dana');
    expect(page.status).toBe(403);
    expect(browser.cookies.has(SESSION)).toBe(false);
    expect(await own.sessions()).toEqual([]);
    expect((await own.records()).at(-1)).toMatchObject({ operation: 'session.open', outcome: 'deny' });
    await own.close();
  });
});

describe('a session that is long over', () => {
  it('is forgotten after a month, and its records stay', async () => {
    // Of its own: no record of the others may be before those that this makes.
    const own = await startSignInBench({ withTokens: true });
    await own.signIn('dana', { query: { issuer: 'web' } });
    expect(await own.sessions()).toHaveLength(1);
    const recorded = (await own.records()).length;
    own.t.clock.advance(30 * 24 * HOUR_MS);
    await own.t.broker.scheduler.tick();
    expect(await own.sessions()).toHaveLength(1);
    await passTime(own.t, 27 * HOUR_MS);
    expect(await own.sessions()).toEqual([]);
    expect((await own.records()).length).toBeGreaterThanOrEqual(recorded);
    await own.close();
  });
});
