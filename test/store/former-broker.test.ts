import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { findContradictions } from '../support/log-oracle.ts';
import {
  type FormerRecord,
  formerDatabase,
  readFormerRecords,
  setFormerSessionHash,
} from '../support/sqlite/former.ts';
import { readLeaves, readOutbox } from '../support/sqlite/log.ts';
import { readFreezes, readPresent, readRequests } from '../support/sqlite/rows.ts';

/*
 * The database of the former version (see migration.test.ts), as people meet it: a broker is started on it, and asked.
 */

/** The provider that its people signed in at, and that its policy knows. */
const ISSUER = 'http://127.0.0.1:9401';
const NOW_MS = Date.UTC(2026, 10, 18, 9, 40);

let database: Buffer;
let former: FormerRecord[];
/** What the only browser holds. */
let cookie: string;
let t: TestBroker;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-former-'));
  const file = join(folder, 'former.db');
  await writeFile(file, formerDatabase());
  former = readFormerRecords(file);
  const secret = randomBytes(32).toString('base64url');
  setFormerSessionHash(file, createHash('sha256').update(secret).digest('base64url'));
  cookie = `__Host-countersign-session=${secret}`;
  database = await readFile(file);
  await rm(folder, { recursive: true, force: true });
});

/** The keys are those of the test's own provider, under the name of the former one. */
async function start(): Promise<TestBroker> {
  const started: TestBroker = await startTestBroker({
    nowMs: NOW_MS,
    database,
    config: (defaults) => {
      const [own] = defaults.issuers as { issuer: string }[];
      const web = { client_id: 'countersign-cli' };
      return { issuers: [{ ...own, issuer: ISSUER, jwks_uri: `${own?.issuer}/jwks`, web }] };
    },
  });
  expect(started.broker.policy.kind).toBe('differs');
  return started;
}

async function as(person: string, method: string, path: string, body?: unknown): Promise<Reply> {
  return t.call(await t.people.idToken(person, { claims: { iss: ISSUER } }), method, path, body);
}

const inBrowser = (method: string, path: string, body?: unknown) =>
  t.call(null, method, path, body, { cookie, origin: t.url });

/** The request of that kind in that state, as the list of requests shows it. */
async function listed(kind: string, state: string, flag?: string) {
  const { body } = await as('sam', 'GET', `/v1/requests?kind=${kind}&state=${state}`);
  return body.items.find(
    (item: { changes: { flag: { key: string } }[] }) =>
      flag === undefined || item.changes.some((change) => change.flag.key === flag),
  );
}

describe('a broker on a database of the former version, asked', () => {
  beforeAll(async () => {
    t = await start();
  });
  afterAll(() => t.close());

  it('lists the open requests, and shows each', async () => {
    const open = readRequests(t.file).filter(({ state }) => state === 'pending' || state === 'ready');
    const { status, body } = await as('sam', 'GET', '/v1/requests?state=open');
    expect(status).toBe(200);
    const items: { id: string; kind: string; digest: string }[] = body.items;
    expect(items.map(({ id }) => id).toSorted()).toEqual(open.map(({ id }) => id).toSorted());
    expect(items.map(({ kind }) => kind).toSorted()).toEqual(['flag.change', 'flag.change', 'freeze.lift']);
    const approvals: string[] = [];
    for (const item of items) {
      expect(item.digest).toBe(open.find(({ id }) => id === item.id)?.digest);
      const shown = await as('sam', 'GET', `/v1/requests/${item.id}`);
      // A list leaves out the votes.
      expect({ ...shown.body, approvals: [], rejections: [] }).toEqual(item);
      for (const { person, counts } of shown.body.approvals) approvals.push(`${person} ${counts}`);
    }
    expect(approvals).toEqual(['emp-1003 true', 'emp-1002 true']);
  });

  it('shows what a freeze.lift is about, and what it would do', async () => {
    const [freeze] = readFreezes(t.file);
    expect(await listed('freeze.lift', 'pending')).toMatchObject({
      object: {
        type: 'freeze',
        id: freeze?.id,
        scope: 'flag',
        flag: 'old-b',
        incident: 'INC-2',
        reason: 'stop',
      },
      summary: expect.stringMatching(new RegExp(`^lift freeze ${freeze?.id} .*old-b`)),
      changes: [],
      bases: [{ of: `freeze:${freeze?.id}`, version: 1 }],
      proposer: { id: 'person:demo:riley', person: 'emp-1005' },
    });
    expect(await listed('flag.change', 'ready', 'old-b')).toMatchObject({ object: null, summary: null });
  });

  it('answers every decision with its place, and without a leaf that anybody could read', async () => {
    for (const { seq, id, record, input, result } of former) {
      const { status, body } = await as('avery', 'GET', `/v1/decisions/${id}`);
      expect(status).toBe(200);
      expect(body).toEqual({
        ...JSON.parse(record),
        place: seq,
        record: null,
        input: JSON.parse(input),
        result: JSON.parse(result),
      });
    }
    const last = former.at(-1);
    const { body } = await as('avery', 'GET', `/v1/decisions?operation=${last?.operation}`);
    expect(body.items).toContainEqual({ ...JSON.parse(last?.record ?? ''), place: last?.seq, record: null });
  });

  it('still knows a browser by its session, and no other browser', async () => {
    const { status, body } = await inBrowser('GET', '/v1/whoami');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      principal: { id: 'person:demo:dana', person: 'emp-1001', groups: ['payments-developers'] },
      session: 'session-1',
    });
    const another = `__Host-countersign-session=${randomBytes(32).toString('base64url')}`;
    const stranger = await t.call(null, 'GET', '/v1/whoami', undefined, { cookie: another });
    expect(stranger.status).toBe(401);
  });

  it('still knows who was disabled, and whose break-glass session is open', async () => {
    expect((await as('morgan', 'GET', '/v1/whoami')).status).toBe(401);
    const { body } = await as('riley', 'GET', '/v1/break-glass');
    expect(body.items).toMatchObject([{ incident: 'INC-1', closed_ms: null }]);
  });
});

