import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { erase } from '../../src/log/erase.ts';
import { RESULT_VERSION } from '../../src/policy/decision.ts';
import { GUARDRAILS_VERSION } from '../../src/policy/guardrails.ts';
import { activateElsewhere, withConfig } from '../support/activation.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { appendTo, entryOf } from '../support/entries.ts';
import { applyChanges, createFlag, propose } from '../support/flags.ts';
import { spoilBundle, tamper } from '../support/sqlite/evidence.ts';
import { type RecordRow, readRecords } from '../support/sqlite/rows.ts';
import { playStory } from '../support/story.ts';

async function replay(t: TestBroker, id: string, who = 'avery'): Promise<Reply> {
  return t.call(who, 'POST', `/v1/decisions/${id}/replay`);
}

/** All pages of a span, as a client reads them. */
async function replayAll(t: TestBroker, span: object = {}): Promise<Reply['body'][]> {
  const pages: Reply['body'][] = [];
  let body: object = span;
  for (;;) {
    const page = await t.call('avery', 'POST', '/v1/replays', body);
    expect(page).toMatchObject({ status: 200 });
    pages.push(page.body);
    if (page.body.next_place === null) return pages;
    body = { ...span, from_place: page.body.next_place, to_place: page.body.to_place };
  }
}

function lastIdOf(t: TestBroker, operation: string): string {
  return readRecords(t.file).findLast((record) => record.operation === operation)?.id ?? expect.unreachable();
}

describe('the decisions of a story under two policies', () => {
  let t: TestBroker;

  beforeAll(async () => {
    t = await startTestBroker();
    await playStory(t, { seed: 11, steps: 250 });
    const archive = await withConfig(await readFile(`${t.folder}/bundle.tar.gz`), ({ breakglass }) => {
      Object.assign(breakglass ?? {}, { sign_in: { level: 1, max_age_s: 60 } });
    });
    await activateElsewhere(t.broker.store, archive, t.clock());
    await t.broker.scheduler.tick();
    await playStory(t, { seed: 12, steps: 250 });
  });
  afterAll(() => t.close());

  it('all come out the same, byte for byte', async () => {
    const pages = await replayAll(t, { limit: 1000 });
    const records = readRecords(t.file);
    // The two activations, and what was counted.
    const byNobody = records.filter(({ operation }) => operation === 'denials.counted').length + 2;
    expect(pages.map(({ first_difference }) => first_difference)).toEqual(pages.map(() => null));
    const same = pages.reduce((sum, page) => sum + page.same, 0);
    expect(same).toBeGreaterThan(250);
    // Reading recorded itself after the end of the span was fixed.
    expect(same + byNobody).toBe(pages[0]?.to_place);
    expect(pages[0]?.not_replayable).toEqual({ no_policy: byNobody });
  });

  it('come page by page, each place once, up to an end that is fixed by the first page', async () => {
    const pages = await replayAll(t, { from_place: 3, to_place: 40, limit: 7 });
    expect(pages.map(({ from_place }) => from_place)).toEqual([3, 10, 17, 24, 31, 38]);
    expect(pages.every(({ to_place }) => to_place === 40)).toBe(true);
    expect(pages.at(-1)).toMatchObject({ next_place: null });
    expect(pages.reduce((sum, { same }) => sum + same, 0)).toBe(38);
  });

  it('are found by their time as well', async () => {
    const { body } = await t.call('avery', 'GET', '/v1/decisions?limit=200');
    const oldest = body.items.at(-1);
    const [page] = await replayAll(t, { from: oldest.at_ms, to: oldest.at_ms + 1, limit: 1000 });
    const then = readRecords(t.file).filter(({ record }) => JSON.parse(record).at_ms === oldest.at_ms);
    expect(page).toMatchObject({
      from_place: then[0]?.place,
      to_place: then.at(-1)?.place,
      same: then.length,
    });
  });

  it('of a span that is empty are none', async () => {
    expect(await replayAll(t, { from: t.clock() + 1_000_000 })).toMatchObject([
      { same: 0, next_place: null },
    ]);
    expect(await replayAll(t, { from_place: 9, to_place: 3 })).toMatchObject([{ same: 0, next_place: null }]);
  });

  it('one by one name the decision and its policy', async () => {
    const id = lastIdOf(t, 'request.propose');
    const { body } = await replay(t, id);
    const { body: decision } = await t.call('avery', 'GET', `/v1/decisions/${id}`);
    expect(body).toEqual({
      id,
      place: decision.place,
      policy_hash: decision.policy_hash,
      outcome: 'same',
      difference: null,
      why: null,
    });
  });

  it.each(['dana', 'alex', 'riley', 'morgan'])('are closed to %s, who learns nothing', async (who) => {
    const id = lastIdOf(t, 'request.propose');
    const answers = [
      await replay(t, id, who),
      await replay(t, '00000000-0000-4000-8000-000000000000', who),
      await t.call(who, 'POST', '/v1/replays', {}),
    ];
    const told = answers.map(({ status, body }) => [status, body.code, body.detail]);
    expect(told).toEqual(told.map(() => [403, 'policy_denied', told[0]?.[2]]));
  });

  it('are recorded as read', async () => {
    const before = readRecords(t.file).length;
    await replay(t, lastIdOf(t, 'request.propose'));
    const records = readRecords(t.file);
    expect(records).toHaveLength(before + 1);
    expect(records.at(-1)).toMatchObject({ operation: 'decision.read', outcome: 'allow' });
  });

  it.each([{ from_place: 0 }, { limit: 0 }, { limit: 1001 }, { from: 'soon' }, { place: 3 }])(
    'are refused for the span %j',
    async (span) => {
      const { status, body } = await t.call('avery', 'POST', '/v1/replays', span);
      expect([status, body.code]).toEqual([400, 'invalid_request']);
    },
  );

  it('that do not exist are not found', async () => {
    expect((await replay(t, 'x')).body.code).toBe('not_found');
    expect((await replay(t, '%25')).body.code).toBe('not_found');
  });
});

