import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { decodeJwt } from 'jose';
import { describe, expect, it, vi } from 'vitest';
import type { ProviderOptions } from '../../fixtures/identity/provider.ts';
import { runExclusively } from '../../src/cli/auth/exclusive.ts';
import { CHILD_ENV } from '../support/child-env.ts';
import { createFlag, propose, TICKET } from '../support/flags.ts';
import {
  credentialsOf,
  HOUR_MS,
  keptBy,
  MINUTE_MS,
  onFakeTime,
  open,
  provider,
  signedIn,
  t,
  wait,
} from './renewal-bench.ts';
import { signsIn } from './sign-in-support.ts';
import { createTerminal } from './support.ts';

onFakeTime();

/** Counts the requests to the provider's token endpoint. */
function watched(requests: URLSearchParams[], forward: typeof fetch = fetch): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    if (request.url.startsWith(`${provider.issuer}/token`) && !request.url.endsWith('/revocation')) {
      requests.push(new URLSearchParams(await request.clone().text()));
    }
    return forward(request);
  };
}

describe.each<{ what: string; options: ProviderOptions }>([
  { what: 'rotating and bound to a key', options: {} },
  { what: 'rotating', options: { binds: false } },
  { what: 'bound to a key', options: { rotates: false } },
])('a sign-in whose refresh tokens are $what', ({ options }) => {
  it('lasts a working day, with its original time, and ends when policy says', async () => {
    await open(options);
    const terminal = await signedIn('dana');
    const first = await keptBy(terminal);
    expect(first.refresh?.key === null).toBe(options.binds === false);
    const seen = new Set([first.id_token]);
    for (let turn = 1; turn <= 11; turn += 1) {
      wait(HOUR_MS);
      const run = await terminal.run('whoami', '--json');
      expect([turn, run.code]).toEqual([turn, 0]);
      expect(run.json.principal.auth.auth_time_ms).toBe(first.auth_time_ms);
      const { id_token, refresh } = await keptBy(terminal);
      expect(decodeJwt(id_token).auth_time).toBe((first.auth_time_ms ?? 0) / 1000);
      expect(refresh?.token === first.refresh?.token).toBe(options.rotates === false);
      seen.add(id_token);
    }
    expect(seen.size).toBe(12);
    wait(HOUR_MS);
    const over = await terminal.run('whoami', '--json');
    expect([over.code, over.json.code]).toEqual([7, 'sign_in_expired']);
    expect(over.json.detail).toContain('policy');
    expect(over.json.command).toBe('countersign login');
  });
});

