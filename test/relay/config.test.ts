import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { loadRelayConfig, RelayConfigError } from '../../src/relay/config.ts';
import { RELAY_FAULTS } from '../../src/relay/fault.ts';
import { listedIn, readPage } from '../docs/pages.ts';
import { newSigner } from '../support/forged-snapshots.ts';

/* The bootstrap file: every fault at once, with its place. */

const { vkey } = newSigner().verifier;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relay-config-'));
  await mkdir(join(folder, 'state'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const SOUND = {
  source: { broker: 'https://countersign.example' },
  keys: [vkey],
  environments: ['production'],
  state_folder: 'state',
};

async function load(document: object | string) {
  const file = join(folder, 'relay.yaml');
  await writeFile(file, typeof document === 'string' ? document : JSON.stringify(document));
  return loadRelayConfig(file);
}

async function faultsOf(document: object | string): Promise<string> {
  try {
    await load(document);
    return '';
  } catch (error) {
    if (!(error instanceof RelayConfigError)) throw error;
    return error.message;
  }
}

describe('a bootstrap file', () => {
  it('needs little, and everything else has a default', async () => {
    await writeFile(join(folder, 'log.key'), `${vkey}\n`);
    const config = await load({ ...SOUND, keys: ['log.key'], identity: { token_file: 'token' } });
    expect(config).toMatchObject({
      name: hostname(),
      source: { kind: 'broker', broker: 'https://countersign.example' },
      identity: { token_file: join(folder, 'token') },
      state_folder: join(folder, 'state'),
      listen: { host: '127.0.0.1', port: 8485 },
      settings: {
        keys: [{ vkey }],
        staleness: {
          maxMs: 86_400_000,
          kinds: { release: 'last', entitlement: 'last', operational: 'safe', experiment: 'last' },
        },
      },
    });
  });

  it('names a folder or an address in place of the broker, with headers for the address alone', async () => {
    expect((await load({ ...SOUND, source: { place: 'files' } })).source).toEqual({
      kind: 'folder',
      folder: join(folder, 'files'),
    });
    await writeFile(join(folder, 'headers'), '# for the bucket\nAuthorization: Bearer secret\n');
    const source = { place: 'https://cdn.example/flags', header_file: 'headers' };
    expect((await load({ ...SOUND, source })).source).toMatchObject({
      kind: 'address',
      headers: { authorization: 'Bearer secret' },
    });
    expect(await faultsOf({ ...SOUND, source: { place: 'files', header_file: 'headers' } })).toContain(
      'source: has headers',
    );
    await writeFile(join(folder, 'headers'), 'Bearer secret\n');
    const fault = await faultsOf({ ...SOUND, source });
    expect(fault).toContain('source.header_file: line 1 is no header');
    expect(fault).not.toContain('secret');
  });

  it('has a secret for tickets, which nobody can guess', async () => {
    const text = 'a'.repeat(32);
    await writeFile(join(folder, 'secret'), `${text}\n`);
    expect((await load({ ...SOUND, ticket_secret_file: 'secret' })).ticketSecret?.toString()).toBe(text);
    expect(await load(SOUND)).not.toHaveProperty('ticketSecret');
    await writeFile(join(folder, 'short'), `${'a'.repeat(31)}\n`);
    for (const file of ['short', 'missing', '.'])
      expect(await faultsOf({ ...SOUND, ticket_secret_file: file })).toMatch(
        /ticket_secret_file: .* at least 32/,
      );
  });

  it('is refused with all of its faults', async () => {
    const fault = await faultsOf({
      source: { broker: 'https://countersign.example/path', place: 'files' },
      keys: [vkey.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')), 'missing.key'],
      environments: ['../production'],
      state_folder: 'nowhere',
      stalenes: {},
      poll_seconds: 0,
    });
    for (const line of [
      'source.broker: must have no path',
      'keys.0: the key is damaged',
      'keys.1: missing.key is neither a key nor a readable file',
      'environments.0: expected',
      'stalenes: ',
      'poll_seconds: expected',
    ])
      expect(fault).toContain(`  ${line}`);
    expect(await faultsOf({ ...SOUND, state_folder: 'nowhere' })).toContain(
      `state_folder: ${join(folder, 'nowhere')} is no folder`,
    );
  });

  it.each([
    ['text', 'must be a mapping'],
    ['a: [', 'is no YAML'],
    ['{keys: [], keys: []}', 'is no YAML'],
  ])('%s is refused', async (text, says) => {
    expect(await faultsOf(text)).toContain(says);
  });

  it('that is not there is refused', () => {
    expect(() => loadRelayConfig(join(folder, 'none.yaml'))).toThrow('cannot be read');
  });
});

describe('the page', () => {
  const page = readPage('docs/relay.md');

  it('has a file that is taken as it stands, and a policy with the defaults', async () => {
    await writeFile(join(folder, 'log.key'), vkey);
    const [, file = ''] = /```yaml\n# relay\.yaml\n(.*?)```/s.exec(page) ?? [];
    const [, policy = ''] = /```yaml\n(staleness:.*?)```/s.exec(page) ?? [];
    const document = { ...parse(file), state_folder: 'state' };
    const { settings } = await load(document);
    const { staleness } = (await load({ ...document, ...parse(policy) })).settings;
    expect({ ...staleness, flags: {} }).toEqual(settings.staleness);
    expect(staleness.flags).toEqual({ 'checkout.retry-limit': 'last' });
  });

  it('has every fault of a relay', () => {
    const codes = listedIn(page, 'code').flatMap((cell) => cell.split(', '));
    expect(codes.toSorted()).toEqual(Object.keys(RELAY_FAULTS).toSorted());
  });

  it('has a manifest whose relay has a file that is taken, and probes what there is', async () => {
    const [map, deployment] = parseAllDocuments(
      readPage('docs/examples/deployment/kubernetes-relay.yaml'),
    ).map((document) => document.toJS());
    await writeFile(join(folder, 'log.key'), vkey);
    const config = await load({ ...parse(map.data['relay.yaml']), state_folder: 'state' });
    const { initContainers, volumes } = deployment.spec.template.spec;
    const [relay] = initContainers;
    expect(relay.ports[0].containerPort).toBe(config.listen.port);
    expect(
      [relay.startupProbe, relay.livenessProbe, relay.readinessProbe].map((probe) => probe.httpGet),
    ).toEqual([
      { path: '/healthz', port: 'flags' },
      { path: '/healthz', port: 'flags' },
      { path: '/readyz', port: 'flags' },
    ]);
    const mounted = relay.volumeMounts.map(({ name }: { name: string }) => name);
    expect(volumes.map(({ name }: { name: string }) => name)).toEqual(expect.arrayContaining(mounted));
  });
});
