import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/tree/checkpoint.ts';
import { leafHash } from '../../src/tree/hashes.ts';
import { type NoteVerifier, parseVerifier } from '../../src/tree/note.ts';
import { verifyConsistency, verifyInclusion } from '../../src/tree/proofs.ts';
import { parseBundle, tilePath, tilesOf } from '../../src/tree/tiles.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose } from '../support/flags.ts';
import { readHead, readLeaves } from '../support/sqlite/log.ts';
import { continuation, tileHashes, treeHash } from '../support/tree-oracle.ts';

/* The log as strangers read it, over HTTP. */

let t: TestBroker;
let key: NoteVerifier;

beforeAll(async () => {
  t = await startTestBroker({ config: { public_url: 'https://flags.example' } });
  // More than one tile.
  for (let turn = 0; turn < 90; turn += 1)
    await Promise.all([
      t.call('avery', 'GET', '/v1/decisions?limit=1'),
      t.call('avery', 'GET', '/v1/access'),
      createFlag(t, `f${turn}`),
    ]);
  t.clock.advance(2000);
  key = parseVerifier((await t.call(null, 'GET', '/v1/log')).body.key);
});

afterAll(() => t.close());

/** Reads below `/log` as it was served. */
async function read(
  path: string,
  token?: string,
): Promise<{ status: number; body: Buffer; headers: Headers }> {
  const bearer = token ?? (await t.people.idToken('avery'));
  const headers = bearer === '' ? {} : { authorization: `Bearer ${bearer}` };
  const response = await fetch(`${t.url}/log/${path}`, { headers });
  return {
    status: response.status,
    body: Buffer.from(await response.arrayBuffer()),
    headers: response.headers,
  };
}

async function checkpoint() {
  const { status, body, headers } = await read('checkpoint', '');
  expect(status).toBe(200);
  expect(headers.get('content-type')).toBe('text/plain; charset=utf-8');
  return openCheckpoint(body.toString(), key);
}

const bytes = (text: string) => Buffer.from(text, 'base64');
const leavesIn = () => readLeaves(t.file).map(({ leaf }) => Buffer.from(leaf));

describe('the checkpoint', () => {
  it('is signed for everybody, over every record there is', async () => {
    const { installation } = readHead(t.file);
    const leaves = leavesIn();
    expect(leaves.length).toBeGreaterThan(256);
    expect(await checkpoint()).toEqual({
      origin: `flags.example/log/${installation.slice(0, 8)}/1`,
      size: leaves.length,
      root: treeHash(leaves),
    });
  });

  it('is renewed once a second at most, and says then what was recorded', async () => {
    const before = await checkpoint();
    await createFlag(t, 'later');
    expect(await checkpoint()).toEqual(before);
    t.clock.advance(1000);
    const after = await checkpoint();
    expect(after.size).toBe(leavesIn().length);
    expect(after.size).toBeGreaterThan(before.size);
  });

  it('has the same key and name after a restart, whatever is configured then', async () => {
    const before = await checkpoint();
    await t.restart();
    expect(await checkpoint()).toEqual(before);
  });
});

