import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Broker, startBroker } from '../../src/broker.ts';
import { runCli } from '../../src/cli/program.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/logger.ts';
import { startTokenIssuer, type TokenIssuer } from '../support/token-issuer.ts';
import type { Run } from './support.ts';

const GROUPS = [
  'flag-deployer=payments-developers',
  'flag-approver=payments-approvers',
  'security-approver=security',
  'flag-emergency-override=responders',
  'flag-auditor=auditors',
  'policy-maintainer=platform',
];

let folder: string;
let people: TokenIssuer;
let broker: Broker | null;
/** Of the broker and of the issuer alike. */
let clock: Clock;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-init-'));
  clock = systemClock;
  people = await startTokenIssuer(() => clock());
  broker = null;
});
afterEach(async () => {
  await broker?.close();
  await people.close();
  await rm(folder, { recursive: true, force: true });
});

async function run(
  argv: string[],
  { env = {}, answers = null }: { env?: NodeJS.ProcessEnv; answers?: string[] | null } = {},
): Promise<Run> {
  let out = '';
  let err = '';
  const code = await runCli(argv, {
    readStdin: async () => '',
    home: folder,
    fetch,
    clock: systemClock,
    sleep: async () => undefined,
    ask: answers === null ? null : async () => answers.shift() ?? '',
    openBrowser: () => undefined,
    onStopSignal: () => () => undefined,
    exit: () => undefined,
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
    env,
  });
  return {
    code,
    out,
    err,
    get json() {
      return JSON.parse(out);
    },
  };
}

const at = (name: string) => join(folder, name);
const init = (...more: string[]) => ['init', at('setup'), ...more];
const named = () => ['--issuer', people.issuer, '--client-id', 'countersign-cli', '--group', ...GROUPS];

async function start(): Promise<string> {
  const config = loadConfig({ file: at('setup/countersign.yaml'), env: { COUNTERSIGN_PORT: '0' } });
  broker = await startBroker({ config, clock: () => clock(), log: createLog('silent') });
  return broker.url;
}

async function as(who: string, url: string, ...argv: string[]): Promise<Run> {
  return run(argv, { env: { COUNTERSIGN_URL: url, COUNTERSIGN_TOKEN: await people.idToken(who) } });
}

/** The Tuesday of a week without holidays, at work: windows are open. */
const duringWork: Clock = () => Date.UTC(2026, 5, 16, 10);

const newFlag = (tier: string) => `
environment: development
changes:
  - action: create
    flag: tried
    definition:
      {namespace: trial, kind: release, tier: ${tier}, owner: x, purpose: x, variants: {on: true, off: false}, retirement: x}
`;

