import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ClaimOverrides } from '../../fixtures/identity/platforms/claims.ts';
import { type PlatformIssuer, startPlatformIssuer } from '../../fixtures/identity/platforms/issuer.ts';
import { secretToken } from '../../fixtures/identity/platforms/kubernetes.ts';
import { PLATFORM_NAMES, type PlatformName } from '../../src/trust/rules.ts';
import { exchange, startTestBroker, type TestBroker } from '../support/broker.ts';
import { PLATFORM_CASES } from './platform-cases.ts';

/*
 * Each platform's tokens through the real broker: a job that the rule means gets what the rule grants, and every other
 * one the same refusal, whose reason is only for those who may test trust rules.
 */

const TRUST_DOMAIN = 'spiffe://acme.example';
const GRANT = {
  audiences: ['control', 'data:staging'],
  operations: ['flag.read', 'request.read'],
  environments: ['staging'],
  namespaces: ['payments'],
  token_ttl_s: 240,
  // Rules that grant reads only would let a token be exchanged again.
  max_exchanges: 1,
};

let t: TestBroker;
let issuers: Record<PlatformName, PlatformIssuer>;
/** Another trust domain, which is trusted too, for another workload. */
let neighbour: PlatformIssuer;
/** A trust domain whose bundle has keys for X.509 only. */
let unready: PlatformIssuer;

beforeAll(async () => {
  const start = async (name: PlatformName): Promise<[PlatformName, PlatformIssuer]> => [
    name,
    await startPlatformIssuer({ use: name === 'spiffe' ? 'jwt-svid' : 'sig' }),
  ];
  issuers = Object.fromEntries(await Promise.all(PLATFORM_NAMES.map(start))) as typeof issuers;
  [neighbour, unready] = await Promise.all([
    startPlatformIssuer({ use: 'jwt-svid' }),
    startPlatformIssuer({ use: 'x509-svid' }),
  ]);
  const domain = (issuer: string, { jwksUri }: PlatformIssuer) => ({
    issuer,
    jwks_uri: jwksUri,
    allow_insecure_loopback: true,
  });
  t = await startTestBroker({
    config: (defaults) => ({
      workload_issuers: [
        ...(defaults.workload_issuers as object[]),
        domain(TRUST_DOMAIN, issuers.spiffe),
        domain('spiffe://neighbour.example', neighbour),
        domain('spiffe://unready.example', unready),
        ...PLATFORM_NAMES.filter((name) => name !== 'spiffe').map((name) => ({
          issuer: issuers[name].issuer,
          allow_insecure_loopback: true,
        })),
      ],
    }),
    editData: withRules,
  });
});
afterAll(async () => {
  await t.close();
  await Promise.all([...Object.values(issuers), neighbour, unready].map(({ close }) => close()));
});
// Each test has a minute of its own, so that none reaches a limit of another.
beforeEach(() => t.clock.advance(60_000));

function withRules(data: unknown): unknown {
  const edited = structuredClone(data) as { config: { trust_rules: Record<string, object> } };
  for (const name of PLATFORM_NAMES) {
    edited.config.trust_rules[`on-${name}`] = {
      issuer: issuerOf(name),
      audience: 'countersign',
      ...PLATFORM_CASES[name].rule,
      grant: GRANT,
    };
  }
  for (const name of ['neighbour', 'unready']) {
    edited.config.trust_rules[name] = {
      issuer: `spiffe://${name}.example`,
      audience: 'countersign',
      claims: { sub: `spiffe://${name}.example/deploy` },
      grant: GRANT,
    };
  }
  return edited;
}

function issuerOf(name: PlatformName): string {
  return name === 'spiffe' ? TRUST_DOMAIN : issuers[name].issuer;
}

const nowS = (): number => Math.floor(t.clock() / 1000);

function claimsOf(name: PlatformName, overrides: ClaimOverrides = {}): Record<string, unknown> {
  return PLATFORM_CASES[name].build({ issuer: issuerOf(name), nowS: nowS() }, overrides);
}

const tokenOf = (name: PlatformName, overrides: ClaimOverrides = {}): Promise<string> =>
  issuers[name].sign(claimsOf(name, overrides));

/** What those are told who may know. */
async function explained(token: string, more: object = {}) {
  const reply = await t.call('morgan', 'POST', '/v1/trust/test', { token, ...more });
  expect(reply.status).toBe(200);
  return reply.body;
}

/** The job learns nothing but that it is refused; the reason is in the report. */
async function reasonOf(token: string): Promise<string> {
  const answer = await exchange(t.url, token);
  expect([answer.status, answer.body.error]).toEqual([400, 'invalid_request']);
  expect(answer.body.error_description).toMatch(
    /^the subject token was not accepted \(reference [0-9a-f-]+\)$/,
  );
  return (await explained(token)).refusal.reason;
}

