import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Broker, startBroker } from '../../src/broker.ts';
import { runCli } from '../../src/cli/program.ts';
import { systemClock } from '../../src/clock.ts';
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

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-init-'));
  people = await startTokenIssuer(systemClock);
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
  broker = await startBroker({ config, clock: systemClock, log: createLog('silent') });
  return broker.url;
}

async function as(who: string, url: string, ...argv: string[]): Promise<Run> {
  return run(argv, { env: { COUNTERSIGN_URL: url, COUNTERSIGN_TOKEN: await people.idToken(who) } });
}

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
    expect(out).toContain('Invite a second person into payments-approvers');

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
    expect(service).toMatch(/^ReadWritePaths=.*50%% of it$/m);
    expect(service).toMatch(/^RestartPreventExitStatus=2$/m);
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