describe('tiles', () => {
  it('are the tree of the checkpoint, down to the records', async () => {
    t.clock.advance(1000);
    const { size, root } = await checkpoint();
    const leaves: Buffer[] = [];
    for (const tile of [...tilesOf(size)].filter(({ level }) => level === null)) {
      const { status, body, headers } = await read(tilePath(tile));
      expect([status, headers.get('content-type')]).toEqual([200, 'application/octet-stream']);
      expect(headers.get('cache-control')).toBe('private, max-age=31536000, immutable');
      leaves.push(...parseBundle(body, tile));
    }
    expect(treeHash(leaves)).toEqual(root);
    expect(leaves).toEqual(leavesIn().slice(0, size));
    for (const tile of tilesOf(size)) {
      if (tile.level === null) continue;
      const { body } = await read(tilePath(tile));
      expect(body).toEqual(Buffer.concat(tileHashes(tile.level, tile.index, leaves)));
    }
  });

  it('of earlier sizes are still served, and none of later ones', async () => {
    const leaves = leavesIn();
    for (const width of [1, 17, 255]) {
      const { body } = await read(`tile/0/000.p/${width}`);
      expect(body).toEqual(Buffer.concat(tileHashes(0, 0, leaves.slice(0, width))));
    }
    const next = `tile/0/001.p/${leaves.length - 256 + 1}`;
    for (const path of [
      next,
      'tile/0/001',
      'tile/0/002',
      'tile/1/000',
      'tile/1/000.p/2',
      'tile/7/000',
      'tile/63/000.p/1',
      'tile/entries/x999/000',
    ])
      expect((await read(path)).status, path).toBe(404);
  });

  it.each([
    'tile/0/x001/x0000',
    'tile/0/0',
    'tile/00/000',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000%2Ep/1',
    'tile/0/000.p%2F1',
    'tile/%30/000',
    'tile/0/x009/x007/x199/x254/x740/992',
    'tile/0/x018/x446/x744/x073/x709/x551/615',
    'tile/entries/',
    'tile/entries',
    'tile',
    'tile/0/000/',
    'TILE/0/000',
    'tile/8/0/000',
    'tile/0/../checkpoint%00',
    'tile/0/%zz',
    'checkpoint/',
  ])('has no %s', async (path) => {
    const { status, headers } = await read(path);
    expect([400, 404]).toContain(status);
    expect(headers.get('content-type')).toContain('application/problem+json');
  });

  it('are read by auditors only, which is no record', async () => {
    const size = leavesIn().length;
    expect((await read('tile/0/000')).status).toBe(200);
    expect((await t.call('avery', 'GET', '/v1/log/proofs/inclusion/1')).status).toBe(200);
    expect(leavesIn()).toHaveLength(size);
    expect((await read('tile/0/000', '')).status).toBe(401);
    const denied = await t.call('dana', 'GET', '/log/tile/0/000');
    expect([denied.status, denied.body.code]).toEqual([403, 'policy_denied']);
    expect(denied.headers.get('countersign-log-place')).toBe(`${size + 1};epoch=1`);
    expect(leavesIn()).toHaveLength(size + 1);
  });
});

describe('a proof', () => {
  it('shows that each decision is in the log, by its id and by its place', async () => {
    t.clock.advance(1000);
    const { items } = (await t.call('avery', 'GET', '/v1/decisions?limit=100')).body;
    for (const { id, place, record } of items.slice(0, 20)) {
      const { status, body } = await t.call('avery', 'GET', `/v1/log/proofs/inclusion/${id}`);
      expect(status).toBe(200);
      expect(body).toMatchObject({ place, index: place - 1 });
      expect(JSON.parse(body.leaf)).toEqual(record);
      const { size, root } = openCheckpoint(body.checkpoint, key);
      verifyInclusion({
        index: body.index,
        size,
        root,
        leaf: leafHash(body.leaf),
        proof: body.proof.map(bytes),
      });
      expect((await t.call('avery', 'GET', `/v1/log/proofs/inclusion/${place}`)).body).toEqual(body);
    }
  });

  it('is made for a record that no checkpoint had yet', async () => {
    await checkpoint();
    const answer = await propose(t, [{ action: 'enable', flag: 'f1' }]);
    const { body } = await t.call('avery', 'GET', `/v1/log/proofs/inclusion/${answer.body.decision_id}`);
    expect(openCheckpoint(body.checkpoint, key).size).toBeGreaterThanOrEqual(body.place);
    expect(answer.headers.get('countersign-log-place')).toBe(`${body.place};epoch=1`);
  });

  it('shows that the log only grew', async () => {
    const leaves = leavesIn();
    for (const [from, to] of [
      [1, 2],
      [3, 300],
      [255, 256],
      [256, 290],
    ] as const) {
      const { body } = await t.call('avery', 'GET', `/v1/log/proofs/consistency?from=${from}&to=${to}`);
      const proof = body.proof.map(bytes);
      expect(proof).toEqual(continuation(from, leaves.slice(0, to)));
      const first = { size: from, root: bytes(body.from_root) };
      verifyConsistency({ from: first, to: { size: to, root: bytes(body.to_root) }, proof });
      expect(first.root).toEqual(treeHash(leaves.slice(0, from)));
    }
  });

  it.each([
    ['/v1/log/proofs/inclusion/0', 404],
    ['/v1/log/proofs/inclusion/999999', 404],
    ['/v1/log/proofs/inclusion/9007199254740993', 404],
    ['/v1/log/proofs/inclusion/1.5', 404],
    ['/v1/log/proofs/inclusion/0197f3a0-7c1e-7000-8000-000000000001', 404],
    ['/v1/log/proofs/consistency', 400],
    ['/v1/log/proofs/consistency?from=0', 400],
    ['/v1/log/proofs/consistency?from=5&to=4', 400],
    ['/v1/log/proofs/consistency?from=1&to=999999', 400],
    ['/v1/log/proofs/consistency?from=9007199254740993', 400],
    ['/v1/log/proofs/consistency?from=1e2', 400],
  ])('is refused for %s', async (path, status) => {
    expect((await t.call('avery', 'GET', path)).status).toBe(status);
  });
});
