import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { activateElsewhere, withConfig } from '../support/activation.ts';
import { exchange, type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve, createFlag, propose, readRequest, TICKET } from '../support/flags.ts';

/*
 * What waits for whom. That an inbox is right is found out by approving: whoever has a request in it clears something by
 * their approval, and nobody else does.
 */

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
});

afterAll(() => t.close());

afterEach(async () => {
  for (const { id } of (await t.call('dana', 'GET', '/v1/requests?state=open&limit=200')).body.items)
    await withdraw({ id });
});

const CAST = ['dana', 'dana-alt', 'alex', 'sam', 'casey', 'riley', 'avery', 'morgan'];

async function inboxOf(who: string, query = ''): Promise<Reply['body'][]> {
  const { status, body } = await t.call(who, 'GET', `/v1/inbox?limit=200${query}`);
  expect(status).toBe(200);
  return body.items;
}

async function idsOf(who: string, query = ''): Promise<string[]> {
  return (await inboxOf(who, query)).map(({ request }) => request.id);
}

let flags = 0;

/** A pending request to enable a new flag. */
async function pending({ tier = 'operational', who = 'dana' } = {}): Promise<Reply['body']> {
  flags += 1;
  const flag = await createFlag(t, `flag-${flags}`, { tier });
  t.clock.advance(1);
  const { body } = await propose(t, [{ action: 'enable', flag }], { ticket: TICKET }, who);
  expect(body).toMatchObject({ state: 'pending' });
  return body;
}

/** A pending request that waits for who speaks for an organization, too. */
async function forAcme(): Promise<Reply['body']> {
  const flag = await createFlag(t, 'contract', { kind: 'entitlement', tier: 'sensitive', contract: 'MSA' });
  const audience = { kind: 'some', organizations: ['acme'], users: [] };
  const { body } = await propose(t, [{ action: 'set_audience', flag, audience }], { ticket: TICKET });
  expect(body).toMatchObject({ state: 'pending' });
  return body;
}

function withdraw(request: Reply['body'], who = 'dana'): Promise<Reply> {
  return t.call(who, 'POST', `/v1/requests/${request.id}/withdraw`);
}

/** The approvals that are missing, in the words of the answer. */
function missing({ gates }: Reply['body']): string {
  const approvals = gates.filter(({ code }: { code: string }) => code === 'approval_required');
  return JSON.stringify(approvals.map(({ detail }: { detail: string }) => detail));
}

it('has exactly what the approval of its person would clear', async () => {
  const requests = [
    await pending(),
    await pending({ tier: 'high-risk' }),
    await pending({ who: await t.workloadToken() }),
    await forAcme(),
  ];
  let shown = 0;
  for (const who of CAST) {
    const ids = await idsOf(who);
    shown += ids.length;
    const others = (await t.call('dana', 'GET', '/v1/requests?state=open&limit=200')).body.items;
    for (const request of others) {
      const before = await readRequest(t, request.id);
      expect(await idsOf(who, `&request=${request.id}`)).toEqual(ids.filter((id) => id === request.id));
      const answer = await approve(t, `${who}+mfa`, before);
      const cleared =
        answer.status === 200 &&
        (answer.body.state === 'applied' || missing(answer.body) !== missing(before));
      expect({ who, id: request.id, shown: ids.includes(request.id) }).toEqual({
        who,
        id: request.id,
        shown: cleared,
      });
    }
  }
  expect(shown).toBeGreaterThan(3);
  for (const request of requests) {
    const { state } = await readRequest(t, request.id);
    if (state !== 'applied') await withdraw(request);
  }
});

it('says which approval is missing, and whether a new sign-in is needed first', async () => {
  const request = await pending({ tier: 'high-risk' });
  expect(await inboxOf('sam')).toMatchObject([
    {
      request: { id: request.id },
      clears: expect.arrayContaining([{ role: 'flag-approver', organization: null }]),
      needs_sign_in: true,
    },
  ]);
  const [withMfa] = await inboxOf('sam+mfa');
  expect(withMfa.needs_sign_in).toBe(false);
  await withdraw(request);
  expect(await idsOf('sam')).toEqual([]);
});

it('pages oldest first, and no cursor is of use to another part', async () => {
  const requests = [];
  for (let each = 0; each < 5; each += 1) requests.push((await pending()).id);
  const first = (await t.call('alex', 'GET', '/v1/inbox?limit=2')).body;
  expect(first.items.map((item: Reply['body']) => item.request.id)).toEqual(requests.slice(0, 2));
  const second = (await t.call('alex', 'GET', `/v1/inbox?limit=2&cursor=${first.next_cursor}`)).body;
  expect(second.items.map((item: Reply['body']) => item.request.id)).toEqual(requests.slice(2, 4));
  const last = (await t.call('alex', 'GET', `/v1/inbox?limit=2&cursor=${second.next_cursor}`)).body;
  expect([last.items.map((item: Reply['body']) => item.request.id), last.next_cursor]).toEqual([
    requests.slice(4),
    null,
  ]);
  const foreign = await t.call('alex', 'GET', `/v1/inbox?part=own&limit=2&cursor=${first.next_cursor}`);
  expect(foreign.body.code).toBe('invalid_cursor');

  expect((await t.call('alex', 'GET', '/v1/inbox/count')).body).toEqual({
    approve: { count: 5, more: false },
    own: { count: 0, more: false },
  });
  // By whatever account, and by a job that the person started.
  await pending({ who: await t.workloadToken() });
  for (const who of ['dana', 'dana-alt']) {
    const own = await inboxOf(who, '&part=own');
    expect(own.map(({ request }) => request.id).slice(0, 5)).toEqual(requests);
    expect(own).toHaveLength(6);
    expect(own[0]).toMatchObject({ clears: [], request: { gates: [{ code: 'approval_required' }] } });
    expect((await t.call(who, 'GET', '/v1/inbox/count')).body).toEqual({
      approve: { count: 0, more: false },
      own: { count: 6, more: false },
    });
  }
  for (const { request } of await inboxOf('dana', '&part=own')) await withdraw(request);
  expect((await t.call('dana', 'GET', '/v1/inbox/count')).body.own.count).toBe(0);
});