describe('renewing', () => {
  it('asks the provider once for several commands at the same time', async () => {
    await open();
    const requests: URLSearchParams[] = [];
    const { home } = await signedIn('dana');
    wait(HOUR_MS);
    const shells = Array.from({ length: 6 }, () => createTerminal(t, { home, fetch: watched(requests) }));
    const runs = await Promise.all(shells.map((shell) => shell.run('list', '--json')));
    expect(runs.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(requests).toHaveLength(1);
  });

  it('does the same in processes of their own', async () => {
    // Processes have the machine's clock.
    vi.useRealTimers();
    await open();
    t.clock.follow();
    const { home } = await signedIn('dana');
    const before = await keptBy({ home });
    const expired = { ...before, expires_ms: 1 };
    await credentialsOf({ home }).update(t.url, (kept) => ({ ...kept, sign_in: expired }));
    const shell = () =>
      new Promise<string>((resolve) => {
        const child = spawn(process.execPath, ['src/main.ts', 'whoami', '--json', '--broker', t.url], {
          env: { HOME: home, ...CHILD_ENV },
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        let text = '';
        child.stdout.on('data', (chunk) => {
          text += String(chunk);
        });
        child.once('close', () => resolve(text));
      });
    const said = await Promise.all([shell(), shell()]);
    for (const text of said) expect(JSON.parse(text)).toMatchObject({ principal: { id: 'person:idp:dana' } });
    const after = await keptBy({ home });
    expect(after.refresh?.token).not.toBe(before.refresh?.token);
    // A second use of one token would have ended the sign-in at the provider.
    const again = { ...after, expires_ms: 1 };
    await credentialsOf({ home }).update(t.url, (kept) => ({ ...kept, sign_in: again }));
    expect((await createTerminal(t, { home }).run('whoami')).code).toBe(0);
  }, 60_000);

  it('is as private as the rest, and leaves nothing else behind', async () => {
    await open();
    const terminal = await signedIn('dana');
    wait(HOUR_MS);
    const run = await terminal.run('whoami');
    const { file } = credentialsOf(terminal);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(dirname(file))).toEqual(['credentials.json']);
    const { refresh } = await keptBy(terminal);
    for (const output of [run.out, run.err]) expect(output).not.toContain(refresh?.token);
  });

  it('does not make an old sign-in recent: what requires a recent one still does', async () => {
    await open();
    await createFlag(t, 'payouts', { tier: 'high-risk' });
    const { body } = await propose(t, [{ action: 'enable', flag: 'payouts' }], { ticket: TICKET });
    const person = signsIn({ person: 'alex', mfa: 'yes' });
    const { home, run } = createTerminal(t, person);
    expect((await run('login', '--mfa', '--issuer', 'idp')).code).toBe(0);
    wait(HOUR_MS);
    const terminal = createTerminal(t, { home });
    const refused = await terminal.run('approve', body.id, '--digest', body.digest, '--json');
    expect([refused.code, refused.json.code]).toEqual([7, 'sign_in_required']);
    // What was renewed is the same sign-in, as strong as it was.
    const { json } = await terminal.run('whoami', '--json');
    expect(json.principal.auth).toMatchObject({ level: 2, auth_time_ms: Date.now() - HOUR_MS });
  });

  it('goes on in the middle of a command that waits', async () => {
    await open();
    await createFlag(t, 'waiting');
    const terminal = await signedIn('dana', {
      sleep: async () => wait(20 * MINUTE_MS),
    });
    const words = ['propose', '--environment', 'production', '--reason', 'x', '--enable', 'waiting'];
    const run = await terminal.run(...words, '--wait', '--timeout', '2h', '--json');
    expect([run.code, run.json.state]).toEqual([3, 'pending']);
  });

  it('is not tried for a sign-in that the broker refuses before it expires', async () => {
    await open();
    const requests: URLSearchParams[] = [];
    const terminal = await signedIn('dana', { fetch: watched(requests) });
    const { id_token } = await keptBy(terminal);
    await fetch(`${t.url}/oauth/revoke`, { method: 'POST', body: new URLSearchParams({ token: id_token }) });
    const run = await terminal.run('list', '--json');
    expect([run.code, run.json.code]).toEqual([7, 'token_invalid']);
    expect(requests).toEqual([]);
  });

  it('does not outlive a revocation of what was signed in before it', async () => {
    await open();
    const terminal = await signedIn('dana');
    wait(MINUTE_MS);
    const revoked = await t.call('riley', 'POST', '/v1/revocations', {
      kind: 'subject',
      value: 'person:idp:dana',
      issued_before: new Date().toISOString(),
      incident: 'INC-1',
      reason: 'a laptop was lost',
    });
    expect(revoked.status).toBe(201);
    wait(HOUR_MS);
    const run = await terminal.run('list', '--json');
    expect([run.code, run.json.code]).toEqual([7, 'token_invalid']);
    expect((await keptBy(terminal)).expires_ms).toBeGreaterThan(Date.now());
    // Whoever signs in after it has access again.
    const again = await signedIn('dana');
    expect((await again.run('list')).code).toBe(0);
  });

  it('ends with the sign-in at the provider, says so, and keeps nothing that could renew it', async () => {
    await open();
    const terminal = await signedIn('dana');
    await provider.rotateKey();
    wait(HOUR_MS);
    const run = await terminal.run('list', '--json');
    expect([run.code, run.json.code]).toEqual([7, 'sign_in_expired']);
    expect(run.json.detail).toContain('The provider has ended it');
    expect((await keptBy(terminal)).refresh).toBeUndefined();
  });

  it('keeps a sign-in that the provider could not renew for now', async () => {
    await open();
    const { home } = await signedIn('dana');
    wait(HOUR_MS);
    const before = await keptBy({ home });
    const away: typeof fetch = async (input, init) => {
      const request = new Request(input, init);
      if (!request.url.startsWith(provider.issuer)) return fetch(request);
      throw new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } });
    };
    const run = await createTerminal(t, { home, fetch: away }).run('list', '--json');
    expect([run.code, run.json.code]).toEqual([1, 'provider_unreachable']);
    const busy: typeof fetch = async (input, init) => {
      const request = new Request(input, init);
      if (!request.url.startsWith(`${provider.issuer}/token`)) return fetch(request);
      return Response.json({ error: 'temporarily_unavailable' }, { status: 503 });
    };
    const later = await createTerminal(t, { home, fetch: busy }).run('list', '--json');
    expect([later.code, later.json.code]).toEqual([1, 'provider_unreachable']);
    expect(await keptBy({ home })).toEqual(before);
    expect((await createTerminal(t, { home }).run('list')).code).toBe(0);
  });

  it.each([
    ['another person', { sub: 'alex' }],
    ['another time', { auth_time: 1 }],
    ['another client', { aud: 'other' }],
  ])('refuses an ID token of %s', async (_what, claims) => {
    await open();
    const { home } = await signedIn('dana');
    const before = await keptBy({ home });
    wait(HOUR_MS);
    const forging: typeof fetch = async (input, init) => {
      const response = await fetch(input, init);
      const { url } = new Request(input, init);
      if (!url.startsWith(`${provider.issuer}/token`)) return response;
      const body = (await response.json()) as { id_token: string };
      const [header, payload, signature] = body.id_token.split('.');
      const forged = { ...JSON.parse(Buffer.from(payload ?? '', 'base64url').toString()), ...claims };
      delete forged.at_hash;
      const encoded = Buffer.from(JSON.stringify(forged)).toString('base64url');
      return Response.json({ ...body, id_token: [header, encoded, signature].join('.') });
    };
    const run = await createTerminal(t, { home, fetch: forging }).run('whoami', '--json');
    expect(run.code).not.toBe(0);
    expect((await keptBy({ home })).id_token).toBe(before.id_token);
  });

  it('shows a refresh token to nobody but the provider that gave it, whatever the broker says later', async () => {
    await open();
    const { home } = await signedIn('dana');
    wait(HOUR_MS);
    const asked: string[] = [];
    const elsewhere: typeof fetch = async (input, init) => {
      const request = new Request(input, init);
      asked.push(new URL(request.url).origin);
      if (!request.url.endsWith('/.well-known/countersign')) return fetch(request);
      return Response.json({
        issuers: [
          { key: 'idp', issuer: 'https://evil.example', client_id: 'x', scope: 'openid', mfa_acr_values: [] },
        ],
      });
    };
    expect((await createTerminal(t, { home, fetch: elsewhere }).run('whoami')).code).toBe(0);
    expect(new Set(asked)).toEqual(new Set([provider.issuer, t.url]));
  });
});

