import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schedulerPrincipal } from '../../src/principal.ts';
import { createTerminal, type Terminal } from '../cli/support.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { appendTo } from '../support/entries.ts';
import { applyChanges, approve, createFlag, creation, propose } from '../support/flags.ts';
import { readLeaves } from '../support/sqlite/log.ts';
import { readRecords } from '../support/sqlite/rows.ts';

/* A person is erased by request; the log stays as it was. One broker, in the order of its life. */

const NAMES = /emp-1001|demo:dana/i;
const JOB = 'workload:ci:repo:o/r:actor:emp-1001';
const YEAR_MS = 365 * 24 * 60 * 60 * 1000;

let t: TestBroker;
let terminal: Terminal;

beforeAll(async () => {
  t = await startTestBroker({ config: { public_url: 'https://flags.example' } });
  terminal = createTerminal(t);
  await createFlag(t, 'checkout');
  await applyChanges(t, [{ action: 'enable', flag: 'checkout' }], { reason: 'as EMP-1001 asked' });
  const open = { environment: 'production', reason: 'a test', changes: [creation('second')] };
  await t.call('dana', 'POST', '/v1/requests', open, { 'idempotency-key': 'once' });
  await t.call('dana-alt', 'GET', '/v1/flags');
  // Their VPN client is no account of theirs, and has their name.
  for (const value of ['emp-1001', 'workload:vpn:CN=emp-1001,OU=ci']) {
    const order = { kind: 'subject', value, incident: 'INC-1', reason: 'emp-1001 left' };
    expect(await t.call('riley', 'POST', '/v1/revocations', order)).toMatchObject({ status: 201 });
  }
  // A job of a provider that says in its id who started it.
  await appendTo(t.broker.store, { principal: { ...schedulerPrincipal, id: JOB } });
  await t.broker.scheduler.tick();
});
afterAll(() => t.close());

function preview(who: string, about: object): Promise<Reply> {
  return t.call(who, 'POST', '/v1/erasures/preview', about);
}

async function proposeErasure(fields: object = {}, who = 'morgan'): Promise<Reply> {
  const { body: found } = await preview('avery', { person: 'emp-1001' });
  const content = { kind: 'person.erase', subject: found.pseudonym, reason: 'they asked for it', ...fields };
  return t.call(who, 'POST', '/v1/requests', content);
}

describe('a preview', () => {
  it('tells who is meant, and everything that names them', async () => {
    const { status, body: found } = await preview('avery', { person: 'EMP-1001' });
    expect(status).toBe(200);
    expect(found).toMatchObject({
      persons: expect.arrayContaining(['emp-1001', 'github:5001']),
      accounts: expect.arrayContaining(['person:demo:dana']),
      revocations: [expect.any(String), expect.any(String)],
      open_requests: [expect.any(String)],
    });
    expect(found.mappings).toContainEqual(expect.objectContaining({ kind: 'principal', name: JOB }));
    const naming = readRecords(t.file)
      .filter(({ record, input, result }) => NAMES.test(`${record}${input}${result}`))
      .map(({ place }) => place);
    expect(found.places).toEqual(naming);
    expect(found.places.length).toBeGreaterThan(4);
    expect((await preview('sam', { pseudonym: found.pseudonym })).body).toEqual(found);
  });

  it('is for those who decide about it, names somebody, and is recorded without the name', async () => {
    expect((await preview('dana', { person: 'emp-1002' })).status).toBe(401);
    expect((await preview('alex', { person: 'emp-1001' })).status).toBe(403);
    expect(await preview('avery', { person: 'emp-9999' })).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    });
    expect((await preview('avery', {})).status).toBe(400);
    const last = readRecords(t.file).findLast(({ operation }) => operation === 'erasure.preview');
    expect(JSON.stringify(last)).not.toMatch(/emp-9999|emp-1001/);
  });
});

describe('a proposal', () => {
  it('does not say the name, and waits for what is open', async () => {
    for (const fields of [{ reason: 'Emp-1001 left.' }, { ticket: 'emp-1001' }]) {
      const [member] = Object.keys(fields);
      expect(await proposeErasure(fields)).toMatchObject({
        status: 422,
        body: { code: 'invalid_change', errors: [{ pointer: `#/${member}` }] },
      });
    }
    const open = await proposeErasure();
    expect(open).toMatchObject({ status: 422, body: { errors: [{ pointer: '#/subject' }] } });
    const [id] = (await preview('avery', { person: 'emp-1001' })).body.open_requests;
    expect(open.body.errors[0].detail).toContain(id);
    const { digest } = (await t.call('sam', 'GET', `/v1/requests/${id}`)).body;
    await t.call('sam+mfa', 'POST', `/v1/requests/${id}/reject`, { digest });
    expect(await proposeErasure({ subject: 'nobody' })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '#/subject' }] },
    });
    expect(await proposeErasure({}, 'alex')).toMatchObject({ status: 403 });
  });

  it('is held for two persons, and until the minimum retention is over', async () => {
    const { body: found } = await preview('avery', { person: 'emp-1001' });
    const { status, body: request } = await proposeErasure();
    expect(status).toBe(201);
    expect(request.summary).toContain(`erase person ${found.pseudonym} from ${found.places.length} records`);
    expect(JSON.stringify(request)).not.toMatch(NAMES);
    const gates = request.gates.map(({ code, cleared_by, opens_ms }: Reply['body']) => [
      code,
      cleared_by,
      opens_ms,
    ]);
    expect(gates).toEqual([
      ['approval_required', 'flag-auditor', undefined],
      ['approval_required', 'security-approver', undefined],
      ['window_closed', 'time', found.newest_ms + YEAR_MS],
    ]);
    await approve(t, 'avery', request);
    const approved = await approve(t, 'sam', request);
    expect(approved.body).toMatchObject({ state: 'ready', gates: [{ code: 'window_closed' }] });
    expect(approved.body.standing.reasons).toMatchObject([{ code: 'held_for_retention' }]);
    await t.call('morgan', 'POST', `/v1/requests/${request.id}/withdraw`, {});
  });

  it('conflicts with whatever is recorded of the person meanwhile', async () => {
    t.clock.advance(YEAR_MS + 1000);
    const { body: request } = await proposeErasure();
    expect(request.gates).toHaveLength(2);
    await approve(t, 'avery', request);
    await t.call('riley', 'POST', '/v1/revocations', {
      kind: 'subject',
      value: 'emp-1001',
      incident: 'INC-2',
      reason: 'again',
    });
    expect((await approve(t, 'sam', request)).body).toMatchObject({ state: 'conflicted' });
  });
});