describe('init', () => {
  it('writes a set-up that starts, where one person alone reaches an applied change and production is held', async () => {
    const { code, out } = await run(init(...named(), '--url', 'http://127.0.0.1:8480'));
    expect(code).toBe(0);
    expect((await readdir(at('setup'))).sort()).toEqual([
      'bundle.tar.gz',
      'countersign.service',
      'countersign.yaml',
      'first-flag.yaml',
      'policy',
      'production-flag.yaml',
    ]);
    expect(out).toMatch(/^ {4}countersign serve$/m);
    expect(out).toMatch(/^ {4}payments-developers +proposes changes \(flag-deployer\)$/m);
    expect(out).toMatch(/^ {4}payments-approvers +for new flags above informational/m);
    expect(out).toMatch(/^ {4}security +for high-risk flags, too$/m);

    const url = await start();
    const alone = await as('dana', url, 'propose', '--file', at('setup/first-flag.yaml'));
    expect([alone.code, alone.out]).toEqual([0, expect.stringMatching(/^applied +first-flag/m)]);
    const held = await as('dana', url, 'propose', '--file', at('setup/production-flag.yaml'), '--json');
    expect([held.code, held.json.state]).toEqual([3, 'pending']);
    expect(held.json.gates[0]).toMatchObject({ code: 'approval_required', cleared_by: 'flag-approver' });
    expect((await as('dana', url, 'approve', held.json.id, '--digest', held.json.digest)).code).toBe(4);
    const explained = await as('avery', url, 'explain', held.json.id);
    expect(explained.out).toMatch(/by +group payments-approvers, group security/);
    const invited = await as('alex', url, 'approve', held.json.id, '--digest', held.json.digest, '--yes');
    expect([invited.code, invited.out]).toEqual([0, expect.stringMatching(/^applied +production-flag/m)]);
  });

  it.each([
    { url: 'http://127.0.0.1:8480', reach: [] },
    { url: 'http://127.0.0.1:8490', reach: ['    export COUNTERSIGN_URL=http://127.0.0.1:8490'] },
    { url: 'https://flags.example.com/', reach: ['    export COUNTERSIGN_URL=https://flags.example.com'] },
  ])('prints commands that reach the broker at $url', async ({ url, reach }) => {
    const lines = (await run(init(...named(), '--url', url))).out.split('\n');
    const second = lines.findIndex((line) => line.startsWith('and in another one'));
    expect(lines.slice(second + 1, lines.indexOf('    countersign login'))).toEqual([
      expect.stringMatching(/^ {4}cd /),
      ...reach,
    ]);
  });

  it.each([
    { tier: 'informational', creates: [], changes: { staging: [], production: [] } },
    {
      tier: 'operational',
      creates: ['approval_required'],
      changes: { staging: [], production: ['approval_required'] },
    },
    {
      tier: 'sensitive',
      creates: ['approval_required', 'ticket_required'],
      changes: { staging: ['approval_required'], production: ['approval_required', 'ticket_required'] },
    },
  ])(
    'lets one person alone change a flag of tier $tier in development, and says what else is held',
    async ({ tier, creates, changes }) => {
      await run(init(...named()));
      clock = duringWork;
      const url = await start();
      const propose = (...words: string[]) => as('dana', url, 'propose', ...words, '--reason', 'x', '--json');
      const codesOf = ({ json }: Run) => [
        ...new Set((json.gates as { code: string }[]).map(({ code }) => code)),
      ];
      const file = at('new.yaml');
      await writeFile(file, newFlag(tier));

      const alone = await propose('--file', file);
      expect(codesOf(alone)).toEqual(creates);
      if (creates.length > 0) {
        await as('dana', url, 'withdraw', alone.json.id, '--yes');
        const created = await propose('--file', file, '--ticket', 'PAY-1');
        const { id, digest } = created.json;
        const approved = await as('alex', url, 'approve', id, '--digest', digest, '--json');
        expect(approved.json.state, JSON.stringify(approved.json)).toBe('applied');
      }
      const enable = (environment: string) => propose('--environment', environment, '--enable', 'tried');
      expect((await enable('development')).json.state).toBe('applied');
      for (const [environment, codes] of Object.entries(changes)) {
        const { json, ...answer } = await enable(environment);
        expect([environment, codesOf({ json, ...answer })]).toEqual([environment, codes]);
        expect(json.state).toBe(codes.length === 0 ? 'applied' : 'pending');
      }
    },
  );

  it('a high-risk flag is not created alone, and both who must approve it are named', async () => {
    await run(init(...named()));
    clock = duringWork;
    const url = await start();
    await writeFile(at('new.yaml'), newFlag('high-risk'));
    const held = await as('dana', url, 'propose', '--file', at('new.yaml'), '--reason', 'x', '--json');
    const clearedBy = (held.json.gates as { cleared_by: string }[]).map(({ cleared_by }) => cleared_by);
    expect([held.json.state, clearedBy]).toEqual([
      'pending',
      expect.arrayContaining(['flag-approver', 'security-approver']),
    ]);
  });

  it('lets the policy change by request, under its own rules', async () => {
    await run(init(...named()));
    const url = await start();
    for (const who of ['morgan', 'jordan', 'sam']) await as(who, url, 'whoami');
    await broker?.scheduler.tick();
    const words = ['policy', 'set', '/config/limits/request_ttl_s', '86400', '--reason', 'x', '--json'];
    expect((await as('morgan', url, ...words)).code).toBe(3);
  });

  it('asks at a terminal what it was not told, and an empty answer is the default', async () => {
    const answers = [people.issuer, 'countersign-cli', 'engineers', '', ''];
    const { code, out } = await run(init(), { answers });
    expect(code).toBe(0);
    expect(out).toMatch(/^ {4}engineers +proposes changes/m);
    expect(out).toMatch(/^ {4}flag-approver +approves them/m);
    const config = loadConfig({ file: at('setup/countersign.yaml'), env: {} });
    expect(config.issuers).toMatchObject([{ issuer: people.issuer, audience: ['countersign-cli'] }]);
  });

  it('never overwrites: refuses, and with --force adds only what is missing', async () => {
    await run(init(...named()));
    await writeFile(at('setup/countersign.yaml'), 'mine');
    await rm(at('setup/first-flag.yaml'));
    const refused = await run(init(...named(), '--json'));
    expect([refused.code, refused.json.code]).toEqual([1, 'folder_not_empty']);
    expect(await readdir(at('setup'))).not.toContain('first-flag.yaml');
    const forced = await run(init(...named(), '--force', '--json'));
    expect(forced.code).toBe(0);
    expect(forced.json).toMatchObject({ kept: ['countersign.yaml'], written: ['first-flag.yaml'] });
    expect(await readFile(at('setup/countersign.yaml'), 'utf8')).toBe('mine');
  });

  it.each([
    [[], /--issuer/],
    [['--issuer', 'https://id.example'], /--client-id/],
    [['--issuer', 'http://id.example', '--client-id', 'x'], /no https address/],
    [['--issuer', 'https://id.example', '--client-id', 'x', '--url', 'http://flags.example'], /--url/],
    [['--issuer', 'https://id.example', '--client-id', 'x', '--url', 'https://flags.example/x'], /--url/],
    [['--issuer', 'https://id.example', '--client-id', 'x', '--group', 'boss=x'], /no role boss/],
    [['--issuer', 'https://id.example', '--client-id', 'x', '--environment', 'qa=test'], /--environment qa/],
    [['--issuer', 'https://id.example', '--client-id', 'x', '--zone', 'Mars/Olympus'], /--zone/],
  ])('refuses %j, and writes nothing', async (words, says) => {
    const { code, err } = await run(init(...words));
    expect([code, err]).toEqual([2, expect.stringMatching(says)]);
    expect(await readdir(folder)).toEqual([]);
  });

  it('writes a service that names what it starts, with every path quoted for systemd', async () => {
    await run(['init', at('50% of it'), ...named()]);
    const service = await readFile(at('50% of it/countersign.service'), 'utf8');
    expect(service).toMatch(
      /^ExecStart=\S+ \S+main\.(ts|js) serve --config ".*50%% of it\/countersign\.yaml"$/m,
    );
    expect(service).toMatch(/^ReadWritePaths=".*50%% of it"$/m);
    expect(service).toMatch(/^RestartPreventExitStatus=2$/m);
  });

  it('writes a service that systemd accepts', async ({ skip }) => {
    if (spawnSync('systemd-analyze', ['--version']).status !== 0) skip('systemd is not installed');
    await run(['init', at('50% of it'), ...named()]);
    const checked = spawnSync('systemd-analyze', ['verify', at('50% of it/countersign.service')], {
      encoding: 'utf8',
    });
    // It says what is wrong with other units of this machine, too.
    const said = checked.stderr.split('\n').filter((line) => line.includes('countersign'));
    expect([checked.status, said]).toEqual([0, []]);
  });

  it('has every answer in the configuration, which is valid where the broker is', async () => {
    const words = [
      '--issuer',
      'https://id.example/',
      '--client-id',
      'a: b',
      '--groups-claim',
      '/realm/roles',
    ];
    await run(init(...words, '--url', 'https://flags.example'));
    const config = loadConfig({ file: at('setup/countersign.yaml'), env: {} });
    expect(config).toMatchObject({
      public_url: 'https://flags.example',
      listen: { host: '127.0.0.1', port: 8480 },
      policy_bundle: at('setup/bundle.tar.gz'),
      issuers: [{ issuer: 'https://id.example/', audience: ['a: b'], claims: { groups: '/realm/roles' } }],
    });
  });
});