describe.each(PLATFORM_NAMES)('a token of %s', (name) => {
  const { person, carries, same, others } = PLATFORM_CASES[name];
  const rule = `on-${name}`;

  it('becomes a token with the grant of its rule', async () => {
    const token = await tokenOf(name);
    const { sub } = decodeJwt(token);
    const report = await explained(token);
    expect(report).toMatchObject({ signature: 'verified', refusal: null });
    expect(report.would_issue).toEqual({
      rule,
      kind: 'workload',
      principal: `workload:${rule}:${sub}`,
      person,
      started_by: [],
      audience: 'control',
      operations: GRANT.operations,
      environments: GRANT.environments,
      namespaces: GRANT.namespaces,
      token_ttl_s: 240,
      require_dpop: false,
    });
    const answer = await exchange(t.url, token);
    expect(answer.body).toMatchObject({
      token_type: 'Bearer',
      expires_in: 240,
      scope: 'flag.read request.read',
    });
    const issued = decodeJwt(answer.body.access_token);
    expect(issued).toMatchObject({
      aud: 'control',
      sub: `workload:${rule}:${sub}`,
      trust_rule: rule,
      subject_issuer: issuerOf(name),
      person,
      claims: carries,
    });
    expect(await reasonOf(token)).toBe('replayed');
  });

  it.each(same)('is accepted %s', async (_name, overrides) => {
    const answer = await exchange(t.url, await tokenOf(name, overrides));
    expect(decodeJwt(answer.body.access_token).trust_rule).toBe(rule);
  });

  it.each(others)('is refused %s', async (_name, overrides, claim) => {
    const token = await tokenOf(name, overrides);
    expect(await reasonOf(token)).toBe('no_trust_rule');
    const { rules } = await explained(token);
    const own = rules.find((report: { rule: string }) => report.rule === rule);
    expect(own).toMatchObject({ platform: name, matches: false });
    expect(own.misses.map((miss: { claim: string }) => miss.claim)).toContain(claim);
  });

  it('is refused when another issuer has signed it', async () => {
    const forger = name === 'github' ? issuers.gitlab : issuers.github;
    const { kid } = decodeProtectedHeader(await tokenOf(name));
    expect(await reasonOf(await forger.sign(claimsOf(name)))).toBe('key_not_found');
    expect(await reasonOf(await forger.sign(claimsOf(name), { kid }))).toBe('signature_invalid');
  });

  it('is refused without an end, and after it', async () => {
    expect(await reasonOf(await tokenOf(name, { exp: undefined }))).toBe('claim_not_accepted');
    expect(await reasonOf(await tokenOf(name, { exp: nowS() - 31 }))).toBe('expired');
  });
});

describe('a token from a Secret', () => {
  it('is refused, since it has no end and is for nobody', async () => {
    const { issuer, sign } = issuers.kubernetes;
    const legacy = secretToken({ issuer, nowS: nowS() });
    expect(await reasonOf(await sign(legacy))).toBe('claim_not_accepted');
    const complete = { ...legacy, aud: 'countersign', iat: nowS(), exp: nowS() + 60 };
    expect(await reasonOf(await sign(complete))).toBe('no_trust_rule');
  });
});

