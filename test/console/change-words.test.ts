import { describe, expect, it } from 'vitest';
import { changeInWords } from '../../src/console/parts/change-words.ts';
import type { InputChange } from '../../src/flags/change-facts.ts';
import type { FlagState } from '../../src/flags/model.ts';

/* Whoever approves reads this sentence, so it never says that nothing changes where something does. */

const STATE: FlagState = {
  enabled: true,
  default_variant: 'a',
  audience: { kind: 'all' },
  rules: [],
  rollout: null,
};

function inWords(before: Partial<FlagState>, after: Partial<FlagState>): string {
  const change = {
    action: 'set_rollout',
    flag: { key: 'checkout.new' },
    before: { ...STATE, ...before },
    after: { ...STATE, ...after },
    facts: { scope: 'production', returns_to: null },
  };
  return changeInWords(change as unknown as InputChange, 'production');
}

function sharesIn(order: string) {
  return [...order].map((variant) => ({ variant, percent: variant === 'c' ? 50 : 25 }));
}

function someUser(exception: { until_ms: number; reason: string }): FlagState['audience'] {
  return { kind: 'some', organizations: ['acme'], users: [{ id: 'u-1', exception }] } as never;
}

describe('a change in words', () => {
  it('names the order of shares, which assigns the organizations', () => {
    expect(inWords({ rollout: sharesIn('abc') }, { rollout: sharesIn('bca') })).toBe(
      'Changes checkout.new in production: the shares are in the order b, c, a in place of a, b, c, so organizations get another variant',
    );
    expect(
      inWords(
        { rollout: [...sharesIn('ab'), { variant: 'c', percent: 50 }] },
        { rollout: [{ variant: 'b', percent: 15 }, ...sharesIn('ac'), { variant: 'd', percent: 10 }] },
      ),
    ).toMatch(/25 % → 15 % of organizations get b; .*order b, a, c in place of a, b, c/);
    // The same share, in two pieces.
    const half = { variant: 'a', percent: 12.5 };
    expect(inWords({ rollout: sharesIn('abc') }, { rollout: [half, half, ...sharesIn('bc')] })).toContain(
      'the shares are in the order',
    );
  });

  it.each([[{ until_ms: 2, reason: 'pilot' }], [{ until_ms: 1, reason: 'another' }]])(
    'names a user whose exception is another: %j',
    (exception) => {
      const before = { audience: someUser({ until_ms: 1, reason: 'pilot' }) };
      expect(inWords(before, { audience: someUser(exception) })).toBe(
        'Changes checkout.new in production: changes the exception of 1 user: u-1',
      );
    },
  );

  it('says that nothing changes only where nothing does', () => {
    const named = (...organizations: string[]): FlagState['audience'] => ({
      kind: 'some',
      organizations,
      users: [],
    });
    expect(inWords({}, {})).toBe('Changes nothing that is served by checkout.new in production');
    expect(inWords({ audience: named('a', 'b') }, { audience: named('b', 'a') })).toBe(
      'Changes checkout.new in production: audience',
    );
    const rule = { name: 'beta', variant: 'a', when: [] };
    expect(inWords({ rules: [rule] as never }, { rules: [{ ...rule, variant: 'b' }] as never })).toBe(
      'Changes checkout.new in production: changes its 1 rule',
    );
  });
});
