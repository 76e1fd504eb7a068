import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type IdentityProvider, startIdentityProvider } from '../../fixtures/identity/provider.ts';
import { createCredentials } from '../../src/cli/auth/credentials.ts';
import type { Io } from '../../src/cli/io.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose, readRequest, TICKET } from '../support/flags.ts';
import { bindGroupsOf, hasDevice, issuerOf, signsIn } from './sign-in-support.ts';
import { createTerminal, type Run, type Terminal } from './support.ts';

let provider: IdentityProvider;
let t: TestBroker;

beforeAll(async () => {
  provider = await startIdentityProvider();
  t = await startTestBroker({
    config: ({ issuers }) => ({ issuers: [...(issuers as object[]), issuerOf(provider, 'idp')] }),
    editData: (data) => bindGroupsOf(data, provider.issuer),
  });
  await createFlag(t, 'payouts', { tier: 'high-risk' });
});
// The provider has the machine's clock.
beforeEach(() => t.clock.follow());
afterAll(async () => {
  await t.close();
  await provider.close();
});

/** Somebody is at the terminal. */
const atTerminal = { ask: async () => 'y' } satisfies Partial<Io>;

/** A new request that a strong sign-in has to approve. */
async function openRequest(): Promise<{ id: string }> {
  const { body } = await propose(t, [{ action: 'enable', flag: 'payouts' }], { ticket: TICKET });
  expect(body.state).toBe('pending');
  return body;
}

/** A home where the person has signed in with a password only. */
async function weakHome(person: string): Promise<string> {
  const weak = createTerminal(t, signsIn({ person }));
  const run = await weak.run('login', '--issuer', 'idp', '--json');
  expect([run.code, run.json?.acr]).toEqual([0, 'urn:countersign:password']);
  return weak.home;
}

async function keptToken({ home }: Terminal): Promise<string | undefined> {
  return (await createCredentials({ env: {}, home }).load(t.url)).sign_in?.id_token;
}

async function approvers(id: string): Promise<string[]> {
  const { approvals } = await readRequest(t, id);
  return approvals.map(({ person }: { person: string }) => person);
}

/** The words that approve what was read of a request, without a question. */
async function approval(id: string): Promise<string[]> {
  return ['approve', id, '--digest', (await readRequest(t, id)).digest, '--yes'];
}

/** Approves as alex, whose sign-in is weak, with somebody at the browser. */
async function approveWith(
  at: Partial<Io>,
  id: string,
  ...words: string[]
): Promise<Run & { terminal: Terminal; before: string | undefined }> {
  const terminal = createTerminal(t, { home: await weakHome('alex'), ...at });
  const before = await keptToken(terminal);
  const run = await terminal.run(...(await approval(id)), '--json', ...words);
  return { ...run, json: JSON.parse(run.out), terminal, before };
}