describe('a refresh token that neither rotates nor is bound', () => {
  it('is used once to find out, then revoked, and the person is told', async () => {
    await open({ binds: false, rotates: false });
    const terminal = await signedIn('dana');
    const { refresh } = await keptBy(terminal);
    wait(HOUR_MS);
    const run = await terminal.run('whoami');
    expect(run.code).toBe(0);
    expect(run.err).toContain('not used again');
    expect((await keptBy(terminal)).refresh).toBeUndefined();
    const answer = await fetch(`${provider.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: refresh?.token ?? '',
        client_id: 'countersign-cli',
      }),
    });
    expect(((await answer.json()) as { error: string }).error).toBe('invalid_grant');
    wait(HOUR_MS);
    expect((await terminal.run('whoami', '--json')).json.code).toBe('sign_in_expired');
  });
});

describe('a provider without refresh tokens', () => {
  it('signs in until the ID token expires, as before', async () => {
    await open({ givesRefreshTokens: false });
    const terminal = await signedIn('dana');
    wait(14 * MINUTE_MS);
    expect((await terminal.run('whoami')).code).toBe(0);
    wait(MINUTE_MS);
    expect((await terminal.run('whoami', '--json')).json.code).toBe('sign_in_expired');
  });
});

describe('logout', () => {
  it('ends the sign-in at the provider too, so that a copy of the credentials renews nothing', async () => {
    await open();
    const terminal = await signedIn('dana');
    const copy = await keptBy(terminal);
    expect((await terminal.run('logout', '--json')).code).toBe(0);
    await credentialsOf(terminal).update(t.url, () => ({ sign_in: copy }));
    wait(HOUR_MS);
    const run = await terminal.run('whoami', '--json');
    expect([run.code, run.json.code]).toEqual([7, 'sign_in_expired']);
  });

  it('says so when the provider is away', async () => {
    await open();
    const away: typeof fetch = async (input, init) => {
      const request = new Request(input, init);
      if (request.url.startsWith(t.url)) return fetch(request);
      throw new TypeError('fetch failed');
    };
    const terminal = await signedIn('dana', { fetch: away });
    const run = await terminal.run('logout', '--json');
    expect([run.code, run.json.removed]).toEqual([1, true]);
    expect(run.err).toContain('incomplete');
  });

  it('wins over a renewal that is on its way: nothing is stored after it, and nothing renews', async () => {
    await open();
    const { home } = await signedIn('dana');
    wait(HOUR_MS);
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    let got = '';
    const slow: typeof fetch = async (input, init) => {
      const request = new Request(input, init);
      const response = await fetch(request);
      if (request.url !== `${provider.issuer}/token`) return response;
      got = ((await response.clone().json()) as { refresh_token: string }).refresh_token;
      reached.resolve();
      await goOn.promise;
      return response;
    };
    const running = createTerminal(t, { home, fetch: slow }).run('whoami', '--json');
    await reached.promise;
    await credentialsOf({ home }).remove(t.url);
    goOn.resolve();
    const run = await running;
    expect([run.code, run.json.code]).toEqual([7, 'sign_in_expired']);
    expect(await credentialsOf({ home }).load(t.url)).toEqual({});
    expect(got).not.toBe('');
    const answer = await fetch(`${provider.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: got,
        client_id: 'countersign-cli',
      }),
    });
    expect(answer.status).toBe(400);
  });
});

describe('the mark of a command that renews', () => {
  it('of a process that ended is taken over, by one of several', async () => {
    await open();
    const terminal = await signedIn('dana');
    const { file } = credentialsOf(terminal);
    const name = `${file}.mark`;
    const dead = spawn(process.execPath, ['-e', '']);
    await new Promise((resolve) => dead.once('exit', resolve));
    await mkdir(`${name}.busy`, { recursive: true });
    await writeFile(
      `${name}.busy/holder.json`,
      JSON.stringify({ host: hostname(), pid: dead.pid, id: 'gone' }),
    );
    let inside = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 8 }, () =>
        runExclusively(name, async () => {
          inside += 1;
          most = Math.max(most, inside);
          await readFile(file);
          inside -= 1;
        }),
      ),
    );
    expect(most).toBe(1);
    expect(await readdir(dirname(file))).toEqual(['credentials.json']);
  });
});
