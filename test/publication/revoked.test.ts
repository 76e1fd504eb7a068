import { describe, expect, it } from 'vitest';
import { type ListedRevocation, listRevoked } from '../../src/publication/revoked.ts';
import { revokedName } from '../../src/snapshot/readers.ts';

const NOW_MS = Date.UTC(2026, 10, 18);
const ORIGIN = 'flags.example/log/1';
const persons = new Map([
  ['kim.g', 'emp-1'],
  ['kim@old.example', 'emp-1'],
  ['lee.g', 'emp-2'],
]);
const under = { origin: ORIGIN, policy: { broker: { persons } }, nowMs: NOW_MS };

const row = (kind: string, value: string, more: Partial<ListedRevocation> = {}): ListedRevocation => ({
  ...{ kind, value, issued_before_ms: null, created_ms: NOW_MS - 1000, expires_ms: null },
  ...more,
});
const hash = (kind: string, value: string) => revokedName(ORIGIN, `${kind} ${value}`);
const listOf = (rows: ListedRevocation[], max?: number) =>
  new Map(listRevoked(rows, { ...under, ...(max === undefined ? {} : { max }) }));

describe('what a list of readers says of revocations', () => {
  it('has every name of a person, under whichever it was revoked', () => {
    const names = ['emp-1', 'kim.g', 'kim@old.example'];
    for (const name of names) {
      const list = listOf([row('subject', name)]);
      expect([...list.keys()].toSorted()).toEqual(names.map((each) => hash('subject', each)).toSorted());
    }
    expect([...listOf([row('subject', 'workload:a:b')]).keys()]).toEqual([hash('subject', 'workload:a:b')]);
  });

  it('takes the widest of several of one name, and leaves out what has expired', () => {
    const list = listOf([
      row('issuer', 'https://ci.example', { issued_before_ms: 5 }),
      row('issuer', 'https://ci.example', { issued_before_ms: 9 }),
      row('class', 'agent', { issued_before_ms: 5 }),
      row('class', 'agent'),
      row('token', 'gone', { expires_ms: NOW_MS - 60_000 }),
      row('token', 'there', { expires_ms: NOW_MS - 1000 }),
    ]);
    expect(Object.fromEntries(list)).toEqual({
      [hash('issuer', 'https://ci.example')]: 9,
      [hash('class', 'agent')]: null,
      [hash('token', 'there')]: null,
    });
  });

  it('refuses more, and never less, if there are too many', () => {
    const rows = [
      row('subject', 'workload:for:ever'),
      ...[10, 20, 30].map((ms) => row('issuer', `https://${ms}.example`, { issued_before_ms: ms })),
      row('token', 'one', { created_ms: 15, expires_ms: NOW_MS }),
    ];
    const list = listOf(rows, 2);
    expect(list.get(hash('subject', 'workload:for:ever'))).toBeNull();
    expect(list.get(hash('issuer', 'https://30.example'))).toBe(30);
    // 20, 15 and 10 are covered by the latest of them.
    expect(list.get(hash('class', 'all'))).toBe(20);
    expect(list.size).toBe(3);
    // What was revoked of everybody stays as it is, if that is more.
    expect(
      listOf([...rows, row('class', 'all', { issued_before_ms: 25 })], 3).get(hash('class', 'all')),
    ).toBe(25);
    expect(listOf([...rows, row('class', 'all')], 3).get(hash('class', 'all'))).toBeNull();
  });

  it('is not made if there are too many that hold until they are lifted', () => {
    const rows = ['a', 'b', 'c'].map((name) => row('trust_rule', name));
    expect(() => listOf(rows, 2)).toThrow('lift those of what is gone');
  });
});
