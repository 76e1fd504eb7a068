import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose, readRequest, TICKET } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

/* What people say about a request, and what waits for them, on the command line. */

let t: TestBroker;
let terminal: Terminal;

beforeAll(async () => {
  t = await startTestBroker();
  terminal = createTerminal(t);
});
afterAll(() => t.close());

/** A pending request of dana to switch a new flag on. */
// biome-ignore lint/suspicious/noExplicitAny: requests as they are answered
async function pending(flag: string, fields: Record<string, unknown> = {}): Promise<any> {
  await createFlag(t, flag);
  const { body } = await propose(t, [{ action: 'enable', flag }], { ticket: TICKET, ...fields });
  expect(body.state).toBe('pending');
  return body;
}

const commentsOn = async (id: string) =>
  (await t.call('dana', 'GET', `/v1/requests/${id}/comments`)).body.items;
const NOBODY = '01a00000-0000-7000-8000-000000000000';
/** What would look like another line. */
const HOSTILE = 'fine\nID  AT  BY  WHAT  TEXT';

describe('comment and comments', () => {
  it('says something, and lists it oldest first, as one line that no text can leave', async () => {
    const { id } = await pending('say');
    const said = await terminal.as('alex', 'comment', id, '--text', 'acme agreed by mail');
    const [first] = await commentsOn(id);
    expect([said.code, said.out, said.err]).toEqual([0, `Comment ${first.id}\n`, '']);
    t.clock.advance(60_000);
    const hostile = await terminal.as('dana', 'comment', id, '--text', HOSTILE);
    expect([hostile.code, hostile.err]).toEqual([0, '']);
    const { code, out } = await terminal.as('dana', 'comments', id);
    expect(code).toBe(0);
    const [head, ...rows] = out.trimEnd().split('\n');
    expect(head).toMatch(/^ID +AT +BY +WHAT +TEXT$/);
    expect(rows).toHaveLength(2);
    expect(rows[0]).toMatch(new RegExp(`^${first.id} .* emp-1002 +comment +acme agreed by mail$`));
    expect(rows[1]).toContain('emp-1001');
    const hidden = await terminal.as('dana', 'comment', id, '--text', 'fine\u202e', '--json');
    expect([hidden.code, hidden.json.code]).toEqual([1, 'invalid_request']);
  });

  it('gives with --json what the broker gave, in pages', async () => {
    const { id } = await pending('say-json');
    const said = await terminal.as('alex', 'comment', id, '--text', 'one', '--json');
    expect([said.code, said.json.text, said.json.kind]).toEqual([0, 'one', 'comment']);
    t.clock.advance(1000);
    await terminal.as('alex', 'comment', id, '--text', 'two');
    const page = await terminal.as('dana', 'comments', id, '--limit', '1', '--json');
    expect(page.json.items.map(({ text }: { text: string }) => text)).toEqual(['one']);
    const told = await terminal.as('dana', 'comments', id, '--limit', '1');
    expect(told.err).toMatch(/^More results: use --all or --cursor \S+\n$/);
    const rest = await terminal.as('dana', 'comments', id, '--cursor', page.json.next_cursor, '--json');
    expect(rest.json).toMatchObject({ items: [{ text: 'two' }], next_cursor: null });
    const all = await terminal.as('dana', 'comments', id, '--limit', '1', '--all', '--json');
    expect(all.json.items).toEqual(await commentsOn(id));
  });

  it('takes the beginning of an id, and says what was withdrawn', async () => {
    const { id } = await pending('say-short');
    const { json } = await terminal.as('alex', 'comment', id, '--text', 'a secret', '--json');
    expect((await terminal.as('dana', 'comments', id.slice(0, -1))).out).toContain('a secret');
    await t.call('alex', 'POST', `/v1/requests/${id}/comments/${json.id}/withdraw`);
    const { out } = await terminal.as('dana', 'comments', id);
    expect(out).toContain('(withdrawn)');
    expect(out).not.toContain('secret');
    expect((await terminal.as('dana', 'comments', (await pending('say-none')).id)).out).toBe('No results.\n');
  });

  it('passes refusals on, with what to do', async () => {
    const { id } = await pending('say-refused');
    const unknown = await terminal.as('dana', 'comments', NOBODY, '--json');
    expect([unknown.code, unknown.json.code]).toEqual([1, 'not_found']);
    const empty = await terminal.as('alex', 'comment', id, '--text', '', '--json');
    expect([empty.code, empty.json.code]).toEqual([1, 'invalid_request']);
    const stranger = await t.people.idToken('dana', { claims: { groups: [] } });
    const denied = await createTerminal(t, { env: { COUNTERSIGN_TOKEN: stranger } }).run(
      ...['comment', id, '--text', 'x'],
    );
    expect(denied.code).toBe(4);
    expect(denied.err).toContain('policy_denied');
    expect(await commentsOn(id)).toEqual([]);
  });
});

