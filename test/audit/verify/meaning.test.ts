import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FAULTS, MeaningFault } from '../../../src/audit/verify/fault.ts';
import { createMeaning, type MeaningView } from '../../../src/audit/verify/meaning.ts';
import { canonical } from '../../support/log-oracle.ts';
import { FORGERIES } from './forgeries.ts';
import {
  createWriter,
  DIGEST,
  FIRST,
  moved,
  PLACES,
  type Record,
  SECOND,
  sampleLeaves,
} from './sample-log.ts';

/* What the records of a log say together. The forger signs what they write, so no hash gives them away. */

const leaves = sampleLeaves();

function read(log: readonly string[]): MeaningView {
  const meaning = createMeaning();
  for (const leaf of log) meaning.take(Buffer.from(leaf));
  return meaning.view();
}

/** The fault of a log in which a forger changed one record. */
function faultOf(place: number, forge: (record: Record) => void, log = leaves): MeaningFault | null {
  const record = JSON.parse(log[place - 1] ?? '');
  forge(record);
  return faultIn(log.with(place - 1, canonical(record)));
}

function faultIn(log: readonly string[]): MeaningFault | null {
  try {
    read(log);
    return null;
  } catch (error) {
    if (error instanceof MeaningFault) return error;
    throw error;
  }
}

const { start, engage, break_glass, staged, after, erase, publish, publish_again } = PLACES;

describe('an honest log', () => {
  it('is understood, and what no policy decided and what passed a freeze are listed', () => {
    expect(read(leaves)).toMatchObject({
      records: leaves.length,
      flag_versions: 6,
      counted_votes: 5,
      activations: 3,
      open_freezes: 0,
      snapshots: 2,
      operator_acts: { count: 1, items: [{ place: start, code: 'first_start', activates: FIRST }] },
      exceptions: {
        count: 1,
        items: [{ place: break_glass, kind: 'break_glass', freezes: ['freeze'], flags: ['checkout'] }],
      },
      gaps: [],
    });
  });

  it('is understood up to each record', () => {
    for (let size = 0; size <= leaves.length; size += 1)
      expect(read(leaves.slice(0, size)).records).toBe(size);
  });
});

describe('a forged and signed log is found when', () => {
  it.each(FORGERIES)('%s', (_, place, code, forge) => {
    const fault = faultOf(place, forge);
    expect(fault?.code).toBe(code);
    // The first record that contradicts, which may be a later one.
    expect(fault?.place).toBeGreaterThanOrEqual(place);
  });

  it('each fault has a forgery that shows it, unless it needs more than the log', () => {
    const shown = new Set<string>([
      ...FORGERIES.map(([, , code]) => code),
      // Below, and with given inputs, rows, flags and former logs.
      ...['record_order', 'vote_replaced', 'input_other', 'result_other', 'evaluations_other'],
      ...['replay_differs', 'flags_differ', 'former_other', 'snapshot_differs'],
    ]);
    expect(Object.keys(FAULTS).filter((code) => !shown.has(code))).toEqual([]);
  });

  it('a vote that was replaced by another is counted', () => {
    const { write, leaves: log } = createWriter();
    log.push(...leaves.slice(0, 1));
    write({
      operation: 'request.propose',
      effect: 'hold',
      request: { id: 'one', from: null, to: 'pending' },
    });
    const pending = { id: 'one', from: 'pending', to: 'pending' };
    const former = write({ who: 'alex', operation: 'request.approve', request: pending });
    const newest = write({ who: 'alex', operation: 'request.approve', request: pending });
    const request = { ...pending, to: 'applied' };
    const honest = createWriter();
    honest.leaves.push(...log);
    honest.write({ operation: 'request.apply', request, votes: [newest] });
    expect(faultIn(honest.leaves)).toBeNull();
    write({ operation: 'request.apply', request, votes: [former] });
    expect(faultIn(log)?.code).toBe('vote_replaced');
  });

  it('a leaf has bytes that are no text, and so would read as another one does', () => {
    const honest = Buffer.from(leaves[0] ?? '');
    const at = honest.indexOf('first_start');
    for (const bytes of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80]]) {
      const changed = Buffer.concat([honest.subarray(0, at), Buffer.from(bytes), honest.subarray(at)]);
      expect(() => createMeaning().take(changed)).toThrow('its leaf is not canonical JSON');
    }
  });

  it('a record of the old form stands after new ones', () => {
    const old = canonical({ digest: DIGEST, schema: { record: 0 } });
    expect(read([old, ...leaves.slice(1)]).gaps).toMatchObject([{ code: 'record_version_0', count: 1 }]);
    expect(faultIn([...leaves, old])?.code).toBe('record_order');
  });

  it('any record that means something is taken out, or is there twice', () => {
    for (const [index, leaf] of leaves.entries()) {
      const without = leaves.toSpliced(index, 1);
      // Without the last change, the log only ends earlier; and not every version is published.
      const mayLack: number[] = [staged, after, erase, publish, publish_again];
      if (!mayLack.includes(index + 1)) expect(faultIn(without), `without ${index + 1}`).not.toBeNull();
      expect(faultIn(leaves.toSpliced(index, 0, leaf)), `twice ${index + 1}`).not.toBeNull();
    }
  });
});

