import { v7 as uuidv7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findComment, insertComment } from '../../src/store/comments.ts';
import { exchange, type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { erasePerson, withoutRetention } from '../support/erasures.ts';
import { approve, createFlag, propose, readRequest, TICKET } from '../support/flags.ts';
import { readLeaves } from '../support/sqlite/log.ts';
import { addAgents, jobToken } from '../tokens/agents.ts';

let t: TestBroker;
let flags = 0;

beforeAll(async () => {
  t = await startTestBroker({
    editData: (data, { ci }) => {
      const edited = withoutRetention(structuredClone(data)) as typeof data;
      const grant = { operations: ['request.comment', 'request.read'], environments: ['production'] };
      addAgents(edited, ci, grant);
      const { config } = edited as { config: { trust_rules: Record<string, Record<string, unknown>> } };
      Object.assign(config.trust_rules['plain-job'] ?? {}, { person: { claim: 'actor_id', prefix: 'emp-' } });
      return edited;
    },
  });
});

afterAll(() => t.close());

async function pending(tier = 'operational'): Promise<Reply['body']> {
  flags += 1;
  const flag = await createFlag(t, `flag-${flags}`, { tier });
  const { body } = await propose(t, [{ action: 'enable', flag }], { ticket: TICKET });
  expect(body).toMatchObject({ state: 'pending', changes_requested: [] });
  return body;
}

const say = (who: string, id: string, body: object) =>
  t.call(who, 'POST', `/v1/requests/${id}/comments`, body);
const demand = (who: string, { id, digest }: Reply['body'], text = 'not for globex') =>
  t.call(who, 'POST', `/v1/requests/${id}/request-changes`, { digest, text });
const withdraw = (who: string, id: string, comment: string) =>
  t.call(who, 'POST', `/v1/requests/${id}/comments/${comment}/withdraw`);
const commentsOn = async (id: string, who = 'dana') =>
  (await t.call(who, 'GET', `/v1/requests/${id}/comments`)).body.items;
const codes = ({ gates }: Reply['body']) => gates.map(({ code }: { code: string }) => code);

/** The record of a decision, in full. */
const recordOf = async (id: string) => (await t.call('avery', 'GET', `/v1/decisions/${id}`)).body;

describe('a comment', () => {
  it('is listed oldest first, in pages, on requests in any state', async () => {
    const request = await pending();
    for (const text of ['one', 'two', 'three']) {
      t.clock.advance(1);
      const { status, body } = await say('alex', request.id, { text });
      expect(status).toBe(201);
      expect(body).toMatchObject({
        kind: 'comment',
        text,
        person: 'emp-1002',
        digest: request.digest,
        stands: false,
      });
    }
    await approve(t, 'alex', request);
    t.clock.advance(1);
    expect((await say('dana', request.id, { text: 'applied' })).status).toBe(201);
    const first = (await t.call('casey', 'GET', `/v1/requests/${request.id}/comments?limit=3`)).body;
    expect(first.items.map(({ text }: { text: string }) => text)).toEqual(['one', 'two', 'three']);
    const path = `/v1/requests/${request.id}/comments?limit=3&cursor=${first.next_cursor}`;
    expect((await t.call('casey', 'GET', path)).body).toMatchObject({
      items: [{ text: 'applied' }],
      next_cursor: null,
    });
  });

  it('is a record with a salted digest of its text, which the leaf does not have', async () => {
    const request = await pending();
    const { body } = await say('alex', request.id, { text: 'acme agreed by mail' });
    const record = await recordOf(body.decision_id);
    expect(record).toMatchObject({
      operation: 'request.comment',
      outcome: { effect: 'allow', note: { code: 'commented', detail: 'acme agreed by mail' } },
      request: { id: request.id, digest: request.digest, from: 'pending', to: 'pending' },
    });
    const row = readLeaves(t.file).find(({ leaf }) => leaf.includes(body.decision_id));
    expect(row?.leaf).not.toContain('agreed');
    expect(JSON.parse(row?.leaf ?? '').digests.note).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  it('may name the content that was read, and no other', async () => {
    const request = await pending();
    const digest = `sha256:${'0'.repeat(64)}`;
    expect((await say('alex', request.id, { text: 'x', digest })).body.code).toBe('digest_mismatch');
    expect((await say('alex', request.id, { text: 'x', digest: request.digest })).status).toBe(201);
  });

  it.each([
    ['nothing', ''],
    ['too much', 'x'.repeat(2001)],
    ['half a pair', '\ud800'],
    ['no text', undefined],
  ])('of %s is refused', async (_, text) => {
    const request = await pending();
    expect((await say('alex', request.id, { text })).body.code).toBe('invalid_request');
    expect(await commentsOn(request.id)).toEqual([]);
  });

  it('is refused to whoever may not read the request, as if there were none', async () => {
    const request = await pending();
    const stranger = await t.people.idToken('dana', { claims: { groups: [] } });
    expect((await say(stranger, request.id, { text: 'x' })).body.code).toBe('policy_denied');
    expect((await say('dana', '01a00000-0000-7000-8000-000000000000', { text: 'x' })).body.code).toBe(
      'not_found',
    );
    expect((await t.call(stranger, 'GET', `/v1/requests/${request.id}/comments`)).body.code).toBe(
      'policy_denied',
    );
    expect(await commentsOn(request.id)).toEqual([]);
  });

  it('is withdrawn by its author alone, with its text; the record stays', async () => {
    const request = await pending();
    const { body } = await say('alex', request.id, { text: 'a secret' });
    expect((await withdraw('sam', request.id, body.id)).body.code).toBe('state_conflict');
    expect((await commentsOn(request.id))[0]).toMatchObject({ text: 'a secret', withdrawn_ms: null });
    for (let time = 0; time < 2; time += 1) {
      expect((await withdraw('alex', request.id, body.id)).body).toMatchObject({
        text: null,
        withdrawn_ms: t.clock(),
      });
    }
    expect(JSON.stringify(await commentsOn(request.id))).not.toContain('secret');
    expect((await recordOf(body.decision_id)).outcome.note.detail).toBe('a secret');
    const other = await pending();
    expect((await withdraw('alex', other.id, body.id)).body.code).toBe('not_found');
  });

  it('is one of thirty an hour by one principal on one request', async () => {
    const request = await pending();
    for (let each = 0; each < 30; each += 1)
      expect((await say('alex', request.id, { text: 'x' })).status).toBe(201);
    const { status, headers } = await say('alex', request.id, { text: 'x' });
    expect([status, headers.get('retry-after')]).toEqual([429, '3600']);
    expect((await say('dana', request.id, { text: 'x' })).status).toBe(201);
    expect(await commentsOn(request.id)).toHaveLength(31);
    t.clock.advance(3_600_001);
    expect((await say('alex', request.id, { text: 'x' })).status).toBe(201);
  });
});

describe('a demand for changes', () => {
  it('holds back what another approval would apply, until its person approves', async () => {
    const request = await pending();
    const demanded = (await demand('sam', request)).body;
    expect(demanded).toMatchObject({ state: 'pending', changes_requested: [{ person: 'emp-1003' }] });
    expect(codes(demanded)).toEqual(['approval_required', 'changes_requested']);
    const approved = (await approve(t, 'alex', request)).body;
    expect(approved).toMatchObject({ state: 'pending', standing: { effect: 'allow' } });
    expect(codes(approved)).toEqual(['changes_requested']);
    expect((await recordOf(approved.decision_id)).outcome).toMatchObject({
      effect: 'allow',
      note: { code: 'changes_requested' },
    });
    // Nor by a call to apply, nor by time.
    expect((await t.call('dana', 'POST', `/v1/requests/${request.id}/apply`)).body.state).toBe('pending');
    t.clock.advance(3_600_000);
    await t.broker.scheduler.tick();
    expect((await readRequest(t, request.id)).state).toBe('pending');
    expect((await commentsOn(request.id))[0]).toMatchObject({ kind: 'changes_requested', stands: true });
    expect((await approve(t, 'sam', request)).body).toMatchObject({
      state: 'applied',
      changes_requested: [],
    });
    expect((await commentsOn(request.id))[0]).toMatchObject({ stands: false });
  });

  it('ends when it is withdrawn, and what was approved meanwhile is applied', async () => {
    const request = await pending();
    await demand('sam', request);
    await approve(t, 'alex', request);
    const [{ id }] = await commentsOn(request.id);
    expect((await withdraw('alex', request.id, id)).body.code).toBe('state_conflict');
    expect((await withdraw('sam', request.id, id)).status).toBe(200);
    expect(await readRequest(t, request.id)).toMatchObject({ state: 'applied', changes_requested: [] });
  });

  it('is not withdrawn by a job of its person, which may withdraw its own comments', async () => {
    const request = await pending();
    await demand('sam', request);
    await approve(t, 'alex', request);
    const [{ id }] = await commentsOn(request.id);
    const job = (await exchange(t.url, await jobToken(t, 'plain-job', { actor_id: '1003' }))).body
      .access_token;
    expect((await withdraw(job, request.id, id)).body).toMatchObject({
      code: 'state_conflict',
      decision_id: expect.any(String),
    });
    expect(await readRequest(t, request.id)).toMatchObject({ state: 'pending', changes_requested: [{}] });
    const own = (await say(job, request.id, { text: 'by the job' })).body;
    expect(own.person).toBe('emp-1003');
    expect((await withdraw(job, request.id, own.id)).status).toBe(200);
    expect((await withdraw('sam', request.id, id)).status).toBe(200);
    expect((await readRequest(t, request.id)).state).toBe('applied');
  });

  it('that is withdrawn too late applies nothing: the request has expired', async () => {
    const request = await pending();
    await demand('sam', request);
    await approve(t, 'alex', request);
    const [{ id }] = await commentsOn(request.id);
    t.clock.advance(request.expires_ms - t.clock());
    expect((await withdraw('sam', request.id, id)).body).toMatchObject({ text: null, stands: false });
    expect((await readRequest(t, request.id)).state).toBe('expired');
  });

  it('is heard on a request that is full of comments', async () => {
    const request = await pending();
    const { body } = await say('casey', request.id, { text: 'x' });
    await t.broker.store.writer.write(async (tx) => {
      const row = await findComment(tx, { id: body.id, request_id: request.id });
      if (row === undefined) throw new Error('no comment');
      for (let each = 0; each < 999; each += 1) await insertComment(tx, { ...row, id: uuidv7() });
    });
    expect((await say('alex', request.id, { text: 'x' })).body.code).toBe('state_conflict');
    expect((await demand('sam', request)).body).toMatchObject({ changes_requested: [{}] });
  });

  it('ends with the content that it is about, and not with an edit of nothing', async () => {
    const request = await pending();
    const { body } = await demand('sam', request);
    const same = await t.call('dana', 'POST', `/v1/requests/${request.id}/rebase`, { digest: body.digest });
    expect(same.body).toMatchObject({ digest: request.digest, changes_requested: [{}] });
    const edited = await t.call('dana', 'PATCH', `/v1/requests/${request.id}`, {
      reason: 'better',
      digest: body.digest,
    });
    expect(edited.body.changes_requested).toEqual([]);
    expect((await commentsOn(request.id))[0]).toMatchObject({ digest: request.digest, stands: false });
    expect((await approve(t, 'alex', edited.body)).body.state).toBe('applied');
  });

  it('takes the place of the approval of its person', async () => {
    const request = await pending('high-risk');
    await approve(t, 'sam+mfa', request);
    const { body } = await demand('sam', request);
    expect(body.approvals).toMatchObject([{ person: 'emp-1003', counts: false }]);
    const again = (await approve(t, 'sam+mfa', request)).body;
    expect(again).toMatchObject({ changes_requested: [], approvals: [{ counts: true }] });
  });

  it.each([
    ['its author', 'dana'],
    ['a second account of its author', 'dana-alt'],
    ['somebody who could not approve it', 'casey'],
    ['a reader', 'avery'],
  ])('of %s is denied', async (_, who) => {
    const request = await pending();
    const { status, body } = await demand(who, request);
    expect({ status, code: body.code }).toEqual({ status: 403, code: 'policy_denied' });
    expect(await readRequest(t, request.id)).toMatchObject({
      changes_requested: [],
      revision: request.revision,
    });
    expect(await commentsOn(request.id)).toEqual([]);
  });

  it('of a job is denied, and of what is closed or was not read refused', async () => {
    const request = await pending();
    expect((await demand(await t.workloadToken(), request)).body.code).toBe('policy_denied');
    const other = { ...request, digest: `sha256:${'0'.repeat(64)}` };
    expect((await demand('sam', other)).body.code).toBe('digest_mismatch');
    await t.call('dana', 'POST', `/v1/requests/${request.id}/withdraw`);
    expect((await demand('sam', request)).body.code).toBe('request_closed');
  });
});

it('takes the words of an erased person away, and leaves those of others', async () => {
  const request = await pending();
  await say('casey', request.id, { text: 'my own words' });
  await say('dana', request.id, { text: 'as emp-1004 said' });
  // No open request may name whoever is erased.
  for (const { id } of (await t.call('dana', 'GET', '/v1/requests?state=open&limit=200')).body.items)
    await t.call('dana', 'POST', `/v1/requests/${id}/withdraw`);
  t.clock.advance(60_000);
  expect(await erasePerson(t, 'emp-1004')).toMatchObject({ kind: 'person.erase' });
  const left = JSON.stringify(await commentsOn(request.id));
  expect(left).not.toMatch(/emp-1004|my own words|casey/);
  expect(left).toContain('erased:');
});

it('a demand of a revoked person holds nothing back any more', async () => {
  const [approved, other] = [await pending(), await pending()];
  for (const request of [approved, other]) await demand('sam', request);
  expect((await approve(t, 'alex', approved)).body.state).toBe('pending');
  const order = { kind: 'subject', value: 'emp-1003', incident: 'INC-1', reason: 'left' };
  expect((await t.call('riley', 'POST', '/v1/revocations', order)).status).toBe(201);
  await t.broker.scheduler.tick();
  expect((await readRequest(t, approved.id)).state).toBe('applied');
  expect(await readRequest(t, other.id)).toMatchObject({ state: 'pending', changes_requested: [] });
});
