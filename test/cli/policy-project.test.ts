import { generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readBundle } from '../../src/policy/bundle.ts';
import { loadBundleKeys } from '../../src/policy/bundle-keys.ts';
import { runAlone } from './alone.ts';

/* A policy project, from an empty folder to a bundle. */

const OPA = fileURLToPath(new URL('../../.cache/bin/opa', import.meta.url));
const hasOpa = existsSync(OPA);
if (!hasOpa)
  process.emitWarning(
    'SKIPPED: tests that compile Rego, because .cache/bin/opa is not built (make policies)',
  );

const ISSUER = ['--issuer', 'https://login.example.com'];
/** No opa on the path. */
const BARE = { PATH: '/nowhere' };
const OWN_RULE = `package countersign.own

deny contains {"code": "own_rule", "detail": "Our own rule."} if input.request.reason == "forbidden"
`;

let root: string;
let folder: string;
let count = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'countersign-author-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));
beforeEach(() => {
  count += 1;
  folder = join(root, `policy-${count}`);
});

const run = (...argv: string[]) => runAlone(argv, { env: BARE });
const init = (...options: string[]) => run('policy', 'init', folder, ...ISSUER, '--json', ...options);

async function write(path: string, content: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), content);
}

async function edit(path: string, from: string, to: string): Promise<void> {
  const text = await readFile(join(folder, path), 'utf8');
  expect(text).toContain(from);
  await writeFile(join(folder, path), text.replace(from, to));
}

