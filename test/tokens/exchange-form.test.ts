import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  ACCESS_TOKEN_TYPE,
  exchangeFormSchema,
  JWT_TYPE,
  parseExchangeForm,
  TOKEN_EXCHANGE_GRANT,
} from '../../src/tokens/exchange-form.ts';

/** A parameter of these values, or none. */
const oneOf = (...values: string[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
const tokenType = oneOf(JWT_TYPE, 'urn:ietf:params:oauth:token-type:id_token', ACCESS_TOKEN_TYPE, '');

const forms = fc.record({
  grant_type: oneOf(TOKEN_EXCHANGE_GRANT, TOKEN_EXCHANGE_GRANT, TOKEN_EXCHANGE_GRANT, 'password', ''),
  subject_token: oneOf('a.b.c', 'x', ''),
  subject_token_type: tokenType,
  actor_token: oneOf('d.e.f', ''),
  actor_token_type: tokenType,
  requested_token_type: tokenType,
  audience: oneOf('control', 'data:production', ''),
  scope: oneOf('flag.read', 'flag.read request.read', 'flag.read  request.read', ' ', '"', ''),
  resource: oneOf('https://countersign.example/v1/requests/1', ''),
  unknown: oneOf('x', ''),
});

it('the schema of a form accepts what the exchange reads, and nothing else', () => {
  const seen = new Set<boolean>();
  const property = fc.property(forms, (sparse) => {
    const form = Object.fromEntries(
      Object.entries(sparse).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
    const read = parseExchangeForm(new URLSearchParams(form).toString());
    const accepted = exchangeFormSchema.safeParse(form).success;
    seen.add(accepted);
    // A target is refused whatever else the form has.
    if ('error' in read && read.error === 'invalid_target') return;
    expect(accepted).toBe(!('error' in read));
  });
  fc.assert(property, { numRuns: 5000 });
  expect(seen.size).toBe(2);
});