describe('request-changes', () => {
  it('holds a request back, and says by what it is cleared', async () => {
    const { id } = await pending('ask');
    const asked = await terminal.as('sam', 'request-changes', id, '--text', 'acme only');
    expect(asked.code).toBe(0);
    expect(asked.out).toMatch(/^pending {2}ask {2}production/);
    expect(asked.out).toMatch(/changes_requested: /);
    expect((await readRequest(t, id)).changes_requested).toMatchObject([{ person: 'emp-1003' }]);
    expect((await terminal.as('dana', 'comments', id)).out).toMatch(/changes requested +acme only/);
    await t.call('dana', 'PATCH', `/v1/requests/${id}`, { reason: 'acme only' }, { 'if-match': '*' });
    expect((await terminal.as('dana', 'comments', id)).out).toMatch(/changes were requested +acme only/);
  });

  it('is of the content that was read, and no verdict of a job', async () => {
    const request = await pending('ask-json');
    const { code, json } = await terminal.as('sam', 'request-changes', request.id, '--text', 'x', '--json');
    expect([code, json.digest, json.state]).toEqual([0, request.digest, 'pending']);
    const job = createTerminal(t, { env: { COUNTERSIGN_TOKEN: await t.workloadToken() } });
    const denied = await job.run('request-changes', request.id, '--text', 'x', '--json');
    expect([denied.code, denied.json.code]).toEqual([4, 'policy_denied']);
    await t.call('dana', 'POST', `/v1/requests/${request.id}/withdraw`);
    const late = await terminal.as('sam', 'request-changes', request.id, '--text', 'x', '--json');
    expect([late.code, late.json.code]).toEqual([5, 'request_closed']);
  });
});

describe('inbox', () => {
  it('lists what waits for the person, and what they could give', async () => {
    const { id } = await pending('inbox.new');
    const { code, out } = await terminal.as('alex', 'inbox', '--all');
    expect(code).toBe(0);
    expect(out).toMatch(/^ID +CREATED +PROPOSER +WHAT +YOU CAN GIVE\n/);
    expect(out).toMatch(new RegExp(`^${id} .* person:demo:dana +enable inbox.new +flag-approver$`, 'm'));
    // Whoever proposed it cannot approve it, but sees what it waits for.
    expect((await terminal.as('dana', 'inbox', '--all')).out).toBe('No results.\n');
    const own = await terminal.as('dana', 'inbox', '--part', 'own', '--all');
    expect(own.out).toMatch(/WAITS FOR\n/);
    expect(own.out).toMatch(new RegExp(`^${id} .* enable inbox.new +approval_required$`, 'm'));
  });

  it('gives with --json what the broker gave, in pages', async () => {
    await pending('inbox.one');
    await pending('inbox.two');
    const { body } = await t.call('alex', 'GET', '/v1/inbox?part=approve&limit=200');
    const { json } = await terminal.as('alex', 'inbox', '--all', '--json');
    expect(json.items).toEqual(body.items);
    const page = await terminal.as('alex', 'inbox', '--limit', '1');
    expect(page.out.trimEnd().split('\n')).toHaveLength(2);
    expect(page.err).toContain('--cursor ');
  });

  it('refuses what is no part, and whoever may read no request', async () => {
    const wrong = await terminal.as('alex', 'inbox', '--part', 'mine', '--json');
    expect([wrong.code, wrong.json.code]).toEqual([2, 'usage']);
    expect(wrong.json.detail).toContain('approve, own');
    const stranger = await t.people.idToken('dana', { claims: { groups: [] } });
    const denied = await createTerminal(t, { env: { COUNTERSIGN_TOKEN: stranger } }).run('inbox', '--json');
    expect([denied.code, denied.json.code]).toEqual([4, 'policy_denied']);
  });
});
