import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { bulkTag, contextualPart, exceptionsOver, fixedPart } from '../../src/data/answers.ts';
import { type BulkAnswers, createBulkAnswers } from '../../src/data/bulk.ts';
import { readContext } from '../../src/data/context.ts';
import { evaluate } from '../../src/data/evaluate.ts';
import type { Snapshot, SnapshotFlag } from '../../src/data/snapshot.ts';
import { type View, viewOf } from '../../src/data/view.ts';
import { exceptionUntil, NOW_MS, sampleDefinition, sampleState } from '../flags/samples.ts';

/* What is remembered about a body is what a look at it would find, for each view and at each time. */

function someUntil(id: string, untilMs: number) {
  const users = [{ id, exception: exceptionUntil(untilMs) }];
  return sampleState({ audience: { kind: 'some', organizations: ['acme'], users } });
}

function snapshotOf(version: number, changes: Partial<SnapshotFlag> = {}): Snapshot {
  const flags: SnapshotFlag[] = [
    { definition: sampleDefinition({ key: 'fixed' }), state: sampleState(), version: 1 },
    { definition: sampleDefinition({ key: 'ann' }), state: someUntil('ann', NOW_MS + 1000), version: 1 },
    {
      definition: sampleDefinition({ key: 'bob', namespace: 'search' }),
      state: someUntil('bob', NOW_MS + 2000),
      version: 1,
      ...changes,
    },
  ];
  const byKey = flags.map((flag): [string, SnapshotFlag] => [flag.definition.key, flag]);
  return { environment: 'production', version, flags: new Map(byKey) };
}

/** Answers without a memory. */
function lookUp(view: View, body: Buffer | null, nowMs: number) {
  const read = readContext(body);
  if ('fault' in read) return read;
  const flags = [...view.flags.values()].map(({ definition, state, version }) => {
    const { value, variant, reason } = evaluate({ definition, state, context: read.context, now_ms: nowMs });
    return { key: definition.key, value, variant, reason, metadata: { version } };
  });
  return { tag: bulkTag(view, read.context, exceptionsOver(view, nowMs)), flags };
}

/** Answers from the memory, where it has it. */
function ask(bulk: BulkAnswers, view: View, body: Buffer | null, nowMs: number) {
  const question = bulk.ask(view, body, nowMs);
  if ('fault' in question) return question;
  const { fixed, rest } = bulk.answer(question);
  expect(rest.bytes).toBe(Buffer.byteLength(rest.text));
  const { flags } = JSON.parse(`${fixed}${rest.text}}`) as { flags: { key: string }[] };
  return { tag: question.tag, flags };
}

const byKey = (answer: ReturnType<typeof ask> | ReturnType<typeof lookUp>) =>
  'fault' in answer
    ? answer
    : { ...answer, flags: answer.flags.toSorted((one, other) => (one.key < other.key ? -1 : 1)) };

let bulk: BulkAnswers;

beforeEach(() => {
  bulk = createBulkAnswers();
});