describe('an erasure', () => {
  let leaves: ReturnType<typeof readLeaves>;
  let places: number[];
  let erasedBy: number;
  let erasedId: string;
  let pseudonym: string;

  beforeAll(async () => {
    t.clock.advance(YEAR_MS + 1000);
    leaves = readLeaves(t.file);
    erasedId = readRecords(t.file).find(({ operation }) => operation === 'request.propose')?.id ?? '';
    const out = await terminal.as('morgan', 'erase', 'emp-1001', '--reason', 'gone', '--json');
    expect(out.code).toBe(3);
    const request = out.json;
    await approve(t, 'avery', request);
    ({ places, pseudonym } = (await preview('avery', { person: 'emp-1001' })).body);
    const applied = await approve(t, 'sam', request);
    expect(applied.body).toMatchObject({ state: 'applied' });
    erasedBy = readLeaves(t.file).length;
  });

  it('leaves a leaf of its own, with pseudonyms only, and every other leaf as it was', () => {
    const after = readLeaves(t.file);
    expect(after.slice(0, leaves.length)).toEqual(leaves);
    const leaf = JSON.parse(after.at(-1)?.leaf ?? '');
    expect(leaf).toMatchObject({
      request: { kind: 'person.erase', object: { type: 'person', id: pseudonym }, to: 'applied' },
      erases: { places, pseudonyms: expect.arrayContaining([pseudonym]) },
    });
    expect(leaf.votes).toHaveLength(2);
  });

  it('is what replay, explain and the inputs answer, and its own decision replays', async () => {
    const replayed = await t.call('avery', 'POST', `/v1/decisions/${erasedId}/replay`);
    expect(replayed.body).toMatchObject({
      outcome: 'not_replayable',
      why: { code: 'erased', erased_by: erasedBy },
    });
    const explained = await t.call('avery', 'POST', '/v1/policy/explain', { decision: erasedId });
    expect(explained.body.detail).toContain(`place ${erasedBy}`);
    const { id } = JSON.parse(readLeaves(t.file)[erasedBy - 1]?.leaf ?? '');
    const own = await t.call('avery', 'POST', `/v1/decisions/${id}/replay`);
    expect(own.body).toMatchObject({ outcome: 'same' });
  });

  it('lets every proof hold, and a stranger verifies the log', async () => {
    t.clock.advance(2000);
    const proof = await t.call('avery', 'GET', `/v1/log/proofs/inclusion/${places[0]}`);
    expect(proof.status).toBe(200);
    const evidence = join(t.folder, 'evidence');
    expect((await terminal.as('avery', 'audit', 'inputs', '--out', evidence)).code).toBe(0);
    const lines = (await readFile(join(evidence, 'inputs.jsonl'), 'utf8')).trimEnd().split('\n');
    expect(JSON.parse(lines[(places[0] ?? 0) - 1] ?? '')).toEqual({ place: places[0], erased_by: erasedBy });
    const key = join(t.folder, 'log.key');
    await writeFile(key, (await terminal.as('avery', 'audit', 'key')).out);
    const log = await mkdtemp(join(t.folder, 'log-'));
    t.clock.advance(1000);
    expect((await terminal.as('avery', 'publish', '--log', log)).code).toBe(0);
    const inputs = join(evidence, 'inputs.jsonl');
    const verified = await terminal.run('verify', log, '--key', key, '--inputs', inputs, '--json');
    expect(verified.code).toBe(0);
    expect(verified.json.gaps).toContainEqual({
      code: 'erased',
      count: places.length,
      first_place: places[0],
    });
  });

  it('is the end of the pseudonym, and the requests stay readable', async () => {
    expect((await preview('avery', { pseudonym })).status).toBe(404);
    expect((await preview('avery', { person: 'emp-1001' })).status).toBe(404);
    const { body: list } = await t.call('sam', 'GET', '/v1/requests?state=applied');
    expect(JSON.stringify(list)).toContain(`erased:${pseudonym}`);
    expect(JSON.stringify(list)).not.toMatch(NAMES);
    expect((await t.call('riley', 'GET', '/v1/revocations')).body.items).toEqual([]);
  });

  it('leaves no trace of a name in the file of the database', async () => {
    await t.broker.close();
    const bytes = (await readFile(t.file)).toString('latin1');
    const traces = [...bytes.matchAll(new RegExp(NAMES, 'gi'))].map(({ index }) =>
      bytes.slice(index - 60, index + 40).replaceAll(/[^\x20-\x7e]/g, '.'),
    );
    expect(traces).toEqual([]);
    await t.restart();
  });

  it('makes the person a new one when they come back', async () => {
    expect((await propose(t, [creation('third')])).status).toBe(201);
    const found = await preview('avery', { person: 'emp-1001' });
    expect(found.body.pseudonym).not.toBe(pseudonym);
  });
});
