import { describe, expect, it } from 'vitest';
import { stateFacts } from '../../src/flags/facts.ts';
import type { Condition, FlagState, Rule } from '../../src/flags/model.ts';
import { NOW_MS, sampleDefinition, sampleState } from './samples.ts';

const factsOf = (before: FlagState, after: FlagState) =>
  stateFacts({ definition: sampleDefinition(), before, after, nowMs: NOW_MS, returnsTo: null });

const rule = (attribute: string, values: Condition['values'], variant: string, name = 'rule'): Rule => ({
  name,
  when: [{ attribute, operator: 'in', values }],
  serve: { variant },
});
const withRules = (...rules: Rule[]): FlagState => sampleState({ rules });
const forAcme = (variant: string) => withRules(rule('organization', ['acme'], variant));

describe('rules that differ', () => {
  it('are compared by what one context can reach', () => {
    expect(factsOf(sampleState(), withRules(rule('plan', ['gold'], 'on')))).toMatchObject({
      direction: 'neutral',
      safe: true,
    });
  });

  it('are taken for widen, and for reaching everybody, when there are too many', () => {
    const many = (variant: string) =>
      withRules(...Array.from({ length: 30 }, (_, index) => rule('plan', [index], variant, `rule ${index}`)));
    expect(factsOf(many('on'), many('off'))).toMatchObject({
      direction: 'widen',
      audience_grew: true,
      safe: false,
      swaps: [],
      reaches_everybody: true,
    });
  });

  it('name an organization, and add it only when it is served something else', () => {
    expect(factsOf(sampleState(), forAcme('on'))).toMatchObject({
      organizations_added: [],
      organizations_named: ['acme'],
    });
    expect(factsOf(sampleState(), forAcme('alt'))).toMatchObject({
      organizations_added: ['acme'],
      organizations_named: ['acme'],
      swaps: [{ from: 'on', to: 'alt' }],
    });
  });

  it('touch only organizations that are served something else', () => {
    const audience = { kind: 'some' as const, organizations: ['acme', 'globex'], users: [] };
    const [off, on] = [
      { ...forAcme('off'), audience },
      { ...forAcme('on'), audience },
    ];
    expect(factsOf(off, on)).toMatchObject({ organizations_added: ['acme'], organizations_removed: [] });
    expect(factsOf(on, off)).toMatchObject({
      direction: 'narrow',
      safe: true,
      organizations_added: [],
      organizations_removed: ['acme'],
      organizations_named: [],
    });
  });
});