describe('what cannot be replayed says why:', () => {
  let t: TestBroker;

  beforeAll(async () => {
    t = await startTestBroker({ forged: true });
    await createFlag(t, 'erasable');
  });
  afterAll(() => t.close());

  it('an act of the operator', async () => {
    const { body } = await replay(t, lastIdOf(t, 'policy.activate'));
    expect(body).toMatchObject({ outcome: 'not_replayable', difference: null, why: { code: 'no_policy' } });
  });

  it('an erased decision, by its id and its place, with the record of the erasure', async () => {
    const { store } = t.broker;
    const { id, place } =
      readRecords(t.file).find((record) => record.operation === 'request.approve') ?? expect.unreachable();
    await store.writer.write((tx) => erase(tx, { places: [place], names: [] }, entryOf(tx)));
    const erasedBy = readRecords(t.file).length;
    const expected = {
      id,
      place,
      outcome: 'not_replayable',
      why: { code: 'erased', erased_by: erasedBy, detail: expect.stringContaining(`place ${erasedBy}`) },
    };
    expect((await replay(t, id)).body).toMatchObject(expected);
    expect(await replayAll(t, { from_place: place, to_place: place })).toMatchObject([
      { same: 0, different: 0, not_replayable: { erased: 1 } },
    ]);
  });

  it('a decision of a bundle that is not here, and one of a later broker', async () => {
    const { body } = await t.call('avery', 'GET', `/v1/decisions/${lastIdOf(t, 'request.propose')}`);
    const { input, policy_hash } = body;
    const decision = {
      effect: 'allow',
      reasons: [],
      obligations: [],
      limits: {},
      versions: { input: 2, result: RESULT_VERSION, guardrails: GUARDRAILS_VERSION + 1 },
      policy_hash,
      input_json: JSON.stringify(input),
      input_digest: body.input_digest,
    };
    const later = await appendTo(t.broker.store, { decision });
    const foreign = await appendTo(t.broker.store, { decision: { ...decision, policy_hash: 'sha256:00' } });
    const records = readRecords(t.file);
    const idAt = (place: number) => records[place - 1]?.id ?? expect.unreachable();
    expect((await replay(t, idAt(later))).body.why).toMatchObject({ code: 'version_unknown' });
    expect((await replay(t, idAt(foreign))).body.why).toMatchObject({ code: 'bundle_missing' });
  });
});

