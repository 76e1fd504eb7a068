import { expect, it } from 'vitest';
import { compareStates } from '../../src/console/pages/flags/state-differences.ts';
import type { FlagState } from '../../src/flags/model.ts';

const state = (part: Partial<FlagState>): FlagState => ({
  enabled: true,
  default_variant: 'on',
  audience: { kind: 'all' },
  rules: [],
  rollout: null,
  ...part,
});
const some = (...organizations: string[]) => state({ audience: { kind: 'some', organizations, users: [] } });
const differing = (...states: (FlagState | null)[]) =>
  compareStates(states).flatMap(({ name, isSame, words }) => (isSame ? [] : [[name, ...words]]));

it('tells only the parts in which states differ', () => {
  expect(differing(state({}), state({}))).toEqual([]);
  expect(differing(null, null)).toEqual([]);
  expect(differing(state({}), state({ enabled: false, default_variant: 'off' }))).toEqual([
    ['Switched', 'on', 'off'],
    ['Default variant', 'on', 'off'],
  ]);
  expect(differing(some('acme'), null)).toEqual(
    expect.arrayContaining([
      ['For', '1 organization: acme', 'never set'],
      ['Rules', 'none', 'never set'],
    ]),
  );
});

it('does not hide a difference behind a list that is cut', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const words = '6 organizations: a, b, c, d, e and 1 more (they differ in detail)';
  expect(differing(some(...names, 'f'), some(...names, 'g'))).toEqual([['For', words, words]]);
  const rule = (value: string): FlagState =>
    state({
      rules: [
        {
          name: 'pilot',
          when: [{ attribute: 'organization', operator: 'in', values: [...names, value] }],
          serve: { variant: 'on' },
        },
      ],
    });
  expect(differing(rule('f'), rule('g'))).toEqual([
    ['Rules', expect.stringMatching(/differ in detail/), expect.stringMatching(/differ in detail/)],
  ]);
});
