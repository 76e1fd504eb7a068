import { describe, expect, it } from 'vitest';
import { onFakeTime, open, signedIn, t, wait } from './renewal-bench.ts';
import { signsIn } from './sign-in-support.ts';
import { createTerminal } from './support.ts';

onFakeTime();

describe('login', () => {
  it('does not say "Signed in" for a sign-in that the broker refuses, says why, and stores nothing', async () => {
    await open({}, { issuer: { claims: { person: 'employee_number' } } });
    const terminal = createTerminal(t, signsIn({ person: 'dana' }));
    const run = await terminal.run('login', '--issuer', 'idp', '--json');
    expect([run.code, run.json.code]).toEqual([7, 'sign_in_not_accepted']);
    expect(run.json.detail).toContain('"employee_number"');
    expect(run.out + run.err).not.toContain('Signed in');
    expect((await terminal.run('list', '--json')).json.code).toBe('not_signed_in');
  });

  it('names the likely reasons, and where the log has it, when the broker does not tell', async () => {
    await open({}, { issuer: { audience: ['other'], login: { client_id: 'countersign-cli' } } });
    const run = await createTerminal(t, signsIn({ person: 'dana' })).run(
      'login',
      '--issuer',
      'idp',
      '--json',
    );
    expect([run.code, run.json.code]).toEqual([7, 'sign_in_not_accepted']);
    expect(run.json.detail).toContain('audience');
    expect(run.json.detail).toContain(run.json.refusal.instance);
  });

  it('asks for a new sign-in where the provider remembers one that policy no longer accepts', async () => {
    await open();
    const asked: URL[] = [];
    await signedIn('dana', {});
    const person = signsIn({ person: 'dana' }, (url) => asked.push(new URL(url)));
    expect((await createTerminal(t, person).run('login', '--issuer', 'idp')).code).toBe(0);
    expect(asked[0]?.searchParams.get('max_age')).toBe('43200');
  });

  it('says so where the provider does not tell when somebody signed in, and policy asks', async () => {
    await open({}, {});
    const strip: typeof fetch = async (input, init) => {
      const response = await fetch(input, init);
      if (!new Request(input, init).url.endsWith('/.well-known/countersign')) return response;
      const body = (await response.json()) as { issuers: object[] };
      return Response.json({ ...body, issuers: body.issuers.map((each) => ({ ...each, max_age_s: 1 })) });
    };
    const person = signsIn({ person: 'dana' }, () => wait(5000));
    const terminal = createTerminal(t, { ...person, fetch: strip, clock: () => t.clock() + 3000 });
    const run = await terminal.run('login', '--issuer', 'idp', '--json');
    expect([run.code, run.json.code]).toEqual([7, 'sign_in_not_accepted']);
    expect(run.json.detail).toContain('older');
  });

  it('tells the groups, and what takes precedence over the sign-in', async () => {
    await open();
    const env = { COUNTERSIGN_SUBJECT_TOKEN: 'x' };
    const run = await createTerminal(t, { ...signsIn({ person: 'dana' }), env }).run(
      'login',
      '--issuer',
      'idp',
    );
    expect(run.code).toBe(0);
    expect(run.out).toContain('payments-developers');
    expect(run.out).toContain('commands renew it');
    expect(run.err).toContain('COUNTERSIGN_SUBJECT_TOKEN is set');
  });

  it('receives the response at the configured port, for providers that compare it', async () => {
    const port = 17_000 + Math.floor(Math.random() * 1000);
    await open({}, { issuer: { login: { client_id: 'countersign-cli', redirect_port: port } } });
    const asked: URL[] = [];
    const person = signsIn({ person: 'dana' }, (url) => asked.push(new URL(url)));
    expect((await createTerminal(t, person).run('login', '--issuer', 'idp')).code).toBe(0);
    expect(asked[0]?.searchParams.get('redirect_uri')).toBe(`http://127.0.0.1:${port}/cb`);
  });
});

describe('policy', () => {
  it('denies a sign-in that is older than it accepts, whoever renews it', async () => {
    await open();
    const old = await t.people.idToken('dana', { authAgeS: 12 * 3600 + 1 });
    const denied = await t.call(old, 'GET', '/v1/requests');
    expect([denied.status, denied.body.code]).toEqual([403, 'policy_denied']);
    expect(denied.body.gates).toMatchObject([{ code: 'sign_in_too_old', cleared_by: 'caller' }]);
    const unknown = await t.people.idToken('dana', { claims: { auth_time: undefined } });
    expect((await t.call(unknown, 'GET', '/v1/requests')).body.gates[0].code).toBe('sign_in_too_old');
    // An older bundle, without the limit, accepts both.
    await open(
      {},
      {
        editData: (data) => {
          const edited = structuredClone(data) as { config: { token_lifetimes: { sign_in?: number } } };
          delete edited.config.token_lifetimes.sign_in;
          return edited;
        },
      },
    );
    const long = await t.people.idToken('dana', { authAgeS: 99 * 3600 });
    expect((await t.call(long, 'GET', '/v1/requests')).status).toBe(200);
    const { body } = await t.call(null, 'GET', '/.well-known/countersign');
    expect(body.issuers[0]).not.toHaveProperty('max_age_s');
  });
});
