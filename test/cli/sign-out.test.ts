import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createCredentials, type StoredCredentials } from '../../src/cli/auth/credentials.ts';
import type { Io } from '../../src/cli/io.ts';
import { type SignInBench, startSignInBench } from '../sessions/support.ts';
import { signsIn } from './sign-in-support.ts';
import { createTerminal, type Terminal } from './support.ts';

let bench: SignInBench;

beforeAll(async () => {
  bench = await startSignInBench();
});
// The provider has the machine's clock.
beforeEach(() => bench.t.clock.follow());
afterAll(() => bench.close());

/** A terminal where the person has signed in. */
async function signedIn(person: string, io: Partial<Io> = {}): Promise<Terminal> {
  const { home, run } = createTerminal(bench.t, signsIn({ person }));
  expect((await run('login')).code).toBe(0);
  return createTerminal(bench.t, { ...io, home });
}

const keptBy = ({ home }: Terminal): Promise<StoredCredentials> =>
  createCredentials({ env: {}, home }).load(bench.t.url);

/** What becomes of a call with exactly this token. */
async function codeWith(token: string): Promise<unknown> {
  const run = await createTerminal(bench.t, { env: { COUNTERSIGN_TOKEN: token } }).run('whoami', '--json');
  return run.code === 0 ? 'taken' : run.json.code;
}

async function openSessions(person: string): Promise<number> {
  const rows = await bench.sessions();
  return rows.filter(({ principal, ended_ms }) => principal.includes(person) && ended_ms === null).length;
}

describe('whoami', () => {
  it('says who the kept sign-in stands for, and until when', async () => {
    const terminal = await signedIn('avery');
    const { json, code } = await terminal.run('whoami', '--json');
    expect(code).toBe(0);
    expect(json.principal).toMatchObject({
      id: 'person:demo:avery',
      kind: 'person',
      person: 'emp-1006',
      groups: ['auditors'],
      token: { sender_constrained: false },
    });
    expect(json.credential.expires_ms).toBe((await keptBy(terminal)).sign_in?.expires_ms);
    expect(json.session).toBeNull();
    const { out } = await terminal.run('whoami');
    expect(out).toContain('person:demo:avery');
    expect(out).toContain('auditors');
    expect(out).toContain('a bearer token');
    expect(out).not.toContain((await keptBy(terminal)).sign_in?.id_token);
  });

  it('says that the token of a job is bound to a key', async () => {
    const env = { COUNTERSIGN_SUBJECT_TOKEN: await bench.t.ci.token() };
    const job = createTerminal(bench.t, { env });
    const { json } = await job.run('whoami', '--json');
    expect(json.principal).toMatchObject({ kind: 'workload', token: { sender_constrained: true } });
    expect((await job.run('whoami')).out).toContain('bound to a key');
  });

  it('exits with 4 when nobody has signed in', async () => {
    const run = await createTerminal(bench.t).run('whoami', '--json');
    expect([run.code, run.json.code]).toEqual([7, 'not_signed_in']);
  });
});

describe('sessions', () => {
  it("are one's own, and end by their id at once", async () => {
    const { browser } = await bench.signIn('casey');
    await bench.signIn('riley');
    const terminal = await signedIn('casey');
    const { json } = await terminal.run('sessions', 'list', '--json');
    expect(json.items).toHaveLength(1);
    const [{ id, current }] = json.items;
    expect(current).toBe(false);
    expect((await terminal.run('sessions', 'list')).out).toContain(id);

    const other = await signedIn('riley');
    const theirs = await other.run('sessions', 'end', id, '--json');
    expect(theirs.code).not.toBe(0);
    expect((await bench.call(browser, 'GET', '/v1/whoami')).status).toBe(200);

    const ended = await terminal.run('sessions', 'end', id, '--json');
    expect([ended.code, ended.json]).toEqual([0, { id, ended: true }]);
    expect((await bench.call(browser, 'GET', '/v1/whoami')).status).toBe(401);
    expect((await terminal.run('sessions', 'list')).out).toBe('No open sessions.\n');
  });

  it('are not ended by an invalid id', async () => {
    const terminal = await signedIn('casey');
    expect((await terminal.run('sessions', 'end', '..')).code).toBe(2);
    expect((await terminal.run('sessions', 'end', 'x/../../requests', '--json')).code).toBe(1);
  });
});

