import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRequestKinds, REQUEST_KINDS } from '../../src/requests/kinds/kinds.ts';
import { findMeta } from '../../src/store/installation.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { notePost, notePostEntry } from './note-post.ts';

/*
 * A kind of requests is one file and one entry of policy data. Here both are the test's own: `note-post.ts` is not known to
 * any other file of the broker.
 */

let t: TestBroker;
/** Somebody else of security. */
let colleague: string;

const kindsWith = (...more: Parameters<typeof notePost>) =>
  createRequestKinds([...REQUEST_KINDS, notePost(...more)]);

function withEntry(data: unknown): unknown {
  const { config } = data as { config: Record<string, object> };
  const request_kinds = { ...config.request_kinds, 'note.post': notePostEntry };
  return { config: { ...config, request_kinds } };
}

beforeEach(async () => {
  t = await startTestBroker({ kinds: kindsWith(), editData: withEntry });
  colleague = await t.people.idToken('casey', { claims: { groups: ['security'] } });
});

afterEach(() => t.close());

const post = (note: string, who = 'sam') =>
  t.call(who, 'POST', '/v1/requests', { kind: 'note.post', note, reason: 'to be read' });
const approve = (who: string, { id, digest }: { id: string; digest: string }) =>
  t.call(who, 'POST', `/v1/requests/${id}/approve`, { digest });
const wall = () => findMeta(t.broker.store.read, 'test_note');

describe('a kind of requests that is added', () => {
  it('goes through the same workflow as every other kind: held, approved by a second person, applied, recorded', async () => {
    const { status, body } = await post('hello');
    expect({ status, body }).toMatchObject({
      status: 201,
      body: {
        kind: 'note.post',
        state: 'pending',
        summary: 'post the note "hello"',
        object: { type: 'note', text: 'hello' },
        changes: [],
        standing: { reasons: [{ code: 'held_for_note' }] },
        gates: [{ code: 'approval_required', cleared_by: 'flag-approver' }],
      },
    });
    expect((await approve('sam', body)).body).toMatchObject({ reasons: [{ code: 'self_approval' }] });
    expect(await wall()).toBeNull();
    // Alex's approvals reach one namespace; those of security reach everything.
    expect((await approve('alex', body)).status).toBe(403);
    expect((await approve(colleague, body)).body).toMatchObject({ state: 'applied' });
    expect(JSON.parse((await wall()) ?? '')).toEqual({ version: 1, note: 'hello' });

    const { items } = (await t.call('avery', 'GET', `/v1/decisions?request=${body.id}`)).body;
    expect(items.at(0)).toMatchObject({
      operation: 'request.apply',
      outcome: { effect: 'allow' },
      request: { id: body.id, to: 'applied' },
    });
  });

  it('is distinguished in lists, and can be edited where its file says so', async () => {
    const { body } = await post('helo');
    await t.call('riley', 'POST', '/v1/freezes', { scope: 'all', incident: 'INC-1', reason: 'x' });
    const list = await t.call('sam', 'GET', '/v1/requests?kind=note.post');
    expect(list.body.items).toMatchObject([{ id: body.id, kind: 'note.post' }]);
    expect((await t.call('sam', 'GET', '/v1/requests?kind=note.tear')).status).toBe(400);
    const order = { note: 'hello', digest: body.digest };
    const edited = await t.call('sam', 'PATCH', `/v1/requests/${body.id}`, order);
    expect(edited.body).toMatchObject({ summary: 'post the note "hello"' });
    expect(edited.body.digest).not.toBe(body.digest);
  });

  it('is refused in the words of its file, and by the roles of its entry', async () => {
    expect((await post('')).body).toMatchObject({ code: 'invalid_change' });
    expect((await post('hello', 'riley')).body).toMatchObject({ reasons: [{ code: 'role_missing' }] });
    const job = await t.workloadToken();
    expect((await post('hello', job)).status).toBe(403);
    const unknown = await t.call('sam', 'POST', '/v1/requests', { kind: 'note.tear', reason: 'x' });
    expect(unknown).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
  });

  it('conflicts in the words of its file once its base has moved', async () => {
    const first = (await post('first')).body;
    const second = (await post('second')).body;
    expect((await approve(colleague, first)).body.state).toBe('applied');
    expect((await approve(colleague, second)).body).toMatchObject({
      state: 'conflicted',
      gates: [{ code: 'base_moved', detail: expect.stringContaining('Another note was posted meanwhile.') }],
    });
    expect(JSON.parse((await wall()) ?? '')).toMatchObject({ note: 'first' });
  });
});

describe('a plan of an older version of the broker', () => {
  it('is made again, and its request is applied: age alone is never a conflict', async () => {
    const { body } = await post('hello');
    await t.restart(kindsWith(2));
    expect((await approve(colleague, body)).body).toMatchObject({ state: 'applied', digest: body.digest });
  });

  it('that is based on more now is approved again, for what it is based on now', async () => {
    const { body } = await post('hello');
    await t.restart(kindsWith(2, ['note:frame']));
    const { body: renewed } = await approve(colleague, body);
    expect(renewed.state).toBe('pending');
    expect(renewed.digest).not.toBe(body.digest);
    expect(renewed.bases).toHaveLength(2);
    expect((await approve(colleague, renewed)).body.state).toBe('applied');
  });

  it('still conflicts when its base has moved', async () => {
    const first = (await post('first')).body;
    const second = (await post('second')).body;
    expect((await approve(colleague, first)).body.state).toBe('applied');
    await t.restart(kindsWith(2));
    expect((await approve(colleague, second)).body.state).toBe('conflicted');
  });
});

describe('a policy that knows nothing of a kind', () => {
  it('denies: there is no entry for it', async () => {
    const other = await startTestBroker({ kinds: kindsWith() });
    const order = { kind: 'note.post', note: 'hello', reason: 'x' };
    const reply = await other.call('sam', 'POST', '/v1/requests', order);
    expect(reply).toMatchObject({ status: 403, body: { code: 'policy_denied' } });
    await other.close();
  });

  it('that reads version 1 of the input cannot be shown one, and denies for the missing fact', async () => {
    const archive = await readFile(new URL('../../fixtures/bundles/anybody.tar.gz', import.meta.url));
    const other = await startTestBroker({ kinds: kindsWith(), archive });
    const order = { kind: 'note.post', note: 'hello', reason: 'x' };
    const token = await other.people.idToken('casey', { claims: { groups: ['anybody'] } });
    const reply = await other.call(token, 'POST', '/v1/requests', order);
    expect(reply.body).toMatchObject({ code: 'policy_denied', reasons: [{ code: 'missing_fact' }] });
    await other.close();
  });
});