describe('a JWT-SVID', () => {
  it('counts by the keys of the trust domain in its subject, not by its iss', async () => {
    const sub = 'spiffe://neighbour.example/deploy';
    const own = await neighbour.sign(claimsOf('spiffe', { sub, iss: TRUST_DOMAIN }));
    expect(decodeJwt((await exchange(t.url, own)).body.access_token)).toMatchObject({
      trust_rule: 'neighbour',
      subject_issuer: 'spiffe://neighbour.example',
    });
    const { kid } = decodeProtectedHeader(own);
    const forged = claimsOf('spiffe', { sub, iss: 'spiffe://neighbour.example' });
    expect(await reasonOf(await issuers.spiffe.sign(forged))).toBe('key_not_found');
    expect(await reasonOf(await issuers.spiffe.sign(forged, { kid }))).toBe('signature_invalid');
  });

  it.each([
    ['of a trust domain that no rule names', 'spiffe://evil.example/ns/payments/sa/deploy'],
    ['of the trust domain in other letters', 'spiffe://ACME.example/ns/payments/sa/deploy'],
    ['of the scheme in other letters', 'SPIFFE://acme.example/ns/payments/sa/deploy'],
    ['with a port', 'spiffe://acme.example:443/ns/payments/sa/deploy'],
    ['with a user', 'spiffe://evil.example@acme.example/ns/payments/sa/deploy'],
    ['with an empty part', 'spiffe://acme.example//ns/payments/sa/deploy'],
    ['with dots in the path', 'spiffe://acme.example/ns/x/../payments/sa/deploy'],
    ['with a query', 'spiffe://acme.example/ns/payments/sa/deploy?x'],
    ['without a path', 'spiffe://acme.example'],
  ])('%s is refused before any key is looked at', async (_name, sub) => {
    const before = issuers.spiffe.keyReads();
    expect(await reasonOf(await tokenOf('spiffe', { sub }))).toBe('issuer_not_accepted');
    expect(issuers.spiffe.keyReads()).toBe(before);
  });

  it('is no token of another kind of issuer, and the other way round', async () => {
    const { sub } = claimsOf('github');
    expect(await reasonOf(await tokenOf('spiffe', { sub, iss: TRUST_DOMAIN }))).toBe('issuer_not_accepted');
    const stolen = claimsOf('github', { sub: 'spiffe://acme.example/ns/payments/sa/deploy' });
    expect(await reasonOf(await issuers.github.sign(stolen))).toBe('key_not_found');
  });

  it('may have the type JOSE, which no other platform’s token may', async () => {
    const svid = await issuers.spiffe.sign(claimsOf('spiffe'), { typ: 'JOSE' });
    expect((await exchange(t.url, svid)).status).toBe(200);
    expect(await reasonOf(await issuers.github.sign(claimsOf('github'), { typ: 'JOSE' }))).toBe(
      'type_not_accepted',
    );
  });

  it('works once, though it has no id', async () => {
    const svid = await tokenOf('spiffe');
    expect((await exchange(t.url, svid)).status).toBe(200);
    expect(await reasonOf(svid)).toBe('replayed');
  });

  it('cannot be verified while its trust domain publishes keys for X.509 only', async () => {
    const svid = await unready.sign(claimsOf('spiffe', { sub: 'spiffe://unready.example/deploy' }));
    const answer = await exchange(t.url, svid);
    expect([answer.status, answer.body.error]).toEqual([503, 'temporarily_unavailable']);
    const report = await t.call('morgan', 'POST', '/v1/trust/test', { token: svid });
    expect([report.status, report.body.code]).toEqual([503, 'issuer_unavailable']);
  });
});

describe('whatever is asked for', () => {
  it('no token goes beyond the rule, and what was foretold is what comes', async () => {
    const words = ['flag.read', 'request.read', 'request.propose', 'policy.activate'];
    const form = fc.record({
      name: fc.constantFrom(...PLATFORM_NAMES),
      // Often what the rule grants, so that many of them are issued.
      audience: fc.oneof(
        { weight: 2, arbitrary: fc.constantFrom('control', undefined, 'data:staging') },
        { weight: 1, arbitrary: fc.constantFrom('audit', 'data:production', '*') },
      ),
      scope: fc.option(fc.uniqueArray(fc.constantFrom(...words), { minLength: 1 }), {
        freq: 1,
        nil: undefined,
      }),
      lifeS: fc.integer({ min: 2, max: 400 }),
    });
    let issued = 0;
    await fc.assert(
      fc.asyncProperty(form, async ({ name, audience, scope, lifeS }) => {
        // Some platforms give their tokens no id: equal claims would be one token, which works once.
        const token = await tokenOf(name, { exp: nowS() + lifeS, run: randomUUID() });
        const asked = {
          ...(audience === undefined ? {} : { audience }),
          ...(scope === undefined ? {} : { scope: scope.join(' ') }),
        };
        const { would_issue, refusal } = await explained(token, asked);
        const { status, body } = await exchange(t.url, token, asked);
        expect(status === 200).toBe(would_issue !== null);
        if (status !== 200) {
          expect(body.error).toBe(refusal.reason);
          return;
        }
        issued += 1;
        const claims = decodeJwt(body.access_token);
        const got = String(claims.scope).split(' ').filter(Boolean);
        expect(GRANT.audiences).toContain(claims.aud);
        expect(claims.aud).toBe(audience ?? 'control');
        for (const operation of got) {
          expect(GRANT.operations).toContain(operation);
          expect(scope ?? GRANT.operations).toContain(operation);
        }
        expect(Number(claims.exp) - nowS()).toBeLessThanOrEqual(Math.min(lifeS, GRANT.token_ttl_s));
        expect(claims.namespaces).toEqual(claims.aud === 'data:staging' ? GRANT.namespaces : undefined);
        expect(would_issue).toMatchObject({
          audience: claims.aud,
          operations: got,
          token_ttl_s: body.expires_in,
          principal: claims.sub,
        });
      }),
      { numRuns: 120 },
    );
    expect(issued).toBeGreaterThan(10);
  });
});