describe('policy init', () => {
  it('makes a project that checks, tests and builds without opa, and says what is next', async () => {
    const told = await run('policy', 'init', folder, ...ISSUER);
    expect([told.code, told.out]).toEqual([
      0,
      expect.stringContaining('countersign policy build -o bundle.tar.gz'),
    ]);
    const checked = await run('policy', 'check', folder, '--json');
    expect(checked.json).toMatchObject({ faults: [], cases: { failed: [] } });
    expect(checked.json.cases.passed).toBeGreaterThan(4);
    const tested = await run('policy', 'test', folder, '--json');
    expect([tested.code, tested.json]).toEqual([0, { cases: checked.json.cases, rego: null }]);
    expect(tested.err).toContain('opa is not installed');
    const file = join(root, 'first.tar.gz');
    const built = await run('policy', 'build', folder, '-o', file, '--revision', 'v1', '--json');
    expect(built.json).toMatchObject({
      policy_hash: checked.json.policy_hash,
      module: 'shipped',
      signed: false,
    });
    const bundle = await readBundle(await readFile(file));
    expect([bundle.hash, bundle.revision]).toEqual([checked.json.policy_hash, 'v1']);
    expect(JSON.stringify(bundle.data)).not.toMatch(/127\.0\.0\.1|emp-1|payments|acme/);
  });

  it('builds the same bytes twice', async () => {
    await init();
    const [one, two] = [join(root, 'one.tar.gz'), join(root, 'two.tar.gz')];
    for (const file of [one, two]) await run('policy', 'build', folder, '-o', file);
    expect((await readFile(one)).equals(await readFile(two))).toBe(true);
  });

  it('puts the answers into the data', async () => {
    const options = ['--group', 'flag-deployer=engineers', 'flag-approver=engineers', '--zone', 'Asia/Tokyo'];
    const place = [
      '--environment',
      'live=production',
      'test=development',
      '--url',
      'https://flags.corp.example/',
      '--registry',
      'https://npm.corp.example/',
    ];
    const repository = [
      '--repository-id',
      '12',
      '--owner-id',
      '34',
      '--alias',
      'github:7=milton@corp.example',
    ];
    expect((await init(...options, ...place, ...repository)).code).toBe(0);
    const file = join(root, 'answers.tar.gz');
    await run('policy', 'build', folder, '-o', file);
    const { data } = await readBundle(await readFile(file));
    const { config } = data as { config: Record<string, Record<string, unknown>> };
    expect(config.environments).toEqual({ live: { kind: 'production' }, test: { kind: 'development' } });
    expect(config.zones).toEqual(['Asia/Tokyo']);
    expect(config.role_bindings).toMatchObject({
      groups: {
        'https://login.example.com': {
          engineers: [
            { roles: ['flag-deployer', 'flag-reader'] },
            { roles: ['flag-approver', 'flag-reader'] },
          ],
        },
      },
      trust_rules: { 'policy-pipeline': [{ roles: ['policy-maintainer'] }] },
    });
    expect(config.persons).toEqual({ 'github:7': 'milton@corp.example' });
    expect(config.trust_rules?.['policy-pipeline']).toMatchObject({
      audience: 'https://flags.corp.example',
      claims: { repository_id: '12', repository_owner_id: '34' },
    });
    const workflow = await readFile(join(folder, '.github/workflows/policy.yml'), 'utf8');
    expect(workflow.match(/registry-url: "https:\/\/npm\.corp\.example\/"/g)).toHaveLength(2);
    expect(workflow.match(/npm install --global countersign@\d+\.\d+\.\d+$/gm)).toHaveLength(2);
    expect(workflow).toContain('COUNTERSIGN_URL: "https://flags.corp.example"');
    expect(workflow).not.toContain('{{');
    const checked = await run('policy', 'check', folder, '--json');
    expect([checked.code, checked.json.cases.passed], checked.out).toEqual([0, 7]);
  });

  it('asks a person at a terminal, for whom an empty answer is the default', async () => {
    const answers = ['https://login.example.com', 'engineers', '', '', '', '', '', ''];
    const asked: string[] = [];
    const ask = async (question: string) => {
      asked.push(question);
      return answers[asked.length - 1] ?? '';
    };
    const { code } = await runAlone(['policy', 'init', folder], { env: BARE, ask });
    expect([code, asked.length]).toEqual([0, 8]);
    const bindings = await readFile(join(folder, 'data/config/role_bindings/data.yaml'), 'utf8');
    expect(bindings).toContain('engineers:');
    expect(bindings).toContain('flag-approver:');
  });

  it.each([
    ['no identity provider', ['--zone', 'UTC'], 'usage'],
    ['an identity provider that is no address', ['--issuer', 'login'], 'usage'],
    ['a zone that there is not', [...ISSUER, '--zone', 'Europe/Atlantis'], 'usage'],
    ['a role that there is not', [...ISSUER, '--group', 'boss=me'], 'usage'],
    ['a kind of environment without rules', [...ISSUER, '--environment', 'live=prod'], 'usage'],
    ['a registry that is no address', [...ISSUER, '--registry', 'npm'], 'usage'],
    ['half a repository', [...ISSUER, '--repository-id', '1'], 'usage'],
    ['the name of a repository', [...ISSUER, '--repository-id', 'acme/policy', '--owner-id', '2'], 'usage'],
  ])('refuses %s, and writes nothing', async (_what, options, code) => {
    const refused = await run('policy', 'init', folder, '--json', ...options);
    expect([refused.code, refused.json.code]).toEqual([2, code]);
    expect(existsSync(folder)).toBe(false);
  });

  it('refuses a folder that is not empty, and with --force leaves what is there as it is', async () => {
    await write('README.md', 'mine');
    const refused = await init();
    expect([refused.code, refused.json.code]).toEqual([1, 'folder_not_empty']);
    expect(refused.json.detail).toContain('README.md');
    expect(await readdir(folder)).toEqual(['README.md']);
    const forced = await init('--force');
    expect(forced.json.kept).toEqual(['README.md']);
    expect(await readFile(join(folder, 'README.md'), 'utf8')).toBe('mine');
    const again = await init('--force');
    expect(again.json).toMatchObject({ written: [], kept: ['README.md'] });
  });

  it('does not follow a link out of the folder', async () => {
    const outside = join(root, `outside-${count}`);
    await write('keep', '');
    await symlink(outside, join(folder, 'Makefile'));
    const forced = await init('--force');
    expect(forced.json.kept).toContain('Makefile');
    expect(existsSync(outside)).toBe(false);
  });

  it('binds a group whatever YAML makes of its name', async () => {
    const names = [
      'on',
      'no',
      '010',
      '1e3',
      'null',
      '~',
      '#x',
      'a: b',
      '*',
      '&x',
      '"q"',
      'ünïcode 组',
      '__proto__',
    ];
    const roles = ['flag-auditor', 'flag-deployer', 'flag-approver', 'security-approver', 'account-approver'];
    for (let at = 0; at < names.length; at += roles.length) {
      const some = names.slice(at, at + roles.length);
      const project = join(root, `named-${at}`);
      const groups = some.map((name, place) => `${roles[place]}=${name}`);
      expect((await run('policy', 'init', project, ...ISSUER, '--group', ...groups)).code).toBe(0);
      const file = join(root, 'named.tar.gz');
      const built = await run('policy', 'build', project, '-o', file);
      expect(built.code, built.err).toBe(0);
      const { data } = await readBundle(await readFile(file));
      const { role_bindings } = (data as { config: { role_bindings: { groups: Record<string, object> } } })
        .config;
      const bound = Object.keys(role_bindings.groups['https://login.example.com'] ?? {});
      expect(bound).toEqual(expect.arrayContaining(some));
    }
  });

  it('can leave out the Rego', async () => {
    await init('--no-rego');
    expect(await readdir(folder)).not.toContain('countersign');
    const checked = await run('policy', 'check', folder, '--json');
    expect([checked.code, checked.json.rego]).toEqual([0, expect.stringContaining('none')]);
  });
});

