import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Config, ConfigError, loadConfig } from '../src/config.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-config-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function load(document: unknown, env: NodeJS.ProcessEnv = {}): Promise<Config> {
  const file = join(folder, 'countersign.yaml');
  await writeFile(file, JSON.stringify(document));
  return loadConfig({ file, env });
}

/** The lines that a configuration is refused with, one a fault; none when it is taken. */
async function faultsOf(document: unknown, env: NodeJS.ProcessEnv = {}): Promise<string[]> {
  try {
    await load(document, env);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
}

const issuer = { key: 'demo', issuer: 'https://id.example', audience: 'countersign-cli' };

/** Beside others, nobody has an account here and there. */
const apart = { ...issuer, disjoint: true };

describe('a value that cannot be used', () => {
  it.each([
    [{ listen: { port: 99_999 } }, 'listen.port: expected a whole number from 0 to 65535; got 99999'],
    [{ listen: 5 }, 'listen: expected a mapping; got 5'],
    [{ calls_per_minute: -1 }, 'calls_per_minute: expected a whole number of at least 0; got -1'],
    [
      { log_level: 'loud' },
      'log_level: expected one of fatal, error, warn, info, debug, trace, silent; got "loud"',
    ],
    [{ public_url: 'ftp://x' }, 'public_url: expected an http or https URL; got "ftp://x"'],
    ...['https://x.example/flags', 'https://x.example?a=1', 'https://x.example/#a'].map(
      (public_url): [object, string] => [
        { public_url },
        `public_url: must have no path, query or credentials: use a dedicated host name for the broker; got "${public_url}"`,
      ],
    ),
    [
      { public_url: 'https://dana:secret@x.example' },
      'public_url: must have no path, query or credentials: use a dedicated host name for the broker; got "https://…@x.example"',
    ],
    [{ attempts_per_minute: -1 }, 'attempts_per_minute: expected a whole number of at least 0; got -1'],
    ...['all', 'loopback', '10.0.0.0/33', '0.0.0.0/0', '::/0', '10.0.0.1, 10.0.0.2'].map(
      (proxy): [object, string] => [
        { trusted_proxies: ['10.0.0.0/8', '2001:db8::/32', '::1', proxy] },
        `trusted_proxies.3: must be an IP address, or a network such as 10.0.0.0/8; got "${proxy}"`,
      ],
    ),
    [
      { proxy_header: 'X-Real-IP' },
      'proxy_header: expected one of X-Forwarded-For, Forwarded; got "X-Real-IP"',
    ],
    ...['https://a.example', 'a.example/', 'a b', '*.example', 'a.example:port', ''].map(
      (host): [object, string] => [
        { hosts: ['a.example', 'A.example:8480', '[::1]:80', '10.0.0.1', host] },
        `hosts.4: must be a host name or an address, such as countersign.internal:8480; got "${host}"`,
      ],
    ),
    [
      { workload_issuers: [{ issuer: 'spiffe://acme.example' }] },
      'workload_issuers.0.jwks_file: or jwks_uri is required for a trust domain, because SPIFFE has no discovery; it is missing',
    ],
    [
      { workload_issuers: [{ issuer: 'https://ci.example' }, { issuer: 'https://ci.example' }] },
      'workload_issuers: must have unique issuers: put all settings of an issuer into one entry; got a list of 2',
    ],
    [{ database: '' }, 'database: expected a non-empty string; got ""'],
    [{ issuers: 'none' }, 'issuers: expected a list; got "none"'],
    [
      { issuers: [apart, { ...apart, issuer: 'https://other.example' }] },
      'issuers: must have unique keys: the key names the issuer in the ids of people; got a list of 2',
    ],
    [
      { issuers: [apart, { ...apart, key: 'other' }] },
      'issuers: must have unique issuers: put their clients into one `audience`; got a list of 2',
    ],
    [
      { issuers: [{ ...issuer, key: 'K' }] },
      'issuers.0.key: expected a string that matches ^[a-z][a-z0-9-]{0,62}$; got "K"',
    ],
    [
      { issuers: [{ key: 'demo', audience: 'x' }] },
      'issuers.0.issuer: expected a string of 1 to 512 characters; it is missing',
    ],
    [
      { issuers: [{ ...issuer, audience: 7 }] },
      'issuers.0.audience: expected a non-empty string or a non-empty list; got 7',
    ],
    [
      { issuers: [{ ...issuer, levels: { acr: { mfa: 'high' } } }] },
      'issuers.0.levels.acr.mfa: expected a whole number from 0 to 9; got "high"',
    ],
    [
      { issuers: [{ ...issuer, allow_insecure_loopback: 'yes' }] },
      'issuers.0.allow_insecure_loopback: expected true or false; got "yes"',
    ],
  ])('is reported with its key, what is expected and what was given: %j', async (document, line) => {
    expect(await faultsOf(document)).toEqual([line]);
  });

  it('names the environment variable that set it', async () => {
    const [line] = await faultsOf({ listen: { port: 1 } }, { COUNTERSIGN_PORT: 'http' });
    expect(line).toBe('listen.port (COUNTERSIGN_PORT): expected a whole number from 0 to 65535; got "http"');
  });

  it('never shows what may be a password, and shortens long values', async () => {
    const [line] = await faultsOf({ issuers: [{ ...issuer, issuer: 'https://me:s3cret@id.example' }] });
    expect(line).toContain('must be an https URL without credentials');
    expect(line).toContain('got "https://…@id.example"');
    expect(line).not.toContain('s3cret');
    const [long] = await faultsOf({ log_level: 'x'.repeat(10_000) });
    expect(long?.length).toBeLessThan(250);
  });
});

describe('an unknown key', () => {
  it.each([
    [{ databse: 'x' }, 'databse: unknown key; did you mean database?'],
    [{ listen: { prot: 1 } }, 'listen.prot: unknown key; did you mean port?'],
    [{ listen: { zzzzzz: 1 } }, 'listen.zzzzzz: unknown key; known keys are host, port'],
    [
      { issuers: [{ ...issuer, audiences: 'x' }] },
      'issuers.0.audiences: unknown key; did you mean audience?',
    ],
    [
      { issuers: [{ ...issuer, claims: { persno: 'sub' } }] },
      'issuers.0.claims.persno: unknown key; did you mean person?',
    ],
  ])('is named with the most similar key: %j', async (document, line) => {
    expect(await faultsOf(document)).toEqual([line]);
  });
});

describe('the master key', () => {
  const KEY = Buffer.alloc(32, 3).toString('hex');

  it('is in the file that is named, from where the configuration is; beside the database by default', async () => {
    await writeFile(join(folder, 'master'), KEY, { mode: 0o600 });
    const named = await load({ master_key_file: 'master' });
    expect(named.master_key.from).toBe(join(folder, 'master'));
    expect(named.master_key.key?.export().toString('hex')).toBe(KEY);
    const beside = await load({ database: 'here.db' });
    expect(beside.master_key).toEqual({
      key: null,
      from: join(folder, 'here.db.master-key'),
      previous: null,
    });
    expect(beside.signing_key_days).toBe(30);
  });

  it('is a fault beside all others where it cannot be used, and is shown nowhere', async () => {
    await writeFile(join(folder, 'master'), KEY, { mode: 0o644 });
    const env = { COUNTERSIGN_MASTER_KEY: KEY, COUNTERSIGN_PREVIOUS_MASTER_KEY: `${KEY}00` };
    const lines = await faultsOf({ log_level: 'loud', master_key_file: 'master', signing_key_days: -1 }, env);
    expect(lines.map((line) => line.split(':')[0]).sort()).toEqual([
      'COUNTERSIGN_PREVIOUS_MASTER_KEY',
      'log_level',
      'master_key_file',
      'signing_key_days',
    ]);
    expect(lines.join()).not.toContain(KEY);
    expect(await faultsOf({ master_key_file: 'master' })).toEqual([
      `master_key_file: ${join(folder, 'master')} is readable by other users; restrict it with: chmod 600 ${join(folder, 'master')}`,
    ]);
    expect(await faultsOf({ master_key_file: 'none' })).toEqual([
      `master_key_file: ${join(folder, 'none')} does not exist; it must contain 32 random bytes as base64, base64url or hex (generate with: openssl rand -base64 32)`,
    ]);
  });
});

describe('the files that a configuration names', () => {
  it('are reported together with all other faults, with key and path, and nothing is created', async () => {
    const lines = await faultsOf(
      { log_level: 'loud', databse: 'x', policy_bundle: 'none.tar.gz' },
      { COUNTERSIGN_DATABASE: 'nowhere/countersign.db' },
    );
    expect(lines.map((line) => line.split(':')[0])).toEqual([
      'log_level',
      'databse',
      'database (COUNTERSIGN_DATABASE)',
      'policy_bundle',
    ]);
    expect(lines[2]).toContain(`the directory ${join(folder, 'nowhere')} does not exist`);
    expect(lines[3]).toContain(join(folder, 'none.tar.gz'));
    expect(await readdir(folder)).toEqual(['countersign.yaml']);
  });

  it('may be without the bundle once the database is there', async () => {
    await writeFile(join(folder, 'countersign.db'), '');
    const config = await load({ policy_bundle: 'none.tar.gz' });
    expect(config).toMatchObject({
      database: join(folder, 'countersign.db'),
      policy_bundle: join(folder, 'none.tar.gz'),
    });
  });

  it('are none where the database is on a server: its address may be in a file, and is never shown', async () => {
    const address = 'postgres://countersign:hidden-5@db.example/flags';
    const master_key = { from: join(folder, 'countersign.master-key') };
    expect(await load({ database: address })).toMatchObject({ database: address, master_key });
    await writeFile(join(folder, 'address'), `${address}\n`);
    expect(await load({ database_file: 'address' })).toMatchObject({ database: address, master_key });
    for (const document of [{ database_file: 'none' }, { database_file: 'address', database: 'x.db' }]) {
      const lines = await faultsOf(document);
      expect(lines).toEqual([expect.stringMatching(/^database_file: /)]);
      expect(lines.join()).not.toContain('hidden-5');
    }
    await writeFile(join(folder, 'address'), 'hidden-5');
    expect(await faultsOf({ database_file: 'address' })).toEqual([
      `database_file: ${join(folder, 'address')} holds no address such as postgres://user@host/name`,
    ]);
  });

  it('are refused where the address of a server has characters that must be encoded, and it is not shown', async () => {
    const address = 'postgres://user:se/cret@host/db';
    await writeFile(join(folder, 'address'), address);
    for (const document of [{ database: address }, { database_file: 'address' }]) {
      const [line = '', ...others] = await faultsOf(document);
      expect(others).toEqual([]);
      expect(line).toMatch(/^database(_file)?: .*percent-encode .*PGPASSWORD/);
      expect(line).not.toContain('cret');
    }
  });

  it('may be a folder for the bundle, but not for the database', async () => {
    await mkdir(join(folder, 'sub'));
    expect(await load({ policy_bundle: 'sub' })).toMatchObject({ policy_bundle: join(folder, 'sub') });
    expect(await faultsOf({ policy_bundle: 'countersign.yaml/x.tar.gz' })).toEqual([
      `policy_bundle: ${join(folder, 'countersign.yaml/x.tar.gz')} is neither a readable file nor a folder; the first start requires the bundle`,
    ]);
    expect(await faultsOf({ database: 'sub' })).toEqual([
      `database: ${join(folder, 'sub')} is a directory; it must be a file`,
    ]);
    expect(await faultsOf({ database: 'countersign.yaml/x.db' })).toHaveLength(1);
  });
});

describe('the key file of an issuer', () => {
  const workload_issuers = [{ issuer: 'https://kubernetes.default.svc', jwks_file: 'keys/jwks.json' }];

  it('is looked for beside the configuration', async () => {
    await mkdir(join(folder, 'keys'));
    await writeFile(join(folder, 'keys/jwks.json'), '{}');
    const config = await load({ workload_issuers });
    expect(config.workload_issuers[0]?.jwks_file).toBe(join(folder, 'keys/jwks.json'));
  });

  it('must be there', async () => {
    expect(await faultsOf({ workload_issuers })).toEqual([
      `workload_issuers.0.jwks_file: ${join(folder, 'keys/jwks.json')} is not a readable file; put the issuer's key set there`,
    ]);
  });
});

describe('faults are reported together', () => {
  const keysOf = (lines: string[]) => lines.map((line) => line.split(': ')[0]).sort();

  it.each([
    [
      'the form of one value and what others mean together',
      {
        public_url: 'http://flags.example',
        log_level: 'loud',
        issuers: [
          { ...issuer, key: 'K', issuer: 'http://id.example', jwks_file: 'none' },
          { ...issuer, web: {} },
        ],
      },
      [
        'issuers.0.issuer',
        'issuers.0.jwks_file',
        'issuers.0.key',
        'issuers.1.web.client_id',
        'log_level',
        'public_url',
      ],
    ],
    [
      'what a list compares, beside a fault of an entry',
      { issuers: [apart, { ...apart, audience: 7 }, 5] },
      ['issuers', 'issuers.1.audience', 'issuers.2'],
    ],
    [
      'what a client needs, beside a fault of its issuer',
      { issuers: [{ ...issuer, algorithms: ['none'], web: { client_id: 'other', scope: 'profile' } }] },
      ['issuers.0.algorithms.0', 'issuers.0.web.client_id', 'issuers.0.web.scope'],
    ],
    [
      'how two issuers tell people apart, beside any other fault',
      { calls_per_minute: -1, issuers: [issuer, { ...issuer, key: 'b', issuer: 'https://b.example' }] },
      ['calls_per_minute', 'issuers.0.claims.person', 'issuers.1.claims.person'],
    ],
    [
      'files beside the forms of their entries',
      {
        workload_issuers: [{ jwks_file: 'none', surprise: 1 }],
        bundle_keys: [{ kid: 'a', key_file: 'none' }],
      },
      [
        'bundle_keys.0.algorithm',
        'bundle_keys.0.key_file',
        'workload_issuers.0.issuer',
        'workload_issuers.0.jwks_file',
        'workload_issuers.0.surprise',
      ],
    ],
  ])('%s', async (_, document, keys) => {
    expect(keysOf(await faultsOf(document))).toEqual(keys);
  });

  it('and none is made up about what could not be read', async () => {
    const web = { client_id: 'countersign-web' };
    expect(
      keysOf(await faultsOf({ public_url: 'https://f.example', issuers: [{ ...issuer, audience: 7, web }] })),
    ).toEqual(['issuers.0.audience']);
    const local = { ...issuer, issuer: 'http://127.0.0.1:1', allow_insecure_loopback: 'yes' };
    expect(keysOf(await faultsOf({ issuers: [local] }))).toEqual(['issuers.0.allow_insecure_loopback']);
    const pair = [
      { ...issuer, disjoint: 'x' },
      { ...issuer, key: 'b', issuer: 'https://b.example', disjoint: 1 },
    ];
    expect(keysOf(await faultsOf({ issuers: pair }))).toEqual(['issuers.0.disjoint', 'issuers.1.disjoint']);
  });
});

describe('the public URL', () => {
  it.each(['http://flags.example', 'http://10.0.0.1:8480', 'http://localhost.example'])(
    'is not plain http beyond this machine, with or without browser sign-ins: %s',
    async (public_url) => {
      const line = expect.stringMatching(/^public_url: must be an https URL: tokens/);
      expect(await faultsOf({ public_url })).toEqual([line]);
      expect(
        await faultsOf({ public_url, issuers: [{ ...issuer, web: { client_id: 'countersign-cli' } }] }),
      ).toEqual([line]);
      const [named] = await faultsOf({}, { COUNTERSIGN_PUBLIC_URL: public_url });
      expect(named).toMatch(/^public_url \(COUNTERSIGN_PUBLIC_URL\): must be an https URL/);
    },
  );

  it.each(['http://127.0.0.1:8480', 'http://localhost:8480', 'http://[::1]:8480', 'https://flags.example'])(
    'may be %s',
    async (public_url) => {
      expect((await load({ public_url })).public_url).toBe(public_url);
    },
  );
});

describe('the witnesses of the log', () => {
  const key = 'witness.example.org/w1+1096b42c+BPF8/wxx/oNrmdZe+q7MugJSTCP7evMv9+zF82SOdOA9';
  const witness = { url: 'https://witness.example.org', key };

  it('are named by address and key', async () => {
    expect(await load({ issuers: [issuer], witnesses: [witness], witness_quorum: 1 })).toMatchObject({
      witnesses: [witness],
    });
  });

  it.each([
    [key.slice(0, -2)],
    [key.replace('+B', '+A')],
    [key.replace('1096b42c', '1096b42d')],
    ['witness.example.org'],
    [''],
  ])('with the key %j are refused', async (other) => {
    const [fault] = await faultsOf({ issuers: [issuer], witnesses: [{ ...witness, key: other }] });
    expect(fault).toContain('witnesses.0.key');
    expect(fault).toContain('countersign witness');
  });

  it('cannot be fewer than their quorum', async () => {
    const document = { issuers: [issuer], witnesses: [witness], witness_quorum: 2 };
    expect(await faultsOf(document)).toEqual([
      expect.stringMatching(/^witness_quorum: there are only 1 witnesses/),
    ]);
  });
});
