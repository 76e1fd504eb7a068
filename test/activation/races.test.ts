import { decodeJwt } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Config, signIn } from '../support/activation.ts';
import { exchange, type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, propose, readRequest } from '../support/flags.ts';
import { readDetails, readLeavesAndDetails } from '../support/sqlite/log.ts';

/* An activation among everything else that is written at the same time. */

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
  await signIn(t);
});

afterEach(() => t.close());

const row = (patch: object[]) =>
  t.call('morgan', 'POST', '/v1/requests', { kind: 'policy.activate', patch, reason: 'a race' });

/** A row of data that lacks one approval. @returns what gives it, and so activates the policy */
async function almost(patch: object[]): Promise<() => Promise<Reply>> {
  const { body } = await row(patch);
  expect(body.state, JSON.stringify(body)).toBe('pending');
  await approve(t, 'jordan', body);
  return () => approve(t, 'sam', body);
}

async function activeHash(): Promise<string> {
  return (await t.call('avery', 'GET', '/v1/policy/activations')).body.items[0].policy_hash;
}

async function configOf(): Promise<Config> {
  return (await t.call('avery', 'GET', '/v1/policy/data')).body.data.config;
}

/** The place of the record of the newest activation. */
function placeOfActivation(): number {
  const found = readLeavesAndDetails(t.file).findLast(({ leaf }) => leaf.includes('"activates":{'));
  if (found === undefined) throw new Error('nothing was activated');
  return found.place;
}

/** Runs what is given together with an activation in the midst of it. */
async function amid<T>(activate: () => Promise<Reply>, others: readonly (() => Promise<T>)[]): Promise<T[]> {
  const half = Math.ceil(others.length / 2);
  const before = others.slice(0, half).map((other) => other());
  const activated = activate();
  const after = others.slice(half).map((other) => other());
  expect((await activated).body.state).toBe('applied');
  return Promise.all([...before, ...after]);
}

const limit = (value: number) => [{ op: 'replace', path: '/config/limits/request_ttl_s', value }];

describe('an activation', () => {
  it('among exchanges of tokens: no token has the grant of one policy and the hash of another', async () => {
    const config = await configOf();
    const rule = config.trust_rules?.['payments-deploy'] as { grant: { environments: string[] } };
    const [former, path] = [rule.grant.environments, '/config/trust_rules/payments-deploy/grant/operations'];
    expect(former.length).toBeGreaterThan(0);
    const operations = (rule.grant as unknown as { operations: string[] }).operations;
    const narrowed = operations.filter((name) => name !== 'request.edit');
    const activate = await almost([{ op: 'replace', path, value: narrowed }]);
    const hashes = { before: await activeHash(), after: '' };
    const subjects = await Promise.all(Array.from({ length: 40 }, () => t.ci.token()));
    const answers = await amid(
      activate,
      subjects.map((subject) => () => exchange(t.url, subject)),
    );
    hashes.after = await activeHash();
    expect(hashes.after).not.toBe(hashes.before);
    answers.push(await exchange(t.url, await t.ci.token()));
    const grants = { [hashes.before]: operations, [hashes.after]: narrowed };
    const found = new Set<unknown>();
    for (const { status, body } of answers) {
      expect(status, JSON.stringify(body)).toBe(200);
      const { policy_hash, scope } = decodeJwt<{ policy_hash: string; scope: string }>(body.access_token);
      found.add(policy_hash);
      expect(scope.split(' ').toSorted()).toEqual(grants[policy_hash]?.toSorted());
    }
    expect(found).toContain(hashes.after);
  });

  it('among applies: each is decided by the policy of its place in the log, and lasts as long as that says', async () => {
    const flags = await Promise.all(
      Array.from({ length: 24 }, (_, index) => createFlag(t, `flag-${index}`, { tier: 'informational' })),
    );
    const before = await activeHash();
    const activate = await almost(limit(4000));
    const answers = await amid(
      activate,
      flags.map((flag) => () => propose(t, [{ action: 'enable', flag }])),
    );
    const after = await activeHash();
    const place = placeOfActivation();
    const byRequest = new Map(
      readDetails(t.file).flatMap((details) =>
        details.request_id === null ? [] : [[details.request_id, details]],
      ),
    );
    for (const { status, body } of answers) {
      expect([status, body.state]).toEqual([201, 'applied']);
      const details = byRequest.get(body.id);
      const hash = details !== undefined && details.place > place ? after : before;
      expect(details?.policy_hash).toBe(hash);
      expect(body.standing.policy_hash).toBe(hash);
      expect(body.expires_ms - body.created_ms === 4_000_000).toBe(hash === after);
    }
  });

  it('against a freeze of everything: either it was first, or it waits', async () => {
    for (const turn of [1, 2, 3]) {
      const { body: request } = await row(limit(5000 + turn));
      await approve(t, 'jordan', request);
      const order = { scope: 'all', incident: `INC-${turn}`, reason: 'a race' };
      const freeze = () => t.call('riley', 'POST', '/v1/freezes', order);
      const activate = () => approve(t, 'sam', request);
      const [frozen] = await Promise.all(
        turn === 2 ? [freeze(), activate()] : [activate(), freeze()].reverse(),
      );
      const engaged =
        readDetails(t.file).findLast(({ operation }) => operation === 'freeze.engage')?.place ?? 0;
      const state = (await t.call('morgan', 'GET', `/v1/requests/${request.id}`)).body.state;
      const applied = readLeavesAndDetails(t.file).findLast(
        ({ leaf, request_id }) => request_id === request.id && leaf.includes('"activates":{'),
      );
      expect(state === 'applied').toBe(applied !== undefined);
      if (applied !== undefined) expect(applied.place).toBeLessThan(engaged);
      expect(frozen?.status).toBeLessThan(300);
      const freezes = (await t.call('riley', 'GET', '/v1/freezes')).body.items;
      const lift = { kind: 'freeze.lift', freeze: freezes[0].id, reason: 'over' };
      const { body: lifting } = await t.call('riley', 'POST', '/v1/requests', lift);
      expect((await approve(t, 'sam', lifting)).body.state).toBe('applied');
      await t.broker.scheduler.tick();
      expect((await readRequest(t, request.id).catch(() => null)) ?? 'hidden').toBeDefined();
    }
  });

  it('delays no write while another one is checked, and many proposals at once are each answered', async () => {
    const flag = await createFlag(t, 'checkout', { tier: 'informational' });
    const order: string[] = [];
    const rows = Array.from({ length: 2 }, (_, index) =>
      row(limit(6000 + index)).then((reply) => {
        order.push('row');
        return reply;
      }),
    );
    const writes = ['enable', 'disable', 'enable'].map((action) =>
      propose(t, [{ action, flag }]).then(({ body }) => {
        order.push(body.state ?? body.code);
        return body;
      }),
    );
    const answers = await Promise.all(rows);
    await Promise.all(writes);
    for (const { status, body } of answers) expect([status, body.state]).toEqual([201, 'pending']);
    // Proposals wait for builds and checks; changes of flags do not.
    expect(order.lastIndexOf('row')).toBe(order.length - 1);
    expect(order.slice(0, 3).filter((what) => what !== 'row').length).toBeGreaterThan(0);
    // As long as the checks of candidates take on a busy machine.
  }, 120_000);
});