describe('policy check', () => {
  it('says what is too large, as every command that reads the project', async () => {
    await init();
    await write('cases/large.json', ' '.repeat(17 * 1024 * 1024));
    for (const command of ['check', 'test']) {
      const { code, err } = await run('policy', command, folder);
      expect(code).not.toBe(0);
      expect(err).toContain('bundle_unusable');
      expect(err).toContain('its files have more than');
    }
  });

  it('lists all faults of the data at once, with their places', async () => {
    await init();
    await edit('data/config/environments/data.yaml', 'kind: production', 'knd: production');
    await edit('data/config/limits/data.yaml', 'request_ttl_s: 604800', 'request_ttl_s: 0');
    const { code, json } = await run('policy', 'check', folder, '--json');
    const pointers = json.faults.map(({ pointer }: { pointer: string }) => pointer);
    expect(code).toBe(1);
    expect(pointers).toEqual(
      expect.arrayContaining(['/config/environments/production/kind', '/config/limits/request_ttl_s']),
    );
    expect(json.policy_hash).toBeNull();
  });

  it('fails for a decision case that does not pass, and says how it differs', async () => {
    await init();
    await edit('cases/decisions.json', '"effect": "allow"', '"effect": "deny"');
    const { code, json } = await run('policy', 'check', folder, '--json');
    expect(code).toBe(1);
    expect(json.cases.failed).toEqual([
      {
        name: expect.stringContaining('decisions: '),
        detail: expect.stringContaining('expected deny, got allow'),
      },
    ]);
    expect((await run('policy', 'test', folder)).code).toBe(1);
  });

  it('finds an open trust rule', async () => {
    await init('--repository-id', '1', '--owner-id', '2');
    await edit('data/config/trust_rules/data.yaml', '  run_attempt: "1"\n', '');
    const { code, json } = await run('policy', 'check', folder, '--json');
    expect([code, json.faults[0]?.pointer]).toEqual([1, '/config/trust_rules/policy-pipeline']);
  });

  it('says how to get opa when Rego of its own cannot be checked', async () => {
    await init();
    await write('countersign/own/mine.rego', OWN_RULE);
    const { code, json } = await run('policy', 'check', folder, '--json');
    expect([code, json.faults]).toEqual([
      1,
      [{ pointer: '', detail: expect.stringContaining('brew install opa') }],
    ]);
    const built = await run('policy', 'build', folder, '-o', join(root, 'no.tar.gz'), '--json');
    expect([built.code, built.json.code]).toEqual([1, 'opa_missing']);
    expect(built.json.detail).toContain('countersign/own/mine.rego');
    expect(existsSync(join(root, 'no.tar.gz'))).toBe(false);
  });

  it('takes a bundle, too, and refuses what is neither', async () => {
    await init();
    const file = join(root, 'checked.tar.gz');
    await run('policy', 'build', folder, '-o', file);
    expect((await run('policy', 'check', file, '--json')).json).toMatchObject({
      faults: [],
      cases: { failed: [] },
    });
    await writeFile(file, 'hello');
    expect((await run('policy', 'check', file, '--json')).json.code).toBe('bundle_unusable');
    expect((await run('policy', 'check', join(root, 'nothing'), '--json')).json.code).toBe('bundle_unusable');
    const none = await run('policy', 'check', root, '--json');
    expect([none.code, none.json.detail]).toEqual([2, expect.stringContaining('countersign policy init')]);
  });
});