describe('a set-up for a provider', () => {
  const company = ['--client-id', 'countersign-cli', '--group', ...GROUPS, 'account-approver=success'];
  const issuerFor = async (...words: string[]) => {
    const { code, err, out } = await run(init(...words));
    expect([code, err]).toEqual([0, expect.anything()]);
    const config = loadConfig({ file: at('setup/countersign.yaml'), env: {} });
    return { configured: config.issuers[0], out, err };
  };

  it.each([
    ['https://acme.okta.com', { scope: 'openid groups offline_access', redirect_port: 17171 }],
    ['https://acme.okta.com/oauth2/default', { scope: 'openid offline_access', redirect_port: 17171 }],
    ['https://acme.eu.auth0.com/', { scope: 'openid offline_access', redirect_port: 17171 }],
    ['https://login.microsoftonline.com/b1d5/v2.0', { scope: 'openid profile offline_access' }],
    ['https://dex.acme.example', { scope: 'openid groups offline_access' }],
    ['https://id.acme.example/realms/acme', undefined],
    ['https://login.acme.example', undefined],
    ['https://okta.com.example', undefined],
  ])('recognises %s, and asks it for what its sign-ins need', async (issuer, login) => {
    const { configured } = await issuerFor('--issuer', issuer, ...company);
    expect(configured?.issuer).toBe(issuer);
    expect(configured?.login).toEqual(
      login === undefined ? undefined : { client_id: 'countersign-cli', ...login },
    );
    expect(configured?.claims.person).toBe(issuer.includes('microsoft') ? 'oid' : undefined);
  });

  it('may be told which provider it is, and what to know of it', async () => {
    const { configured, out } = await issuerFor(
      '--issuer',
      'https://login.acme.example',
      '--provider',
      'okta',
      ...company,
    );
    expect(configured?.login?.redirect_port).toBe(17171);
    expect(out).toContain('About Okta');
    expect(out).toContain('http://127.0.0.1:17171/cb');
  });

  it('writes the issuer as its tokens name it', async () => {
    const auth0 = await issuerFor('--issuer', 'https://acme.eu.auth0.com', ...company);
    expect([auth0.configured?.issuer, auth0.err]).toEqual([
      'https://acme.eu.auth0.com/',
      expect.stringContaining('so that is the issuer'),
    ]);
  });

  const ADDRESSES = [
    ...['flag-deployer', 'flag-approver', 'policy-maintainer', 'account-approver'].map(
      (role) => `${role}=dana@acme.example`,
    ),
    ...['flag-approver', 'security-approver', 'flag-auditor', 'flag-emergency-override'].map(
      (role) => `${role}=alex@acme.example`,
    ),
  ];

  it('without groups binds roles to people, under which they work', async () => {
    const words = ['--issuer', people.issuer, '--provider', 'google', '--client-id', 'countersign-cli'];
    const { configured, out } = await issuerFor(...words, '--client-secret', 's', '--group', ...ADDRESSES);
    expect(configured?.login).toEqual({
      client_id: 'countersign-cli',
      scope: 'openid email',
      client_secret: 's',
    });
    expect(configured?.claims.pass).toEqual(['email']);
    expect(out).toMatch(/^ {4}dana@acme\.example, alex@acme\.example +approves them/m);
    const checked = await run(['policy', 'check', at('setup/policy')]);
    expect([checked.code, checked.out]).toEqual([0, expect.stringMatching(/cases +\d+ passed, 0 failed/)]);

    const file = at('setup/countersign.yaml');
    // The keys of the issuer of this test are not at Google.
    await writeFile(file, (await readFile(file, 'utf8')).replace(/^ +jwks_uri: .*\n/m, ''));
    const url = await start();
    const tokenOf = (who: string) =>
      people.idToken(who, { claims: { groups: undefined, email: `${who}@acme.example` } });
    const asOwner = async (who: string, ...argv: string[]) =>
      run(argv, { env: { COUNTERSIGN_URL: url, COUNTERSIGN_TOKEN: await tokenOf(who) } });
    const alone = await asOwner('dana', 'propose', '--file', at('setup/first-flag.yaml'));
    expect(alone.code, alone.err).toBe(0);
    const held = await asOwner('dana', 'propose', '--file', at('setup/production-flag.yaml'), '--json');
    const approve = ['approve', held.json.id, '--digest', held.json.digest];
    expect((await asOwner('dana', ...approve)).code).toBe(4);
    expect((await asOwner('morgan', ...approve)).code).toBe(4);
    expect((await asOwner('alex', ...approve)).code).toBe(0);
  });

  it('without groups asks for people, and says whom it lacks', async () => {
    const refused = await run(
      init(
        '--issuer',
        'https://accounts.google.com',
        '--client-id',
        'x',
        '--group',
        'flag-deployer=dana@acme.example',
      ),
    );
    expect([refused.code, refused.err]).toEqual([
      2,
      expect.stringMatching(/no groups.*Nobody has flag-approver, .*--group flag-approver=/s),
    ]);
    expect(await readdir(folder)).toEqual([]);
    const answers = [
      'https://accounts.google.com/',
      'x',
      ...Array(7).fill('dana@acme.example, alex@acme.example'),
    ];
    const asked = await run(init(), { answers });
    expect([asked.code, asked.err]).toEqual([0, expect.stringContaining('https://accounts.google.com')]);
    expect(asked.out).toMatch(/^ {4}dana@acme\.example, alex@acme\.example +proposes changes/m);
  });
});