describe('a call that requires a stronger sign-in', () => {
  it('starts one in the browser, and continues', async () => {
    const { id } = await openRequest();
    const person = signsIn({ person: 'alex', mfa: 'yes' });
    const { code, terminal, before, err } = await approveWith({ ...atTerminal, ...person }, id);
    expect(code).toBe(0);
    expect(await approvers(id)).toEqual(['emp-1002']);
    expect(err).toContain('A new sign-in is required');
    const strong = await keptToken(terminal);
    expect(strong).not.toBe(before);

    // The new sign-in is kept, so the next one is not asked for.
    const other = await openRequest();
    expect((await terminal.run(...(await approval(other.id)))).code).toBe(0);
    expect(person.opened()).toBe(1);
    expect(await keptToken(terminal)).toBe(strong);
  });

  it('asks the provider for the required level, as essential, and for a new sign-in', async () => {
    const { id } = await openRequest();
    const asked: URLSearchParams[] = [];
    const person = signsIn({ person: 'alex', mfa: 'yes' }, (url) => asked.push(url.searchParams));
    await approveWith({ ...atTerminal, ...person }, id);
    expect(asked).toHaveLength(1);
    expect(JSON.parse(asked[0]?.get('claims') ?? '')).toEqual({
      id_token: { acr: { essential: true, values: ['urn:countersign:mfa'] } },
    });
    expect(asked[0]?.get('max_age')).toBe('900');
    expect(asked[0]?.get('prompt')).toBe('login');
  });

  it('is answered on another device by whoever signed in on one', async () => {
    const { id } = await openRequest();
    const weak = createTerminal(t, hasDevice({ person: 'alex' }));
    expect((await weak.run('login', '--device', '--issuer', 'idp')).code).toBe(0);
    const device = hasDevice({ person: 'alex', mfa: true });
    const terminal = createTerminal(t, { home: weak.home, ...atTerminal, ...device });
    const run = await terminal.run(...(await approval(id)), '--json');
    expect(run.code).toBe(0);
    expect(device.codes()).toBe(1);
    expect(await approvers(id)).toEqual(['emp-1002']);
  });

  it('opens break-glass, a call that is not otherwise repeated', async () => {
    const home = await weakHome('riley');
    const terminal = createTerminal(t, { home, ...atTerminal, ...signsIn({ person: 'riley', mfa: 'yes' }) });
    const words = ['break-glass', 'open', '--incident', 'INC-9', '--reason', 'x', '--json'];
    const run = await terminal.run(...words);
    expect([run.code, run.json.incident]).toEqual([0, 'INC-9']);
  });

  it('prints the exact command without a terminal, sends nothing more, and exits with 4', async () => {
    const { id } = await openRequest();
    const person = signsIn({ person: 'alex', mfa: 'yes' });
    const { code, json, terminal } = await approveWith(person, id);
    expect([code, json.code]).toEqual([7, 'sign_in_required']);
    expect(json.command).toBe('countersign login --mfa --issuer idp');
    expect(json).toMatchObject({ level: 2, max_age_s: 900, acr_values: ['urn:countersign:mfa'] });
    const printed = await terminal.run(...(await approval(id)), '--broker', t.url);
    expect(printed.err).toContain(`countersign login --mfa --issuer idp --broker ${t.url}`);
    expect(person.opened()).toBe(0);
    expect(await approvers(id)).toEqual([]);

    // What was printed does what it says.
    const [, ...words] = json.command.split(' ');
    expect((await terminal.run(...words)).code).toBe(0);
    expect((await terminal.run(...(await approval(id)))).code).toBe(0);
  });

  it.each([
    { how: 'by --step-up', words: ['--step-up', 'browser'], env: {} },
    { how: 'by COUNTERSIGN_STEP_UP', words: [], env: { COUNTERSIGN_STEP_UP: 'browser' } },
  ])('is answered without a terminal when told so $how', async ({ words, env }) => {
    const { id } = await openRequest();
    const person = signsIn({ person: 'alex', mfa: 'yes' });
    expect((await approveWith({ ...person, env }, id, ...words)).code).toBe(0);
    expect(person.opened()).toBe(1);
  });

  it('is not started at a terminal when disabled, and an unknown option value is refused', async () => {
    const { id } = await openRequest();
    const person = signsIn({ person: 'alex', mfa: 'yes' });
    const never = await approveWith({ ...atTerminal, ...person, env: { COUNTERSIGN_STEP_UP: 'never' } }, id);
    expect([never.code, never.json.code]).toEqual([7, 'sign_in_required']);
    const odd = await approveWith({ ...atTerminal, ...person, env: { COUNTERSIGN_STEP_UP: 'perhaps' } }, id);
    expect([odd.code, odd.json.code]).toEqual([2, 'usage']);
    expect(person.opened()).toBe(0);
  });
});

