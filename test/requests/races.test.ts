import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, creation, propose, readFlag, readRequest } from '../support/flags.ts';
import { findContradictions, readLog } from '../support/log-oracle.ts';
import { IS_POSTGRES } from '../support/postgres-server.ts';
import { asFile } from '../support/sqlite/copied.ts';
import { createRandom } from '../support/story.ts';

/*
 * Everything at once: the calls of a schedule are sent without waiting for one another, over sockets of their own, and
 * what they leave behind has to be something that some order of them, one after the other, could have left. The log is
 * that order.
 */

/** Two brokers on one database race in test/store/postgres/brokers.test.ts. */
const RUNS = IS_POSTGRES ? 6 : 60;

let t: TestBroker;
let rounds = 0;

beforeAll(async () => {
  t = await startTestBroker();
});

afterAll(() => t.close());

type Verb =
  | 'approve'
  | 'approve-again'
  | 'edit'
  | 'apply'
  | 'withdraw'
  | 'reject'
  | 'freeze'
  | 'rebase'
  | 'other'
  | 'tick';
const VERBS: readonly Verb[] = [
  'approve',
  'approve-again',
  'edit',
  'apply',
  'withdraw',
  'reject',
  'freeze',
  'rebase',
  'other',
  'tick',
];

function send(verb: Verb, request: Reply['body'], flag: string): Promise<Reply | undefined> {
  const path = `/v1/requests/${request.id}`;
  rounds += 1;
  switch (verb) {
    case 'approve':
      return approve(t, 'alex', request);
    case 'approve-again':
      return approve(t, 'sam', request);
    case 'edit':
      return t.call('dana', 'PATCH', path, { reason: `edit ${rounds}` }, { 'If-Match': '*' });
    case 'apply':
      return t.call('dana', 'POST', `${path}/apply`);
    case 'withdraw':
      return t.call('dana', 'POST', `${path}/withdraw`);
    case 'reject':
      return t.call('alex', 'POST', `${path}/reject`, { digest: request.digest });
    case 'freeze':
      return t.call('riley', 'POST', '/v1/freezes', {
        scope: 'flag',
        flag,
        incident: `INC-${rounds}`,
        reason: 'race',
      });
    case 'rebase':
      return t.call('dana', 'POST', `${path}/rebase`, undefined, { 'If-Match': '*' });
    case 'other':
      return propose(t, [{ action: 'set_audience', flag, audience: { kind: 'none' } }]);
    case 'tick':
      return t.broker.scheduler.tick().then(() => undefined);
  }
}

/** An informational flag for what applies at once beside the requests, so that bases move. */
async function startRound(manual: boolean): Promise<{ flag: string; request: Reply['body'] }> {
  rounds += 1;
  const flag = await createFlag(t, `race-${rounds}`);
  const fields = manual ? { apply: 'manual' } : {};
  return { flag, request: (await propose(t, [{ action: 'enable', flag }], fields)).body };
}

describe('any schedule of simultaneous calls', () => {
  it('leaves what some sequence of them could have left', async () => {
    const schedule = fc.record({
      manual: fc.boolean(),
      calls: fc.array(fc.constantFrom(...VERBS), { minLength: 4, maxLength: 14 }),
    });
    await fc.assert(
      fc.asyncProperty(schedule, async ({ manual, calls }) => {
        const { flag, request } = await startRound(manual);
        const replies = await Promise.all(calls.map((verb) => send(verb, request, flag)));
        for (const reply of replies) expect(reply?.status ?? 200).toBeLessThan(500);
        const { states } = await readFlag(t, flag);
        const { state } = await readRequest(t, request.id);
        expect(states.production.enabled).toBe(state === 'applied');
      }),
      { numRuns: RUNS, seed: 2611 },
    );
    expect(await findContradictions(await asFile(t))).toEqual([]);
  });
});

describe('many writers of one flag', () => {
  it('move it as often as they succeed, each by one version', async () => {
    const flag = await createFlag(t, 'contended', { tier: 'informational' });
    const random = createRandom(7);
    const writers = Array.from({ length: 100 }, () => {
      const organizations = [`org-${Math.floor(random() * 1000)}`];
      return propose(t, [
        { action: 'set_audience', flag, audience: { kind: 'some', organizations, users: [] } },
      ]);
    });
    const replies = await Promise.all(writers);
    const applied = replies.filter((reply) => reply.body.state === 'applied');
    expect(applied.length).toBeGreaterThan(90);
    expect((await readFlag(t, flag)).states.production.version).toBe(1 + applied.length);
  });

  it('of one new key make one flag', async () => {
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => propose(t, [creation('only-one', { tier: 'informational' })])),
    );
    expect(replies.filter((reply) => reply.status === 201)).toHaveLength(1);
    expect(replies.filter((reply) => reply.body.code === 'invalid_change')).toHaveLength(19);
  });
});

describe('a request that is edited while others approve', () => {
  it('is never applied with content that nobody approved', async () => {
    for (let round = 0; round < RUNS / 4; round += 1) {
      const { flag, request } = await startRound(false);
      const audience = { kind: 'some', organizations: ['acme'], users: [] };
      const changes = [
        { action: 'set_audience', flag, audience },
        { action: 'enable', flag },
      ];
      const [, edited] = await Promise.all([
        approve(t, 'alex', request),
        t.call('dana', 'PATCH', `/v1/requests/${request.id}`, { changes, digest: request.digest }),
        approve(t, 'sam', request),
      ]);
      const present = await readRequest(t, request.id);
      expect(present.state).toBe(edited?.status === 200 ? 'pending' : 'applied');
      if (present.state === 'applied') expect(present.digest).toBe(request.digest);
    }
  });
});

describe('a freeze that comes among many writes', () => {
  it('is in the log before none of those it covers', async () => {
    const flags = await Promise.all(
      Array.from({ length: 20 }, (_, place) => createFlag(t, `crowd-${place}`, { tier: 'informational' })),
    );
    const writes = flags.map((flag) => propose(t, [{ action: 'enable', flag }]));
    const freeze = t.call('riley', 'POST', '/v1/freezes', {
      scope: 'all',
      incident: 'INC-crowd',
      reason: 'race',
    });
    const more = flags.map((flag) => propose(t, [{ action: 'enable', flag }], { environment: 'staging' }));
    const replies = await Promise.all([...writes, freeze, ...more]);
    expect(replies.every((reply) => [201, 403].includes(reply.status))).toBe(true);
    const file = await asFile(t);
    const log = readLog(file);
    const engaged = log.find((entry) => entry.input.emergency?.engage?.incident === 'INC-crowd');
    const late = log.filter(
      (entry) => entry.place > (engaged?.place ?? 0) && entry.request?.to === 'applied',
    );
    expect(engaged).toBeDefined();
    expect(late).toEqual([]);
    expect(await findContradictions(file)).toEqual([]);
  });
});