describe('answers for all flags', () => {
  it('are those of an evaluation, whatever was asked before', () => {
    const snapshots = [
      snapshotOf(1),
      snapshotOf(2, { state: sampleState({ enabled: false }) }),
      // As after a restored copy of the database: a version that was there before, with another content.
      snapshotOf(1, { state: sampleState({ default_variant: 'alt' }) }),
    ];
    const bodies = [
      null,
      '',
      '{}',
      '{"context":{}}',
      '{"context":{"targetingKey":"ann","organization":"other"}}',
      '{"context":{"organization":"other","targetingKey":"ann"}}',
      '{"context":{"targetingKey":"bob"}}',
      '{"context":{"targetingKey":"bob"} }',
      '{"context":{"organization":"acme"}}',
      '{"context":{"organization":"acme","n":1}}',
      '{"context":{"organization":"acme","n":1.0}}',
      '{"context":{"organization":"acme","n":12345678901234567890}}',
      '{"context":{"organization":"\\ud800"}}',
      '{"context":[]}',
      '{"context":{"targetingKey":1}}',
      '{',
    ].map((text) => (text === null ? null : Buffer.from(text)));
    const question = fc.record({
      snapshot: fc.constantFrom(...snapshots),
      namespaces: fc.constantFrom(['*'], ['checkout'], ['search'], ['search', 'checkout'], []),
      body: fc.constantFrom(...bodies),
      later: fc.constantFrom(0, 999, 1000, 1999, 2000, 5000),
    });
    fc.assert(
      fc.property(fc.array(question, { maxLength: 60 }), (questions) => {
        bulk = createBulkAnswers();
        for (const { snapshot, namespaces, body, later } of questions) {
          const view = viewOf(snapshot, namespaces);
          expect(byKey(ask(bulk, view, body, NOW_MS + later))).toEqual(
            byKey(lookUp(view, body, NOW_MS + later)),
          );
        }
      }),
    );
  });

  it('are tagged without a look at the context, if the same bytes were asked before', () => {
    const view = viewOf(snapshotOf(1), ['*']);
    const body = Buffer.from('{"context":{"targetingKey":"ann"}}');
    const first = bulk.ask(view, body, NOW_MS);
    expect(first).toMatchObject({ context: { targetingKey: 'ann' } });
    const again = bulk.ask(view, Buffer.from(body), NOW_MS + 1);
    expect(again).toMatchObject({ context: null, tag: 'tag' in first ? first.tag : '' });
    if ('fault' in first || 'fault' in again) throw new Error('the body is well-formed');
    expect(bulk.answer(again).rest).toBe(bulk.answer(first).rest);
    // The body is not kept: only who sends it again can be told its tag.
    body.write('bob', body.indexOf('ann'));
    expect(bulk.ask(view, body, NOW_MS)).toMatchObject({ context: { targetingKey: 'bob' } });
  });

  it('have the tag of their inputs, in every process', () => {
    const view = viewOf(snapshotOf(7), ['*']);
    const tags = [createBulkAnswers(), createBulkAnswers()].map((each) => each.ask(view, null, NOW_MS));
    const other = bulk.ask(viewOf(snapshotOf(7), ['*']), Buffer.from('{"context":{}}'), NOW_MS);
    expect(tags[0]).toMatchObject({ tag: (tags[1] as { tag: string }).tag });
    expect(other).toMatchObject({ tag: (tags[1] as { tag: string }).tag });
  });

  it('are forgotten beyond a number of bodies, and are the same then', () => {
    const view = viewOf(snapshotOf(1), ['*']);
    const bodyOf = (place: number) => Buffer.from(JSON.stringify({ context: { place } }));
    const first = bulk.ask(view, bodyOf(0), NOW_MS);
    for (let place = 1; place < 4096; place += 1) bulk.ask(view, bodyOf(place), NOW_MS);
    expect(bulk.ask(view, bodyOf(0), NOW_MS)).toMatchObject({ context: null });
    bulk.ask(view, bodyOf(4096), NOW_MS);
    const again = bulk.ask(view, bodyOf(0), NOW_MS);
    expect(again).toEqual(first);
    expect(again).toMatchObject({ context: { place: 0 } });
  });

  it('are forgotten beyond a size, the oldest first', () => {
    const variants = { off: 'x'.repeat(1024 * 1024), on: 'y' };
    const definition = sampleDefinition({ variants });
    const flag = { definition, state: someUntil('ann', NOW_MS), version: 1 };
    const view = viewOf({ environment: 'e', version: 1, flags: new Map([[definition.key, flag]]) }, ['*']);
    const restOf = (place: number) => {
      const question = bulk.ask(view, Buffer.from(JSON.stringify({ context: { place } })), NOW_MS);
      if ('fault' in question) throw new Error('the body is well-formed');
      return bulk.answer(question).rest;
    };
    const rests = Array.from({ length: 16 }, (_, place) => restOf(place));
    // Each is a little more than one sixteenth of what is remembered.
    expect(restOf(1)).toBe(rests[1]);
    expect(restOf(15)).toBe(rests[15]);
    expect(restOf(0)).not.toBe(rests[0]);
    expect(restOf(0)).toEqual(rests[0]);
  });
});

describe('the parts of an answer', () => {
  it.each([['grün'], ['日本'], ['🚩'], ['é'], ['"\\\n']])('hold %j as it is', (text) => {
    const definition = sampleDefinition({ variants: { off: text, on: text }, owner: text });
    for (const state of [sampleState(), someUntil('ann', NOW_MS)]) {
      const flags = new Map([[definition.key, { definition, state, version: 1 }]]);
      const view = viewOf({ environment: 'production', version: 1, flags }, ['*']);
      const part = contextualPart(view, {}, NOW_MS);
      const body = JSON.parse(`${fixedPart(view)}${part.text}}`);
      expect(body.flags).toMatchObject([{ value: text }]);
      expect(part.bytes).toBe(Buffer.byteLength(part.text));
    }
  });
});
