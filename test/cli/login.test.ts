import { stat } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type IdentityProvider, startIdentityProvider } from '../../fixtures/identity/provider.ts';
import { approveDevice } from '../../fixtures/identity/sign-in.ts';
import { createCredentials } from '../../src/cli/auth/credentials.ts';
import { toLoginIssuer } from '../../src/issuers/discovery-routes.ts';
import { issuerConfigSchema } from '../../src/issuers/issuers.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { bindGroupsOf, issuerOf, signsIn } from './sign-in-support.ts';
import { createTerminal, type Run, type Terminal } from './support.ts';

let provider: IdentityProvider;
let t: TestBroker;

beforeAll(async () => {
  provider = await startIdentityProvider();
  t = await startTestBroker({
    // The provider has the machine's clock.
    nowMs: Date.now(),
    config: { issuers: [issuerOf(provider, 'demo')] },
    editData: (data) => bindGroupsOf(data, provider.issuer),
  });
});
afterAll(async () => {
  await t.close();
  await provider.close();
});

async function login(
  form: Record<string, string>,
  ...words: string[]
): Promise<Run & { terminal: Terminal }> {
  const { openBrowser, came } = signsIn(form);
  const terminal = createTerminal(t, { openBrowser });
  const [run, url] = await Promise.all([terminal.run('login', '--json', ...words), came]);
  expect(url.hostname).toBe('127.0.0.1');
  return { ...run, json: run.json, terminal };
}

