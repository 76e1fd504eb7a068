import { expect, it } from 'vitest';
import { chooseAudience } from '../../src/tokens/grant.ts';
import type { TrustRule } from '../../src/trust/rules.ts';

const rule = { grant: { audiences: ['control', 'data:staging'] } } as unknown as TrustRule;

it.each([
  ['data:stage', 'did you mean data:staging?'],
  ['contrl', 'did you mean control?'],
  ['nothing-alike-at-all', 'it grants control, data:staging'],
])('the audience %s that a rule does not grant is refused with what was meant', (audience, says) => {
  expect(() => chooseAudience(rule, audience)).toThrow(
    `the trust rule does not grant this audience; ${says}`,
  );
});