describe('an opa', () => {
  /** A program that says it is that opa, and builds nothing. */
  async function pretend(name: string, script: string): Promise<string> {
    const file = join(root, name);
    await writeFile(file, `#!/bin/sh\n${script}\n`);
    await chmod(file, 0o755);
    return file;
  }

  it.each([
    ['that is too old', 'echo "Version: 1.17.3"', 'opa_too_old', '1.18'],
    ['that is none', 'echo hello', 'opa_unusable', 'is not opa'],
    ['that fails', 'exit 3', 'opa_unusable', 'does not run'],
  ])('%s is refused with how to get another one', async (what, script, code, detail) => {
    await init();
    const file = await pretend(`opa-${what.replaceAll(' ', '-')}`, script);
    const refused = await run('policy', 'test', folder, '--opa', file, '--json');
    expect([refused.code, refused.json.code]).toEqual([1, code]);
    expect(refused.json.detail).toContain(detail);
    expect(refused.json.detail).toContain('openpolicyagent.org');
  });

  it('that is too old is no obstacle where none is needed, and one for own Rego', async () => {
    await init();
    const bin = join(root, 'bin');
    await mkdir(bin, { recursive: true });
    await pretend('bin/opa', 'echo "Version: 0.61.0"');
    const onPath = (...argv: string[]) => runAlone(argv, { env: { PATH: bin } });
    const built = await onPath('policy', 'build', folder, '-o', join(root, 'old.tar.gz'));
    expect([built.code, built.err]).toEqual([0, expect.stringContaining('0.61.0')]);
    await write('countersign/own/mine.rego', OWN_RULE);
    const refused = await onPath('policy', 'build', folder, '-o', join(root, 'old.tar.gz'), '--json');
    expect([refused.code, refused.json.code]).toEqual([1, 'opa_too_old']);
  });

  it('that does not exist is refused', async () => {
    await init();
    const refused = await run('policy', 'test', folder, '--opa', join(root, 'no-opa'), '--json');
    expect([refused.code, refused.json.code]).toEqual([1, 'opa_missing']);
  });
});

