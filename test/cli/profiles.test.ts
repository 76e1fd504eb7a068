import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type IdentityProvider, startIdentityProvider } from '../../fixtures/identity/provider.ts';
import { createCredentials } from '../../src/cli/auth/credentials.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { proposal } from '../support/flags.ts';
import { bindGroupsOf, issuerOf, signsIn } from './sign-in-support.ts';
import { createTerminal, type Run, type Terminal } from './support.ts';

/* One terminal, several people: each signs in at the real provider. */

let provider: IdentityProvider;
let t: TestBroker;

beforeAll(async () => {
  provider = await startIdentityProvider();
  t = await startTestBroker({
    nowMs: Date.now(),
    config: { issuers: [issuerOf(provider, 'demo')] },
    editData: (data) => bindGroupsOf(data, provider.issuer),
  });
});
afterAll(async () => {
  await t.close();
  await provider.close();
});

const folderOf = ({ home }: Terminal) => join(home, '.config', 'countersign');

/** Signs a person in, in a terminal with this home folder. */
async function login(
  person: string,
  at: Terminal | null,
  ...words: string[]
): Promise<Pick<Run, 'out'> & { at: Terminal }> {
  const { openBrowser, came } = signsIn({ person });
  const terminal = createTerminal(t, { openBrowser, ...(at && { home: at.home }) });
  const [run] = await Promise.all([terminal.run('login', ...words), came]);
  expect(run.code, run.err).toBe(0);
  return { out: run.out, at: terminal };
}

const personOf = async (terminal: Terminal, ...words: string[]) =>
  (await terminal.run('whoami', '--json', ...words)).json.principal?.id;

