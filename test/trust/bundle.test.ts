import { describe, expect, it } from 'vitest';
import { parseBrokerData } from '../../src/policy/data.ts';
import { assertSoundRules, checkTrustRules, trustRulesOf } from '../../src/trust/policy-rules.ts';
import { GRANT, PERSONS, SOUND } from './sound-rules.ts';

describe('the trust rules of a bundle', () => {
  const sound = {
    issuer: SOUND.github.issuer,
    audience: 'x',
    claims: SOUND.github.claims,
    person: PERSONS.github,
    grant: GRANT,
  };
  const brokerOf = (trust_rules: object, more: object = {}) =>
    parseBrokerData({
      config: { environments: { production: { kind: 'production' } }, trust_rules, ...more },
    });
  const faultsIn = (...data: Parameters<typeof brokerOf>) => {
    const checked = checkTrustRules(brokerOf(...data));
    return 'faults' in checked ? checked.faults : [];
  };

  it('are taken when they are sound', () => {
    expect(Object.keys(trustRulesOf({ broker: brokerOf({ deploy: sound }) }))).toEqual(['deploy']);
  });

  it.each<[string, object, string, RegExp]>([
    ['an unknown key', { deploy: { ...sound, subject: 'x' } }, 'deploy', /^subject: unknown key/],
    [
      'a misspelt key',
      { deploy: { ...sound, audiense: 'x' } },
      'deploy',
      /^audiense: .*did you mean audience/,
    ],
    [
      'an unknown key in the grant',
      { deploy: { ...sound, grant: { ...GRANT, roles: [] } } },
      'deploy',
      /^grant\.roles/,
    ],
    [
      'no audience',
      { deploy: { ...sound, audience: undefined } },
      'deploy',
      /^audience: expected a .*it is missing/,
    ],
    ['no claims', { deploy: { ...sound, claims: undefined } }, 'deploy', /^claims: expected a mapping/],
    [
      'a number for an id',
      { deploy: { ...sound, claims: { repository_id: 456789 } } },
      'deploy',
      /^claims\.repository_id: expected a /,
    ],
    [
      'a pattern object',
      { deploy: { ...sound, claims: { ref: { pattern: '.*' } } } },
      'deploy',
      /^claims\.ref: expected a /,
    ],
    [
      'tokens of an hour',
      { deploy: { ...sound, grant: { ...GRANT, token_ttl_s: 3600 } } },
      'deploy',
      /^grant\.token_ttl_s: expected a whole number/,
    ],
    [
      'an unknown platform',
      { deploy: { ...sound, platform: 'jenkins' } },
      'deploy',
      /^platform: expected one of github/,
    ],
    ['a name with a colon', { 'a:b': sound }, 'a:b', /invalid name: use lower-case letters/],
    [
      'a claim of the name that records drop',
      { deploy: { ...sound, claims: JSON.parse('{"repository_id":"1","__proto__":"x"}') } },
      'deploy',
      /^claims\.__proto__/,
    ],
    ["the broker's own name", { countersign: sound }, 'countersign', /choose another/],
    [
      'an environment that does not exist',
      { deploy: { ...sound, grant: { ...GRANT, environments: ['prod'] } } },
      'deploy',
      /prod, which is not an environment/,
    ],
  ])('with %s are refused with the place and the way out', (_name, rules, rule, detail) => {
    expect(faultsIn(rules)).toContainEqual({ rule, detail: expect.stringMatching(detail) });
    expect(() => trustRulesOf({ broker: brokerOf(rules) })).toThrow('trust_rules is not valid');
  });

  it('are told all their faults at once', () => {
    const bad = { ...sound, audience: '*', claims: { repository: 'acme/*' } };
    const faults = faultsIn({ one: bad, two: bad });
    expect(faults.filter(({ rule }) => rule === 'one').length).toBeGreaterThan(3);
    expect(faults.filter(({ rule }) => rule === 'two')).toHaveLength(faults.length / 2);
  });

  it('of a bundle that is active stay usable with faults that matching enforces; no such bundle is activated', () => {
    const { person: _, ...unnamed } = sound;
    const broker = brokerOf({ deploy: { ...unnamed, claims: { ...sound.claims, run_attempt: '*' } } });
    expect(Object.keys(trustRulesOf({ broker }))).toEqual(['deploy']);
    expect(() => assertSoundRules({ broker })).toThrow(/person is missing/);
    expect(() => assertSoundRules({ broker })).toThrow(/run_attempt must be "1"/);
    expect(() => assertSoundRules({ broker: brokerOf({ deploy: sound }) })).not.toThrow();
  });

  it('pin the tenant of each issuer that the policy says is shared, and may pin it by any claim', () => {
    const google = { ...sound, issuer: 'https://accounts.example', claims: { sub: '113399552211774400001' } };
    expect(faultsIn({ google })[0]?.detail).toMatch(/^claims must pin an identifier/);
    const shared_issuers = { 'https://accounts.example': ['sub'] };
    expect(faultsIn({ google }, { shared_issuers })).toEqual([]);
    const other = { ...google, claims: { tenant_id: '7' } };
    expect(faultsIn({ other }, { shared_issuers })[0]?.detail).toMatch(/^claims\.sub is missing/);
    const wide = { ...google, claims: { sub: '1133*' } };
    expect(faultsIn({ wide }, { shared_issuers }).length).toBeGreaterThan(0);
  });
});
