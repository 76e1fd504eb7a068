import { expect, it } from 'vitest';
import type { PolicyResult } from '../../src/policy/decision.ts';
import { GUARDRAILS, GUARDRAILS_VERSION } from '../../src/policy/guardrails.ts';
import type { PolicyInput } from '../../src/policy/input.ts';
import { schedulerPrincipal } from '../../src/principal.ts';

/*
 * What the guardrails of version 1 say of each operation that there was then, to whatever policy allows. Decisions are
 * decided again for years: when a line here has to change, the guardrails become version 2, and version 1 stays as it is.
 *
 *   never: kinds of principals that are refused    parked: waits for an author who is disabled or revoked
 *   frozen: what widens does not pass a freeze
 */
const VERSION_1 = `
  request.propose    parked frozen
  request.read
  request.edit
  request.approve    never workload agent
  request.reject     never agent
  request.withdraw
  request.schedule   parked
  request.apply      parked frozen
  request.expire
  flag.read
  decision.read
  freeze.engage      never agent
  freeze.read
  breakglass.open    never agent
  breakglass.apply   never agent
  breakglass.close   never agent
  token.exchange
  token.introspect
  token.revoke
  agent.delegate     never workload agent
  session.open       never agent
  session.read       never agent
  session.end        never agent
  revocation.add     never agent
  revocation.read
  revocation.drill   never agent
  principal.read
  principal.disable  never agent
  principal.enable   never agent
  access.read
  trust.test
  key.rotate         never agent
  policy.read
  policy.activate    never agent
`;

const allow: PolicyResult = { effect: 'allow', reasons: [], obligations: [], limits: {} };

function input(operation: string, kind: 'person' | 'workload' | 'agent', more: object = {}): PolicyInput {
  const principal = { ...schedulerPrincipal, id: `${kind}:x`, kind, person: 'alex' };
  const facts = { scope: 'state', direction: 'widen', audience_grew: true, returns_to: null };
  const request = {
    kind: 'flag.change',
    proposer: { ...principal, id: 'person:y', person: 'dana' },
    authors: ['dana'],
    changes: [{ facts }],
    ...more,
  };
  const emergency = { frozen: 'frozen' in more, freezes: [], breakglass: null };
  return { operation, principal, request, emergency } as unknown as PolicyInput;
}

const NO_DATA = { persons: new Map(), exposure_order: new Map() };

function refusal(given: PolicyInput): string | undefined {
  return GUARDRAILS.get(1)?.(given, allow, NO_DATA).reasons[0]?.code;
}

const rows = VERSION_1.trim()
  .split('\n')
  .map((line) => line.trim().split(/\s+/));

it('version 1 is kept', () => {
  expect([...GUARDRAILS.keys()]).toContain(1);
  expect([...GUARDRAILS.keys()].at(-1)).toBe(GUARDRAILS_VERSION);
});

it.each(rows.map(([operation = '', ...says]) => [operation, says] as const))(
  'says of %s what it always said',
  (operation, says) => {
    const kinds = ['person', 'workload', 'agent'] as const;
    const refused = kinds.filter((kind) => refusal(input(operation, kind)) === 'not_a_person');
    expect(refused).toEqual(kinds.filter((kind) => says.includes(kind)));
    expect(refusal(input(operation, 'person', { parked: true }))).toBe(
      says.includes('parked') ? 'parked' : otherwise(operation),
    );
    expect(refusal(input(operation, 'person', { frozen: true }))).toBe(
      says.includes('frozen') ? 'frozen' : otherwise(operation),
    );
  },
);

/** Break-glass needs a session first, whatever else there is. */
function otherwise(operation: string): string | undefined {
  return operation === 'breakglass.apply' ? 'breakglass_missing' : undefined;
}

it('version 1 takes a return that swaps variants as it did, and version 2 does not', () => {
  const facts = { scope: 'state', direction: 'widen', audience_grew: false, returns_to: 2, safe: false };
  const given = input('breakglass.apply', 'person', { changes: [{ flag: { key: 'f' }, facts }] });
  const inSession = { ...given, emergency: { ...given.emergency, breakglass: {} } } as PolicyInput;
  expect(GUARDRAILS.get(1)?.(inSession, allow, NO_DATA).effect).toBe('allow');
  expect(GUARDRAILS.get(2)?.(inSession, allow, NO_DATA).reasons).toMatchObject([
    { code: 'breakglass_unsafe' },
  ]);
});