describe('a sign-in that is not what was asked for', () => {
  it('is not kept when the provider ignores the requested level, and nothing is sent', async () => {
    const { id } = await openRequest();
    const person = signsIn({ person: 'alex' }, (url) => url.searchParams.delete('claims'));
    const { code, json, terminal, before } = await approveWith({ ...atTerminal, ...person }, id);
    expect([code, json.code]).toEqual([7, 'sign_in_too_weak']);
    expect(json.detail).toContain('urn:countersign:password');
    expect(await keptToken(terminal)).toBe(before);
    expect(await approvers(id)).toEqual([]);
    expect(person.opened()).toBe(1);
  });

  it('is not kept by login either', async () => {
    const person = signsIn({ person: 'alex' }, (url) => url.searchParams.delete('claims'));
    const terminal = createTerminal(t, person);
    const run = await terminal.run('login', '--mfa', '--issuer', 'idp', '--json');
    expect([run.code, run.json.code]).toEqual([7, 'sign_in_too_weak']);
    expect(await keptToken(terminal)).toBeUndefined();
  });

  it.each(['browser', 'device'] as const)('is not kept when it is old, by %s', async (flow) => {
    const at =
      flow === 'browser' ? signsIn({ person: 'alex', mfa: 'yes' }) : hasDevice({ person: 'alex', mfa: true });
    // Five minutes are asked for, and half a minute is the leeway.
    const later = createTerminal(t, { ...at, clock: () => t.clock() + 331_000 });
    const words = ['login', '--mfa', '--issuer', 'idp', '--json', ...(flow === 'device' ? ['--device'] : [])];
    const run = await later.run(...words);
    expect([run.code, run.json.code]).toEqual([7, 'sign_in_too_weak']);
    expect(run.json.detail).toContain('300 seconds');
  });

  it('is not kept when it is for another account', async () => {
    const { id } = await openRequest();
    const person = signsIn({ person: 'sam', mfa: 'yes' });
    const { code, json, terminal, before } = await approveWith({ ...atTerminal, ...person }, id);
    expect([code, json.code]).toEqual([7, 'sign_in_other_account']);
    expect(json.detail).toContain('sam');
    expect(await keptToken(terminal)).toBe(before);
    expect(await approvers(id)).toEqual([]);
  });

  it('is asked for once, whatever the broker goes on to say', async () => {
    const { id } = await openRequest();
    const person = signsIn({ person: 'alex', mfa: 'yes' });
    let calls = 0;
    const demanding: typeof fetch = async (input, init) => {
      if (!String(input).endsWith('/approve')) return fetch(input, init);
      calls += 1;
      const problem = { code: 'sign_in_required', title: 'x', detail: 'more', level: 2, max_age_s: 1 };
      return Response.json(problem, { status: 401 });
    };
    const { code, json } = await approveWith({ ...atTerminal, ...person, fetch: demanding }, id);
    expect([code, json.code]).toEqual([7, 'sign_in_required']);
    expect([calls, person.opened()]).toEqual([2, 1]);
  });

  it('is requested once per command, also when another call of it requires one', async () => {
    const { id } = await openRequest();
    const person = signsIn({ person: 'alex', mfa: 'yes' });
    const problem = { code: 'sign_in_required', title: 'x', detail: 'more', level: 2, max_age_s: 1 };
    let calls = 0;
    const demanding: typeof fetch = async (input, init) => {
      if (!String(input).startsWith(`${t.url}/v1/`)) return fetch(input, init);
      calls += 1;
      // The first call, which reads the request, is content with the new sign-in.
      return calls === 2 ? fetch(input, init) : Response.json(problem, { status: 401 });
    };
    const { code, json } = await approveWith({ ...atTerminal, ...person, fetch: demanding }, id);
    expect([code, json.code]).toEqual([7, 'sign_in_required']);
    expect([calls, person.opened()]).toEqual([3, 1]);
  });

  it('is never requested for a token from COUNTERSIGN_TOKEN', async () => {
    const { id } = await openRequest();
    const person = signsIn({ person: 'alex', mfa: 'yes' });
    const terminal = createTerminal(t, { ...atTerminal, ...person });
    const run = await terminal.as('alex', ...(await approval(id)), '--json');
    expect([run.code, run.json.code]).toEqual([7, 'sign_in_required']);
    // As long as it is set, no sign-in counts.
    expect(run.json.command).toBe('unset COUNTERSIGN_TOKEN; countersign login --mfa');
    expect(person.opened()).toBe(0);
  });

  it('is named exactly where more than a second factor is wanted', async () => {
    const demand = { code: 'sign_in_required', title: 'x', detail: 'more', level: 3, max_age_s: null };
    const answer = { ...demand, acr_values: ['phr', 'smart card'] };
    const terminal = createTerminal(t, {
      home: await weakHome('alex'),
      fetch: async () => Response.json(answer, { status: 401 }),
    });
    const run = await terminal.run('list', '--json');
    expect(run.json.command).toBe("countersign login --acr phr --acr 'smart card' --issuer idp");
    expect((await terminal.run('list')).err).toContain(run.json.command);
  });
});

describe('login where no browser can be shown', () => {
  it.each([
    { where: 'over SSH', env: { SSH_CONNECTION: '192.0.2.1 1 192.0.2.2 22' }, told: true },
    { where: 'over SSH with a display', env: { SSH_CONNECTION: 'x', DISPLAY: ':10' }, told: false },
    { where: 'here', env: {}, told: false },
  ])('$where: says that --device exists: $told', async ({ env, told }) => {
    const terminal = createTerminal(t, { ...signsIn({ person: 'dana' }), env });
    const run = await terminal.run('login', '--issuer', 'idp');
    expect(run.code).toBe(0);
    expect(run.err.includes('--device')).toBe(told);
  });
});