describe('a difference', () => {
  let t: TestBroker;
  let hash: string;

  beforeAll(async () => {
    t = await startTestBroker({ forged: true });
    await createFlag(t, 'changed');
    await applyChanges(t, [{ action: 'enable', flag: 'changed' }]);
    await propose(t, [{ action: 'update', flag: 'changed', set: { owner: 'team-b' } }]);
    hash = (await t.call('avery', 'GET', '/v1/decisions?limit=1')).body.items[0].policy_hash;
  });
  afterAll(() => t.close());

  it('of an answer that was never given is shown by its place in the result, and the guardrail by itself', async () => {
    const { body } = await t.call('avery', 'GET', `/v1/decisions/${lastIdOf(t, 'request.propose')}`);
    const versions = body.record.schema;
    const given = {
      ...{ ...body.result, versions, policy_hash: hash },
      ...{ input_json: JSON.stringify(body.input), input_digest: body.input_digest },
    };
    const [first] = given.obligations;
    const forged = await appendTo(t.broker.store, {
      decision: { ...given, obligations: [{ ...first, count: first.count + 1 }] },
    });
    const overruled = await appendTo(t.broker.store, { decision: { ...given, guardrail: 'frozen' } });
    const records = readRecords(t.file);
    expect((await replay(t, records[forged - 1]?.id ?? '')).body.difference).toEqual({
      part: 'result',
      pointer: '/obligations/0/count',
      recorded: 2,
      replayed: 1,
    });
    expect((await replay(t, records[overruled - 1]?.id ?? '')).body.difference).toEqual({
      part: 'guardrail',
      pointer: '',
      recorded: 'frozen',
      replayed: null,
    });
    expect(await replayAll(t)).toMatchObject([{ different: 2, first_difference: { place: forged } }]);
  });

  it('is that the stored bundle is another', async () => {
    const archive = await withConfig(await readFile(`${t.folder}/bundle.tar.gz`), ({ tickets }) => {
      Object.assign(tickets ?? {}, { pattern: '^X$' });
    });
    await activateElsewhere(t.broker.store, archive, t.clock());
    await t.broker.close();
    spoilBundle(t.file, hash);
    await t.restart();
    const { id } = readRecords(t.file).findLast(({ operation }) => operation === 'request.propose') ?? {
      id: '',
    };
    expect((await replay(t, id)).body).toMatchObject({
      outcome: 'different',
      difference: { part: 'bundle', recorded: expect.stringMatching(/^sha256:/) },
    });
  });

  // In this order: an input that is not the hashed one is found first.
  it.each([
    ['a result is another', 'recorded_result', (record: RecordRow) => record.outcome === 'hold'],
    ['a decision is gone', 'input', (record: RecordRow) => record.place === 2],
    ['an input is another', 'input', (record: RecordRow) => record.operation === 'request.approve'],
  ] as const)('is that %s', async (how, part, concerns) => {
    const { place } = readRecords(t.file).find(concerns) ?? expect.unreachable();
    await t.broker.close();
    tamper(t.file, how);
    await t.restart();
    const [page] = await replayAll(t, { from_place: place, to_place: place });
    expect(page?.first_difference).toMatchObject({ place, outcome: 'different', difference: { part } });
  });
});