describe('a broker on a database of the former version, told', () => {
  beforeEach(async () => {
    t = await start();
  });
  afterEach(() => t.close());

  const version = () =>
    readPresent(t.file).find(({ flag, environment }) => flag === 'old-b' && environment === 'production')
      ?.version;

  it('holds its freeze, lifts it by the request that was pending, and then applies what waited', async () => {
    expect((await as('dana', 'GET', '/v1/freezes')).body.items).toMatchObject([{ incident: 'INC-2' }]);
    const waiting = await listed('flag.change', 'ready', 'old-b');
    const frozen = await inBrowser('POST', `/v1/requests/${waiting.id}/apply`);
    expect(frozen).toMatchObject({ status: 403, body: { reasons: [{ code: 'frozen' }] } });
    expect(version()).toBe(1);

    const { id, digest } = await listed('freeze.lift', 'pending');
    const approve = (person: string, named = digest) =>
      as(person, 'POST', `/v1/requests/${id}/approve`, { digest: named });
    expect((await approve('sam', waiting.digest)).body.code).toBe('digest_mismatch');
    expect((await approve('riley')).status).toBe(403);
    expect((await as('dana', 'GET', '/v1/freezes')).body.items).toHaveLength(1);
    const lifted = await approve('sam');
    expect(lifted).toMatchObject({
      status: 200,
      body: { id, digest, state: 'applied', summary: expect.stringContaining('lift freeze') },
    });
    expect((await as('dana', 'GET', '/v1/freezes')).body.items).toEqual([]);
    expect(readFreezes(t.file)).toMatchObject([{ lifted_ms: NOW_MS }]);

    const applied = await inBrowser('POST', `/v1/requests/${waiting.id}/apply`);
    expect(applied).toMatchObject({ status: 200, body: { state: 'applied' } });
    expect(version()).toBe(2);

    const leaves = readLeaves(t.file).map((row) => ({ ...row, record: JSON.parse(row.leaf) }));
    const lift = leaves.findLast(({ record }) => record.request?.id === id);
    expect(lift?.record).toMatchObject({
      request: { kind: 'freeze.lift', to: 'applied', object: { type: 'freeze' } },
      freeze: { change: 'lifted', scope: 'flag', flag: 'old-b' },
    });
    const effects = readOutbox(t.file).filter(({ place }) => place === lift?.place);
    expect(effects).toEqual([{ place: lift?.place, effect: `freeze:${lift?.record.freeze.id}` }]);
    expect(await findContradictions(t.file)).toEqual([]);
  });

  it('goes on after another start as it did after the first', async () => {
    await t.restart();
    const { id, digest } = await listed('freeze.lift', 'pending');
    expect((await as('sam', 'POST', `/v1/requests/${id}/approve`, { digest })).body.state).toBe('applied');
    expect((await inBrowser('GET', '/v1/whoami')).body.session).toBe('session-1');
    expect(await findContradictions(t.file)).toEqual([]);
  });

  it('withdraws the lift, and keeps its freeze', async () => {
    const { id } = await listed('freeze.lift', 'pending');
    const withdrawn = await as('riley', 'POST', `/v1/requests/${id}/withdraw`);
    expect(withdrawn.body.state).toBe('withdrawn');
    expect((await as('dana', 'GET', '/v1/freezes')).body.items).toHaveLength(1);
  });
});