it('leaves a request with the one who still has to approve it, and returns to all after an edit', async () => {
  const request = await pending({ tier: 'high-risk' });
  await approve(t, 'sam+mfa', request);
  expect(await idsOf('sam+mfa')).toEqual([]);
  expect(await idsOf('alex+mfa')).toEqual([request.id]);
  const edited = await t.call('dana', 'PATCH', `/v1/requests/${request.id}`, {
    reason: 'better',
    digest: request.digest,
  });
  expect(edited.status).toBe(200);
  expect(await idsOf('sam+mfa')).toEqual([request.id]);
  await withdraw(request);
});

it('has what others wrote behind what a job of the same person did, under another of their names', async () => {
  // Not asked about before, so that nothing is remembered.
  const alex = await t.people.idToken('alex', { claims: { groups: ['payments-approvers', 'guests'] } });
  const subject = await t.ci.token({ actor_id: '5002' });
  const own = await pending({ who: (await exchange(t.url, subject)).body.access_token });
  expect(own.authors).toEqual(['github:5002']);
  const first = await t.call(alex, 'GET', '/v1/inbox/count');
  expect(first.body).toMatchObject({ approve: { count: 0 }, own: { count: 1 } });
  const other = await pending();
  expect(await idsOf(alex)).toEqual([other.id]);
  expect((await t.call(alex, 'GET', '/v1/inbox/count')).body).toMatchObject({ approve: { count: 1 } });
  expect((await withdraw(own, alex)).status).toBe(200);
});

it('leaves out what is frozen as long as it is', async () => {
  const request = await pending();
  expect(await idsOf('alex')).toEqual([request.id]);
  const order = { scope: 'flag', flag: request.changes[0].flag.key, incident: 'INC-1', reason: 'a test' };
  expect((await t.call('riley', 'POST', '/v1/freezes', order)).status).toBe(201);
  expect(await idsOf('alex')).toEqual([]);
  const other = await pending();
  expect(await idsOf('alex')).toEqual([other.id]);
  await withdraw(other);
  await withdraw(request);
});

it('is nothing for a workload, and refuses whoever may read no request', async () => {
  const job = await t.workloadToken();
  expect((await t.call(job, 'GET', '/v1/inbox')).body).toEqual({ items: [], next_cursor: null });
  expect((await t.call(job, 'GET', '/v1/inbox/count')).body.approve.count).toBe(0);
  const stranger = await t.people.idToken('dana', { claims: { groups: [] } });
  for (const path of ['/v1/inbox', '/v1/inbox?part=own', '/v1/inbox/count']) {
    expect((await t.call(stranger, 'GET', path)).body.code).toBe('policy_denied');
  }
  expect((await t.call('alex', 'GET', '/v1/inbox?part=all')).body.code).toBe('invalid_request');
});

it('answers for one request, which is told to nobody who may not read it', async () => {
  const [request, other] = [await pending(), await pending()];
  const only = `&request=${request.id}`;
  expect(await inboxOf('alex', only)).toMatchObject([
    { request: { id: request.id }, clears: [{ role: 'flag-approver' }] },
  ]);
  expect(await idsOf('dana', only)).toEqual([]);
  for (const who of ['dana', 'dana-alt']) expect(await idsOf(who, `&part=own${only}`)).toEqual([request.id]);
  expect(await idsOf('alex', `&part=own${only}`)).toEqual([]);
  const unknown = await t.call('alex', 'GET', '/v1/inbox?request=018f0000-0000-7000-8000-000000000000');
  expect(unknown.body.code).toBe('not_found');
  expect(await inboxOf(await t.workloadToken(), only)).toEqual([]);
  await withdraw(request);
  expect(await idsOf('dana', `&part=own${only}`)).toEqual([]);
  expect(await idsOf('alex', only)).toEqual([]);
  expect((await t.call('alex', 'GET', '/v1/inbox?request=x')).body.code).toBe('invalid_request');
  const stranger = await t.people.idToken('dana', { claims: { groups: [] } });
  const path = `/v1/inbox?request=${other.id}`;
  expect((await t.call(stranger, 'GET', path)).body.code).toBe('policy_denied');
});

it('follows the bindings of the active policy, and what it asks for', async () => {
  const request = await pending();
  expect(await idsOf('alex')).toEqual([request.id]);
  expect(await idsOf('riley')).toEqual([]);
  const archive = await readFile(`${t.folder}/bundle.tar.gz`);
  const changed = await withConfig(archive, (config) => {
    const groups = Object.values(config.role_bindings?.groups as Record<string, Record<string, unknown>>);
    for (const each of groups) {
      each.responders = each['payments-approvers'];
      each['payments-approvers'] = [{ roles: ['flag-reader'], namespaces: ['*'], environments: ['*'] }];
    }
  });
  await activateElsewhere(t.broker.store, changed, t.clock());
  await t.broker.scheduler.tick();
  expect(await idsOf('alex')).toEqual([]);
  expect(await idsOf('riley')).toEqual([request.id]);
});