describe('login', () => {
  it('signs a person in through the browser, and the sign-in serves the next commands', async () => {
    const { code, json, out, terminal } = await login({ person: 'avery' });
    expect(code).toBe(0);
    expect(json).toMatchObject({ broker: t.url, issuer: 'demo', sub: 'avery' });
    const { file, load } = createCredentials({ env: {}, home: terminal.home });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const { sign_in } = await load(t.url);
    expect(out).not.toContain(sign_in?.id_token);
    const records = await terminal.run('decisions', '--json');
    expect(records.json.items[0].principal).toMatchObject({ id: 'person:demo:avery', person: 'emp-1006' });

    expect((await terminal.run('logout', '--json')).json).toMatchObject({ broker: t.url, removed: true });
    expect((await terminal.run('decisions')).code).toBe(7);
  });

  it('with --mfa asks for a second factor, and makes a sign-in that opens break-glass', async () => {
    const weak = await login({ person: 'riley' });
    const words = ['break-glass', 'open', '--incident', 'INC-1', '--reason', 'x'];
    const refused = await weak.terminal.run(...words);
    expect(refused.code).toBe(7);
    expect(refused.err).toContain('sign_in_required');
    expect(refused.err).toContain('countersign login --mfa');

    const strong = await login({ person: 'riley', mfa: 'yes' }, '--mfa');
    expect(strong.json.acr).toBe('urn:countersign:mfa');
    expect((await strong.terminal.run(...words)).code).toBe(0);
  });

  it('works on another device', async () => {
    let approved: Promise<void> | undefined;
    const terminal = createTerminal(t, {
      stderr: (text) => {
        const [, verificationUri, userCode] = /Open (\S+) and enter the code (\S+)/.exec(text) ?? [];
        if (verificationUri === undefined || userCode === undefined) return;
        approved = approveDevice({ verificationUri, userCode, person: 'dana' });
      },
    });
    const run = await terminal.run('login', '--device', '--json');
    await approved;
    expect([run.code, run.json.sub]).toEqual([0, 'dana']);
    expect((await terminal.run('list')).code).toBe(0);
  });

  it('only prints the address with --no-browser, and waits on when a stranger answers without the state', async () => {
    let opened = 0;
    let statuses: number[] = [];
    const printed = Promise.withResolvers<URL>();
    const terminal = createTerminal(t, {
      openBrowser: () => {
        opened += 1;
      },
      stderr: (text) => {
        const address = /https?:\/\/\S+/.exec(text)?.[0];
        if (address !== undefined) printed.resolve(new URL(address));
      },
    });
    const running = terminal.run('login', '--no-browser', '--json');
    const url = await printed.promise;
    const callback = url.searchParams.get('redirect_uri') ?? '';
    const stranger = [
      `${callback}?error=access_denied`,
      `${callback}?code=x&state=guess`,
      `${callback}/../x`,
    ];
    statuses = await Promise.all(stranger.map(async (address) => (await fetch(address)).status));
    await signInAt(url);
    expect(statuses).toEqual([404, 404, 404]);
    expect((await running).code).toBe(0);
    expect(opened).toBe(0);
  });

  it('survives a request that no browser would send', async () => {
    const printed = Promise.withResolvers<URL>();
    const terminal = createTerminal(t, { openBrowser: (url) => printed.resolve(url) });
    const running = terminal.run('login', '--json');
    const url = await printed.promise;
    const { port } = new URL(url.searchParams.get('redirect_uri') ?? '');
    const status = await new Promise((resolve, reject) => {
      httpRequest({ port, path: '//[', method: 'GET' }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
    expect(status).toBe(404);
    await signInAt(url);
    expect((await running).code).toBe(0);
  });

  it('exits with 7 and keeps nothing when the provider refuses', async () => {
    const terminal = createTerminal(t, {
      openBrowser: (url) => {
        const answer = new URL(url.searchParams.get('redirect_uri') ?? '');
        answer.searchParams.set('error', 'access_denied');
        answer.searchParams.set('state', url.searchParams.get('state') ?? '');
        answer.searchParams.set('iss', provider.issuer);
        void fetch(answer);
      },
    });
    const run = await terminal.run('login', '--json');
    expect([run.code, run.json.code]).toEqual([7, 'sign_in_failed']);
    expect(run.json.detail).toContain('access_denied');
    expect((await terminal.run('list', '--json')).json.code).toBe('not_signed_in');
  });

  it('ends when nobody signs in in time', async () => {
    const terminal = createTerminal(t, { sleep: async () => undefined });
    const run = await terminal.run('login', '--json');
    expect([run.code, run.json.code]).toEqual([1, 'sign_in_failed']);
    expect(run.json.detail).toContain('time limit');
  });

  it('exits with 2 for an issuer that the broker does not take, and names those it does', async () => {
    const run = await createTerminal(t).run('login', '--issuer', 'other', '--json');
    expect([run.code, run.json.code]).toEqual([2, 'usage']);
    expect(run.json.detail).toContain('demo');
  });

  it('says so when the URL is not that of a broker', async () => {
    const run = await createTerminal(t).run('login', '--broker', provider.issuer, '--json');
    expect([run.code, run.json.code]).toEqual([1, 'answer_not_understood']);
  });

  it('does not sign in at an issuer without TLS that is not on this machine', async () => {
    const document = {
      issuers: [
        { key: 'x', issuer: 'http://idp.example', client_id: 'c', scope: 'openid', mfa_acr_values: [] },
      ],
      version: '1',
    };
    const seen: string[] = [];
    const terminal = createTerminal(t, {
      fetch: async (input) => {
        seen.push(String(input));
        return Response.json(document);
      },
    });
    const run = await terminal.run('login', '--json');
    expect([run.code, run.json.code]).toEqual([1, 'sign_in_failed']);
    expect(seen).toEqual([`${t.url}/.well-known/countersign`]);
  });
});

async function signInAt(url: URL): Promise<void> {
  const { openBrowser, came } = signsIn({ person: 'dana' });
  openBrowser(url);
  await came;
}

describe('GET /.well-known/countersign', () => {
  it('says where to sign in, without a token and without anything else of the configuration', async () => {
    const { status, body } = await t.call(null, 'GET', '/.well-known/countersign');
    expect(status).toBe(200);
    expect(body).toEqual({
      issuers: [
        {
          key: 'demo',
          issuer: provider.issuer,
          client_id: 'countersign-cli',
          scope: 'openid',
          mfa_acr_values: ['urn:countersign:mfa'],
        },
      ],
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    });
  });

  it('names the client and the scope configured for sign-ins, strongest acr first', () => {
    const issuer = issuerConfigSchema.parse({
      key: 'corp',
      issuer: 'https://idp.example',
      audience: 'urn:api',
      login: { client_id: 'cli', scope: 'openid groups' },
      levels: { acr: { password: 1, otp: 2, passkey: 3 } },
    });
    expect(toLoginIssuer(issuer)).toEqual({
      key: 'corp',
      issuer: 'https://idp.example',
      client_id: 'cli',
      scope: 'openid groups',
      mfa_acr_values: ['passkey', 'otp'],
    });
  });
});