describe('logout', () => {
  it('revokes the sign-in at the broker, so that a copy of it cannot be used', async () => {
    const terminal = await signedIn('dana');
    const copy = (await keptBy(terminal)).sign_in?.id_token ?? '';
    expect(await codeWith(copy)).toBe('taken');
    const run = await terminal.run('logout', '--json');
    expect([run.code, run.json]).toEqual([
      0,
      { broker: bench.t.url, removed: true, revoked: 1, sessions_ended: 0 },
    ]);
    expect(await codeWith(copy)).toBe('token_invalid');
    expect(await keptBy(terminal)).toEqual({});
    expect(`${run.out}${run.err}`).not.toContain(copy);
  });

  it('revokes exchanged tokens as well', async () => {
    const env = { COUNTERSIGN_SUBJECT_TOKEN: await bench.t.ci.token() };
    const job = createTerminal(bench.t, { env });
    expect((await job.run('whoami')).code).toBe(0);
    const kept = await keptBy(job);
    expect((await job.run('logout', '--json')).json.revoked).toBe(1);
    // The key is still at hand, and that is not enough any more.
    await createCredentials({ env: {}, home: job.home }).update(bench.t.url, () => kept);
    const run = await job.run('whoami', '--json');
    expect([run.code, run.json.code]).toEqual([7, 'token_invalid']);
  });

  it('leaves other sign-ins and sessions of the person alone, unless it is to end everything', async () => {
    const { browser } = await bench.signIn('sam');
    await bench.signIn('sam');
    await bench.signIn('morgan');
    const before = await openSessions('sam');
    expect(before).toBeGreaterThanOrEqual(2);
    const [one, other] = [await signedIn('sam'), await signedIn('sam')];
    expect((await one.run('logout')).code).toBe(0);
    expect((await bench.call(browser, 'GET', '/v1/whoami')).status).toBe(200);

    const run = await other.run('logout', '--everywhere', '--json');
    expect([run.code, run.json.sessions_ended]).toEqual([0, before]);
    expect((await bench.call(browser, 'GET', '/v1/whoami')).status).toBe(401);
    expect([await openSessions('sam'), await openSessions('morgan')]).toEqual([0, 1]);
  });

  it('forgets the sign-in even when the broker gives no answer, and says that a copy still works', async () => {
    const away: typeof fetch = async () => {
      throw new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } });
    };
    const terminal = await signedIn('dana', { fetch: away });
    const copy = (await keptBy(terminal)).sign_in?.id_token ?? '';
    const run = await terminal.run('logout', '--everywhere', '--json');
    expect(run.code).toBe(1);
    expect(run.json).toMatchObject({ removed: true, revoked: 0, sessions_ended: 0 });
    expect(run.err).toContain('no response');
    expect(run.err).toContain('until it expires');
    expect(await keptBy(terminal)).toEqual({});
    expect(await codeWith(copy)).toBe('taken');
  });

  it('says so when the broker does not take it back', async () => {
    const terminal = await signedIn('dana', { fetch: async () => new Response('busy', { status: 503 }) });
    const run = await terminal.run('logout');
    expect(run.code).toBe(1);
    expect(run.err).toContain('503');
    expect(run.out).toContain('Signed out');
    expect(await keptBy(terminal)).toEqual({});
  });

  it('sends the broker nothing for a sign-in that has expired, or where there is none', async () => {
    const sent: string[] = [];
    const watched: typeof fetch = async (input, init) => {
      sent.push(String(input));
      return fetch(input, init);
    };
    const former = await signedIn('dana', { fetch: watched, clock: () => bench.t.clock() + 3_600_000 });
    expect((await former.run('logout', '--json')).json).toMatchObject({ removed: true, revoked: 0 });
    const stranger = createTerminal(bench.t, { fetch: watched });
    const none = await stranger.run('logout', '--json');
    expect([none.code, none.json]).toMatchObject([0, { removed: false, revoked: 0 }]);
    expect(sent.filter((address) => address.startsWith(bench.t.url))).toEqual([]);
    // What could renew the sign-in ends at the provider.
    expect(sent.filter((address) => address.endsWith('/revocation'))).toHaveLength(1);
  });
});