describe('a signature', () => {
  it('is one that the broker verifies with its key, and with no other', async () => {
    await init();
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
    const pem = join(root, 'release.pem');
    await writeFile(pem, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const file = join(root, 'signed.tar.gz');
    const built = await run(
      'policy',
      'build',
      folder,
      '-o',
      file,
      '--sign',
      pem,
      '--key-id',
      'release',
      '--json',
    );
    expect(built.json.signed).toBe(true);
    const keysOf = (key: typeof publicKey) =>
      loadBundleKeys([
        {
          kid: 'release',
          algorithm: 'ES256',
          key: key.export({ type: 'spki', format: 'pem' }).toString(),
          scope: '',
        },
      ]);
    const archive = await readFile(file);
    expect((await readBundle(archive, { keys: await keysOf(publicKey) })).hash).toBe(built.json.policy_hash);
    await expect(readBundle(archive, { keys: await keysOf(other) })).rejects.toThrow(/does not verify/);
  });

  it('by what is no private key is refused', async () => {
    await init();
    const refused = await run(
      'policy',
      'build',
      folder,
      '-o',
      join(root, 'x'),
      '--sign',
      join(folder, 'README.md'),
      '--json',
    );
    expect([refused.code, refused.json.code]).toEqual([2, 'usage']);
    expect(existsSync(join(root, 'x'))).toBe(false);
  });
});

describe.skipIf(!hasOpa)('with opa', () => {
  const withOpa = (...argv: string[]) =>
    runAlone([...argv, '--opa', OPA], { env: { ...BARE, OPA_BUILD_OPTIMIZE: '2' } });

  it('the Rego of this version is not compiled, and compiled it is the same policy', {
    timeout: 60_000,
  }, async () => {
    await init();
    const shipped = await withOpa('policy', 'check', folder, '--json');
    expect([shipped.code, shipped.json.rego], shipped.out).toEqual([
      0,
      expect.stringContaining('checked with opa'),
    ]);
    await edit('countersign/decision.rego', '# METADATA', '# Ours.\n\n# METADATA');
    const own = await withOpa('policy', 'check', folder, '--json');
    expect(own.json.rego).toContain('your own');
    const tested = await withOpa('policy', 'test', folder, '--json');
    expect([tested.code, tested.json.rego]).toEqual([0, { passed: 2 }]);
  });

  it('a rule of its own decides', { timeout: 60_000 }, async () => {
    await init();
    await write('countersign/own/mine.rego', OWN_RULE);
    await edit(
      'cases/decisions.json',
      '[\n',
      '[\n  {"name": "our rule", "input": {"request": {"reason": "forbidden"}}, "changes": [{}], "expected": {"effect": "deny", "reasons": ["own_rule"]}},\n',
    );
    const checked = await withOpa('policy', 'check', folder, '--json');
    expect([checked.code, checked.json.cases.failed], checked.out).toEqual([0, []]);
    expect(checked.err).toContain('Compiling the Rego');
    const file = join(root, 'own.tar.gz');
    expect((await withOpa('policy', 'build', folder, '-o', file, '--json')).json).toMatchObject({
      module: 'compiled',
      policy_hash: checked.json.policy_hash,
    });
    // The module of a bundle needs no compiler, whatever Rego is beside it.
    const again = await run(
      'policy',
      'build',
      folder,
      '-o',
      join(root, 'again.tar.gz'),
      '--module',
      file,
      '--json',
    );
    expect(again.json).toMatchObject({ module: 'given', policy_hash: checked.json.policy_hash });
  });

  it.each([
    ['a syntax error', 'package countersign.own\n\ndeny contains {\n', 'rego_parse_error'],
    ['a clock', 'package countersign.own\n\nwaits contains time.now_ns() if true\n', 'time.now_ns'],
    [
      'a misspelt member of the input',
      'package countersign.own\n\ndeny contains {"code": "a", "detail": "b"} if input.operatoin == "x"\n',
      'operatoin',
    ],
  ])('%s is a fault, in the words of opa', { timeout: 60_000 }, async (_what, rego, word) => {
    await init();
    await write('countersign/own/mine.rego', rego);
    const { code, json } = await withOpa('policy', 'check', folder, '--json');
    expect([code, JSON.stringify(json.faults)]).toEqual([1, expect.stringContaining(word)]);
  });

  it('a failing test in Rego fails', { timeout: 60_000 }, async () => {
    await init();
    await write(
      'countersign/own/more_test.rego',
      'package countersign.more_test\n\ntest_nothing if 1 == 2\n',
    );
    const { code, json } = await withOpa('policy', 'test', folder, '--json');
    expect([code, json.code]).toEqual([1, 'opa_failed']);
    expect(json.detail).toContain('test_nothing');
  });
});
