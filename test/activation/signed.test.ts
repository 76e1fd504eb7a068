import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CompactSign } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fileHash } from '../../src/policy/file-hash.ts';
import { type Config, signIn, withConfig } from '../support/activation.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { packMembers, unpackMembers } from '../support/bundles.ts';
import { approve } from '../support/flags.ts';
import { withWords } from '../support/stages.ts';

/* Keys that sign bundles are configured after some bundles were stored. */

const pairOf = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });

let t: TestBroker;
let shipped: Buffer;
let pair: ReturnType<typeof pairOf>;

beforeEach(async () => {
  pair = pairOf();
  t = await startTestBroker();
  shipped = await readFile(join(t.folder, 'bundle.tar.gz'));
  await signIn(t);
});

afterEach(() => t.close());

/** Starts the broker again with these keys. */
async function restartWith(...keys: KeyObject[]): Promise<void> {
  const file = join(t.folder, 'countersign.yaml');
  const bundle_keys = keys.map((key, index) => ({
    kid: index === 0 ? 'release' : `other-${index}`,
    algorithm: 'ES256',
    key: key.export({ type: 'spki', format: 'pem' }).toString(),
  }));
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), bundle_keys }));
  await t.restart();
}

/** A bundle with the signature of a key, as `opa sign` makes it. */
async function signed(archive: Buffer, key = pair.privateKey): Promise<Buffer> {
  const members = await unpackMembers(archive);
  const files = members.map(({ header, bytes }) => {
    const name = header.name.replace(/^\//, '');
    return { name, hash: fileHash(name, bytes), algorithm: 'SHA-256' };
  });
  const token = await new CompactSign(Buffer.from(JSON.stringify({ files })))
    .setProtectedHeader({ alg: 'ES256', kid: 'release' })
    .sign(key);
  const signatures = Buffer.from(JSON.stringify({ signatures: [token] }));
  return packMembers([...members, { header: { name: '.signatures.json', mode: 0o600 }, bytes: signatures }]);
}

const limited = (seconds: number) => (config: Config) => {
  (config.limits ?? {}).request_ttl_s = seconds;
};

async function uploaded(archive: Buffer): Promise<string> {
  const response = await fetch(`${t.url}/v1/policy/bundles`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await t.people.idToken('morgan')}`,
      'content-type': 'application/gzip',
    },
    body: new Uint8Array(archive),
  });
  const body = (await response.json()) as Reply['body'];
  expect(response.status, JSON.stringify(body)).toBe(201);
  return body.policy_hash;
}

const propose = (content: object) =>
  t.call('morgan', 'POST', '/v1/requests', { kind: 'policy.activate', reason: 'a test', ...content });

async function apply({ body }: Reply): Promise<string> {
  expect(body.state, JSON.stringify(body)).toBe('pending');
  await approve(t, 'jordan', body);
  return (await approve(t, 'sam', body)).body.state;
}

async function activeHash(): Promise<string> {
  return (await t.call('avery', 'GET', '/v1/policy/activations')).body.items[0].policy_hash;
}

const patchTo = (value: number) => ({
  patch: [{ op: 'replace', path: '/config/limits/request_ttl_s', value }],
});

const unsigned = {
  code: 'invalid_change',
  errors: [{ pointer: '#/policy_hash', detail: expect.stringContaining('the bundle is not signed') }],
};

describe('once keys are configured, a bundle that was stored without a signature', () => {
  it('is refused when it is proposed, and never applied where it was proposed before', async () => {
    const first = await activeHash();
    const hash = await uploaded(await withConfig(shipped, limited(1000)));
    const request = await propose({ policy_hash: hash });
    await approve(t, 'jordan', request.body);
    await restartWith(pair.publicKey);
    // What is active decides on.
    expect(await activeHash()).toBe(first);
    expect((await propose({ policy_hash: hash })).body).toMatchObject(unsigned);
    expect((await approve(t, 'sam', request.body)).body.state).toBe('conflicted');
    expect(await activeHash()).toBe(first);
  });

  it('is refused too if the broker built it from such a bundle, and rows of what is active go on', async () => {
    expect(await apply(await propose(patchTo(1000)))).toBe('applied');
    const built = await activeHash();
    await restartWith(pair.publicKey);
    expect(await apply(await propose(patchTo(2000)))).toBe('applied');
    expect((await propose({ policy_hash: built })).body).toMatchObject(unsigned);
  });

  it('is not promoted, though the stage before decides by it', async () => {
    const stages = [
      { name: 'staging', environments: ['development', 'staging'] },
      { name: 'production', environments: ['production'] },
    ];
    await apply(await propose({ patch: [{ op: 'add', path: '/config/stages', value: stages }] }));
    const policy_hash = await uploaded(await withWords(shipped, 'Nobody has signed this.'));
    expect(await apply(await propose({ policy_hash, stage: 'staging' }))).toBe('applied');
    const promotes = (await t.call('avery', 'GET', '/v1/policy/activations?stage=staging')).body.items[0]
      .number;
    expect((await propose({ promotes })).body.state).toBe('pending');
    await restartWith(pair.publicKey);
    expect((await propose({ promotes })).body).toMatchObject({
      ...unsigned,
      errors: [{ ...unsigned.errors[0], pointer: '#/promotes' }],
    });
    // Rows of what is active there go on.
    const rows = await propose({ ...patchTo(1000), stage: 'staging' });
    expect(await apply(rows)).toBe('applied');
  });
});

describe('once keys are configured, a bundle that was stored with a signature', () => {
  it('becomes active again, and so does what the broker built from it', async () => {
    const hash = await uploaded(await signed(await withConfig(shipped, limited(1000))));
    await restartWith(pair.publicKey);
    expect(await apply(await propose({ policy_hash: hash }))).toBe('applied');
    expect(await apply(await propose(patchTo(2000)))).toBe('applied');
    const built = await activeHash();
    expect(await apply(await propose(patchTo(3000)))).toBe('applied');
    expect(await apply(await propose({ policy_hash: hash }))).toBe('applied');
    expect(await apply(await propose({ policy_hash: built }))).toBe('applied');
    expect(await activeHash()).toBe(built);
  });

  it('is refused if its key is configured no longer, or the signature is of another key', async () => {
    const [own, foreign] = await Promise.all([
      uploaded(await signed(await withConfig(shipped, limited(1000)))),
      uploaded(await signed(await withConfig(shipped, limited(2000)), pairOf().privateKey)),
    ]);
    await restartWith(pair.publicKey);
    expect((await propose({ policy_hash: foreign })).body).toMatchObject({
      code: 'invalid_change',
      errors: [{ detail: expect.stringContaining('does not verify') }],
    });
    const request = await propose({ policy_hash: own });
    expect(request.body.state).toBe('pending');
    await approve(t, 'jordan', request.body);
    await restartWith(pairOf().publicKey);
    expect((await approve(t, 'sam', request.body)).body.state).toBe('conflicted');
  });
});
