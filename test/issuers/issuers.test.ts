import { describe, expect, it } from 'vitest';
import { algorithmsOf, issuerConfigSchema, workloadIssuerSchema } from '../../src/issuers/issuers.ts';
import { createBench } from '../identity/support.ts';

describe('the configuration of a person issuer', () => {
  const VALID = { key: 'okta', issuer: 'https://okta.example', audience: 'countersign' };
  it.each([
    ['symmetric algorithms', { algorithms: ['HS256'] }],
    ['no signature', { algorithms: ['none'] }],
    ['an empty list of algorithms', { algorithms: [] }],
    ['plain http', { issuer: 'http://okta.example' }],
    ['plain http on loopback without permission', { issuer: 'http://127.0.0.1:9401' }],
    [
      'plain http elsewhere despite the permission',
      { issuer: 'http://okta.example', allow_insecure_loopback: true },
    ],
    [
      'a host that only looks like loopback',
      { issuer: 'http://127.0.0.1.evil.example', allow_insecure_loopback: true },
    ],
    ['keys over plain http', { jwks_uri: 'http://okta.example/keys' }],
    ['keys in a file', { jwks_uri: 'file:///etc/passwd' }],
    ['credentials in the address', { issuer: 'https://user:pw@okta.example' }],
    ['persons named by e-mail', { claims: { person: 'email' } }],
    ['a key with a colon', { key: 'a:b' }],
    ['an unknown setting', { clock_skew: 300 }],
    ['no audience', { audience: [] }],
  ])('with %s is refused', (_name, changes) => {
    expect(issuerConfigSchema.safeParse(VALID).success).toBe(true);
    expect(issuerConfigSchema.safeParse({ ...VALID, ...changes }).success).toBe(false);
  });

  it('twice for one issuer, or with one key for two issuers, is refused', async () => {
    const first = issuerConfigSchema.parse(VALID);
    const other = { ...first, issuer: 'https://other.example' };
    await expect(createBench([first, { ...first, key: 'other' }])).rejects.toThrow('configured twice');
    await expect(createBench([first, other])).rejects.toThrow('configured twice');
  });
});

describe('the configuration of a workload issuer', () => {
  const CLUSTER = { issuer: 'https://kubernetes.default.svc', jwks_file: 'jwks.json' };
  const DOMAIN = { issuer: 'spiffe://acme.example', jwks_uri: 'https://spire.acme.example/bundle' };

  it.each<[string, object, string]>([
    ['keys in two places', { ...CLUSTER, jwks_uri: 'https://cluster.example/jwks' }, 'jwks_file'],
    ['a trust domain without keys', { issuer: 'spiffe://acme.example' }, 'jwks_file'],
    ['a trust domain with a path', { ...DOMAIN, issuer: 'spiffe://acme.example/ns' }, 'issuer'],
    ['a trust domain in capitals', { ...DOMAIN, issuer: 'SPIFFE://acme.example' }, 'issuer'],
    ['a trust domain that is wide', { ...DOMAIN, issuer: 'spiffe://*.example' }, 'issuer'],
    ['a trust domain and EdDSA', { ...DOMAIN, algorithms: ['EdDSA'] }, 'algorithms'],
    ['the bundle over plain http', { ...DOMAIN, jwks_uri: 'http://spire.acme.example/bundle' }, 'jwks_uri'],
    ['plain http with a file', { ...CLUSTER, issuer: 'http://cluster.example' }, 'issuer'],
    ['an issuer of no scheme', { ...CLUSTER, issuer: 'kubernetes/serviceaccount' }, 'issuer'],
  ])('with %s is refused', (_name, value, field) => {
    const paths = workloadIssuerSchema.safeParse(value).error?.issues.map(({ path }) => path.join('.'));
    expect(paths).toContain(field);
  });

  it('takes what its platform signs with, unless it says less', () => {
    const algorithms = (value: object) => algorithmsOf(workloadIssuerSchema.parse(value));
    expect(algorithms(CLUSTER)).toEqual(['RS256', 'ES256']);
    expect(algorithms(DOMAIN)).toHaveLength(9);
    expect(algorithms(DOMAIN)).not.toContain('EdDSA');
    expect(algorithms({ ...DOMAIN, algorithms: ['ES256'] })).toEqual(['ES256']);
  });
});