describe('scopes of freezes', () => {
  const scopes = [
    ['all', {}, true],
    ['environment', { environment: 'production' }, true],
    ['environment', { environment: 'staging' }, false],
    ['namespace', { namespace: 'payments' }, true],
    ['namespace', { namespace: 'search' }, false],
    ['namespace', { namespace: 'payments', environment: 'staging' }, false],
    ['flag', { flag: 'checkout' }, true],
    ['flag', { flag: 'other' }, false],
  ] as const;

  const nothing = { environment: null, namespace: null, flag: null };

  it.each(scopes)('%s %j covers a state in production: %s', (scope, names, covers) => {
    const { write, leaves: log } = createWriter();
    log.push(...leaves.slice(0, 2));
    write({
      operation: 'freeze.engage',
      freeze: { change: 'engaged', id: 'f', scope, ...nothing, ...names },
    });
    const change = {
      operation: 'request.propose',
      environment: 'production',
      flags: [moved('checkout', 'production', 1)],
    } as const;
    write({ ...change, request: { id: 'r', from: null, to: 'applied' } });
    expect(faultIn(log)?.code).toBe(covers ? 'moved_under_freeze' : undefined);
  });

  it('a definition reaches every environment', () => {
    const { write, leaves: log } = createWriter();
    log.push(...leaves.slice(0, 2));
    write({
      operation: 'freeze.engage',
      freeze: { change: 'engaged', id: 'f', scope: 'environment', ...nothing, environment: 'staging' },
    });
    write({
      operation: 'request.propose',
      environment: 'production',
      flags: [moved('checkout', null, 1)],
      request: { id: 'r', from: null, to: 'applied' },
    });
    expect(faultIn(log)?.code).toBe('moved_under_freeze');
  });

  it('a policy is covered by a freeze of any environment, and an operator who recovers one is listed', () => {
    const { write, leaves: log } = createWriter();
    log.push(...leaves.slice(0, engage));
    const activates = { hash: SECOND, archive: DIGEST, stages: [] };
    write({
      who: 'operator',
      guardrails: null,
      operation: 'policy.activate',
      code: 'policy_recovered',
      activates,
    });
    expect(read(log)).toMatchObject({
      operator_acts: { count: 2, items: [{}, { code: 'policy_recovered', activates: SECOND }] },
      exceptions: { count: 1, items: [{ kind: 'operator', freezes: ['freeze'] }] },
    });
    const forged = createWriter();
    forged.leaves.push(...leaves.slice(0, engage), ...leaves.slice(10, 13));
    expect(faultIn(forged.leaves)?.code).toBe('moved_under_freeze');
  });

  it('an older record does not say in which namespace a flag is, which is a gap', () => {
    const { write, leaves: log } = createWriter();
    const older = JSON.parse(leaves[1] ?? '');
    delete older.flags[0].namespace;
    log.push(leaves[0] ?? '', canonical(older));
    write({
      operation: 'freeze.engage',
      freeze: { change: 'engaged', id: 'f', scope: 'namespace', ...nothing, namespace: 'payments' },
    });
    write({
      operation: 'request.propose',
      environment: 'production',
      flags: [moved('checkout', 'production', 1)],
      request: { id: 'r', from: null, to: 'applied' },
    });
    expect(read(log).gaps).toEqual([{ code: 'namespace_unknown', count: 1, first_place: 4 }]);
  });
});

describe('a leaf', () => {
  it.each([
    ['no JSON', '{'],
    ['a number', '12'],
    ['nothing', ''],
    ['white space', ` ${leaves[0]}`],
    ['a member twice', leaves[0]?.replace('"stage":null', '"stage":null,"stage":null') ?? ''],
    ['a number that is rounded', leaves[0]?.replace(/"at_ms":\d+/, '"at_ms":9007199254740993') ?? ''],
    ['damaged UTF-8', Buffer.from([0xff, 0xfe]).toString('latin1')],
    ['no schema', '{}'],
  ])('that is %s is named with its place', (_, leaf) => {
    expect(faultIn([leaf])).toMatchObject({ code: 'record_malformed', place: 1 });
  });

  it('of any content is a fault or is understood, and never crashes', () => {
    fc.assert(
      fc.property(fc.nat(leaves.length - 1), fc.json(), fc.nat(30), (at, value, member) => {
        const record = JSON.parse(leaves[at] ?? '');
        const names = Object.keys(record);
        record[names[member % names.length] ?? ''] = JSON.parse(value);
        faultIn(leaves.with(at, canonical(record)));
      }),
      { numRuns: 500 },
    );
  });
});