describe('profiles', () => {
  it('let one terminal propose as one person and approve as another', async () => {
    const { at, out } = await login('dana', null);
    const alex = await login('alex', at, '--profile', 'alex');
    expect(alex.out).toContain('in the profile alex');
    // The list says of each sign-in what its login said.
    const [, lasts = ''] = / as dana (until [^\n]+)\.\n/.exec(out) ?? [];
    expect(lasts).toContain('commands renew it');
    expect((await at.run('profiles', 'list')).out).toContain(`dana at ${t.url}, ${lasts}`);
    expect((await at.run('whoami')).out).toContain(`\nlasts    ${lasts}`);
    expect(await personOf(at)).toBe('person:demo:dana');
    expect(await personOf(at, '--profile', 'alex')).toBe('person:demo:alex');
    const file = join(at.home, 'change.json');
    const definition = {
      namespace: 'payments',
      kind: 'release',
      tier: 'operational',
      owner: 'team-payments',
      purpose: 'a test',
      variants: { on: true, off: false },
      retirement: 'never',
    };
    await writeFile(
      file,
      JSON.stringify(proposal([{ action: 'create', flag: 'two-people', definition }], { reason: 'x' })),
    );
    const proposed = await at.run('propose', '--file', file, '--json');
    expect(proposed.json.state, proposed.out).toBe('pending');
    const { id, digest } = proposed.json;
    const own = await at.run('approve', id, '--digest', digest, '--json');
    expect(own.json.code).toBe('policy_denied');
    const approved = await at.run('approve', id, '--digest', digest, '--json', '--profile', 'alex');
    expect(approved.json.state, approved.out).toBe('applied');
  });

  it('keep each sign-in in a file of its own that nobody else can read, and end one at a time', async () => {
    const { at } = await login('dana', null);
    await login('alex', at, '--profile', 'alex');
    const folder = folderOf(at);
    const files = (await readdir(folder)).filter((name) => name.endsWith('.json'));
    expect(files.toSorted()).toEqual(['credentials.json', 'profile-alex.json']);
    for (const name of files) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);

    const out = await at.run('logout', '--profile', 'alex');
    expect(out.out).toContain('in the profile alex');
    expect((await at.run('whoami', '--profile', 'alex')).code).toBe(7);
    expect(await personOf(at)).toBe('person:demo:dana');
    await chmod(join(folder, 'credentials.json'), 0o644);
    expect((await at.run('whoami', '--json')).json.code).toBe('credentials_not_private');
  });

  it('are chosen by the option, else by the environment, else by profiles use', async () => {
    const { at } = await login('dana', null);
    for (const name of ['alex', 'sam']) await login(name, at, '--profile', name);
    const inShell = (profile: string) =>
      createTerminal(t, { home: at.home, env: { COUNTERSIGN_PROFILE: profile } });
    expect((await at.run('profiles', 'use', 'sam')).code).toBe(0);
    expect(await personOf(at)).toBe('person:demo:sam');
    expect(await personOf(inShell('alex'))).toBe('person:demo:alex');
    expect(await personOf(inShell('alex'), '--profile', 'default')).toBe('person:demo:dana');
    expect((await at.run('whoami')).out).toContain('profile  sam');
    const { profiles } = (await at.run('profiles', 'list', '--json')).json;
    expect(profiles).toMatchObject([
      {
        name: 'default',
        current: false,
        sign_ins: [{ broker: t.url, who: expect.stringContaining('dana') }],
      },
      { name: 'alex', current: false },
      { name: 'sam', current: true },
    ]);
    expect((await at.run('profiles', 'list')).out).toMatch(/^\* sam {2}sam/m);
    // A token of the environment is nobody's profile.
    expect((await at.as('dana', 'whoami', '--json')).json.profile ?? null).toBeNull();
    await at.run('profiles', 'use', 'default');
    expect(await personOf(at)).toBe('person:demo:dana');
  });

  it('that nobody has signed in with are told apart from those that others meant, at any command', async () => {
    const { at } = await login('dana', null);
    await login('alex', at, '--profile', 'alex');
    for (const command of [['whoami'], ['list'], ['token', '--audience', 'control']]) {
      const { code, json } = await at.run(...command, '--profile', 'alx', '--json');
      expect([code, json.code]).toEqual([7, 'not_signed_in']);
      expect(json.detail).toMatch(
        /^There is no profile "alx" on this machine\. Did you mean alex\? Sign in to /,
      );
      expect(json.command).toContain('--profile alx');
    }
    // A token of the environment needs no profile.
    const other = await at.as('avery', 'whoami', '--profile', 'alx', '--json');
    expect(`${other.out}${other.err}`).not.toContain('There is no profile');
  });

  it('are removed once they are signed out, and not before', async () => {
    const { at } = await login('alex', null, '--profile', 'alex');
    await at.run('profiles', 'use', 'alex');
    const early = await at.run('profiles', 'remove', 'alex');
    expect([early.code, early.err]).toEqual([
      1,
      expect.stringContaining('countersign logout --profile alex'),
    ]);
    await at.run('logout', '--profile', 'alex');
    expect((await at.run('profiles', 'remove', 'alex', '--json')).json).toEqual({
      profile: 'alex',
      removed: true,
    });
    const { profiles } = (await at.run('profiles', 'list', '--json')).json;
    expect(profiles).toEqual([{ name: 'default', current: true, sign_ins: [] }]);
    expect((await at.run('profiles', 'remove', 'alex')).code).toBe(1);
  });

  it.each(['', '../alex', 'Alex', 'alex/..', 'a'.repeat(33), '-alex', 'alex.json', 'al ex', '\u202ealex'])(
    'have no name like %j',
    async (name) => {
      const terminal = createTerminal(t);
      for (const words of [
        ['whoami', `--profile=${name}`],
        ['profiles', 'use', '--', name],
        ['profiles', 'remove', '--', name],
      ]) {
        const run = await terminal.run(...words);
        expect([words[0], run.code, run.err]).toEqual([
          words[0],
          2,
          expect.stringContaining('name of a profile'),
        ]);
      }
      await expect(readdir(folderOf(terminal))).rejects.toThrow('ENOENT');
    },
  );

  it('are named by the command that signs in, however they were chosen', async () => {
    const terminal = createTerminal(t);
    expect((await terminal.run('whoami', '--json')).json.command).toBe('countersign login');
    const byOption = await terminal.run('whoami', '--profile', 'sam');
    expect(byOption.err).toMatch(/^ {4}countersign login --profile sam$/m);
    const used = await terminal.run('profiles', 'use', 'alex');
    expect(used.out).toContain('countersign login --profile alex');
    expect((await terminal.run('whoami', '--json')).json.command).toBe('countersign login --profile alex');
    const { at } = await login('alex', null, '--profile', 'alex');
    const inShell = createTerminal(t, { home: at.home, env: { COUNTERSIGN_PROFILE: 'alex' } });
    const { file } = createCredentials({ env: {}, home: at.home }, 'alex');
    const kept = await readFile(file, 'utf8');
    await writeFile(file, kept.replace(/"id_token": ?"[^"]*"/, '"id_token":"revoked"'), { mode: 0o600 });
    const refused = await inShell.run('list', '--json');
    expect([refused.code, refused.json.code, refused.json.command]).toEqual([
      7,
      'token_invalid',
      'countersign login --profile alex',
    ]);
    await writeFile(file, 'no document', { mode: 0o600 });
    const unusable = await inShell.run('list', '--json');
    expect([unusable.json.code, unusable.json.command]).toEqual([
      'credentials_unusable',
      'countersign login --profile alex',
    ]);
  });

  it('ask whether to approve with the name of the profile', async () => {
    const { at } = await login('alex', null, '--profile', 'alex');
    const { body } = await t.call(await tokenOf('dana'), 'POST', '/v1/requests', {
      environment: 'production',
      reason: 'x',
      changes: [{ action: 'enable', flag: 'two-people' }],
      ticket: 'PAY-1',
    });
    let asked = '';
    const ask = async (question: string) => {
      asked = question;
      return 'n';
    };
    const atTerminal = createTerminal(t, { home: at.home, ask });
    await atTerminal.run('approve', body.id, '--profile', 'alex');
    expect(asked).toBe('approve this, as alex? [y/N] ');
  });
});

/** An ID token of the provider. */
async function tokenOf(person: string): Promise<string> {
  const { at } = await login(person, null);
  return (await createCredentials({ env: {}, home: at.home }).load(t.url)).sign_in?.id_token ?? '';
}
