import type { FlagState, Rule } from '../../../flags/model.ts';
import { audienceInWords, listed, sharesInWords } from '../../parts/change-words.ts';

/** One part of the states of a flag, in words for each environment, in their order. */
export interface PartOfStates {
  name: string;
  isSame: boolean;
  words: readonly string[];
}

const PARTS: readonly (readonly [
  name: string,
  part: keyof FlagState,
  words: (state: FlagState) => string,
])[] = [
  ['Switched', 'enabled', ({ enabled }) => (enabled ? 'on' : 'off')],
  ['For', 'audience', ({ audience }) => audienceInWords(audience)],
  ['Shares', 'rollout', ({ rollout }) => (rollout === null ? 'none' : sharesInWords(rollout))],
  ['Default variant', 'default_variant', (state) => state.default_variant],
  ['Rules', 'rules', ({ rules }) => (rules.length === 0 ? 'none' : rules.map(ruleInWords).join('; '))],
];

/** The parts of states, and which of them differ. Null stands for an environment without a state. */
export function compareStates(states: readonly (FlagState | null)[]): PartOfStates[] {
  return PARTS.map(([name, part, wordsOf]) => {
    const texts = new Set(states.map((state) => JSON.stringify(state?.[part] ?? null)));
    const words = states.map((state) => (state === null ? 'never set' : wordsOf(state)));
    const isSame = texts.size <= 1;
    // Long lists are cut: words that are the same must not hide what differs behind them.
    const isHidden = !isSame && new Set(words).size === 1;
    return { name, isSame, words: isHidden ? words.map((each) => `${each} (they differ in detail)`) : words };
  });
}

function ruleInWords({ name, when, serve }: Rule): string {
  const conditions = when.map(({ attribute, operator, values }) =>
    [attribute, operator, listed(values.map((value) => JSON.stringify(value)))].join(' '),
  );
  const served = 'rollout' in serve ? sharesInWords(serve.rollout) : serve.variant;
  return `${name}: ${conditions.join(' and ')} gets ${served}`;
}
