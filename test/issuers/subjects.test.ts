import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createBrowser } from '../../fixtures/identity/browser.ts';
import { loadConfig } from '../../src/config.ts';
import { issuerConfigSchema } from '../../src/issuers/issuers.ts';
import { createKeySets } from '../../src/issuers/key-sets.ts';
import { createLog } from '../../src/logger.ts';
import { createEs256Key, createTestClock, createTestLog, startServer } from '../identity/support.ts';
import { startHostileProvider } from '../sessions/hostile-provider.ts';
import { startTestBroker } from '../support/broker.ts';

/*
 * Configurations in which one human could be two persons: by accounts at several issuers, by the subjects that an issuer
 * makes for each client (OpenID Connect Core 8), or by a claim that changes (5.7).
 */

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-subjects-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function faultOf(...issuers: object[]): Promise<string | null> {
  const file = join(folder, 'countersign.yaml');
  await writeFile(file, JSON.stringify({ issuers }));
  try {
    loadConfig({ file, env: {} });
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

const issuer = (key: string, more: object = {}) => ({
  key,
  issuer: `https://${key}.example`,
  audience: 'countersign',
  ...more,
});
const person = { claims: { person: 'oid' } };

describe('several issuers', () => {
  it.each<[string, object[]]>([
    ['of which none names the person', [issuer('a'), issuer('b')]],
    ['of which one does not', [issuer('a', person), issuer('b')]],
    [
      'of which two do not, beside a disjoint one',
      [issuer('a'), issuer('b'), issuer('c', { disjoint: true })],
    ],
  ])('%s are refused', async (_what, issuers) => {
    expect(await faultOf(...issuers)).toMatch(
      /issuers\.\d\.claims\.person: is missing: with several issuers/,
    );
  });

  it('of which one names the person by what it assigns itself (OpenID Connect Core 2) are refused', async () => {
    const bySubject = issuer('b', { claims: { person: 'sub' } });
    expect(await faultOf(issuer('a', person), bySubject)).toMatch(/issuers\.1\.claims\.person: is sub/);
    expect(await faultOf(issuer('a', person), { ...bySubject, disjoint: true })).toBeNull();
    expect(await faultOf(bySubject)).toBeNull();
  });

  it.each<[string, object[]]>([
    [
      'that name the person, each by a claim of its own',
      [issuer('a', person), issuer('b', { claims: { person: 'employee_id' } })],
    ],
    [
      'of which all but one are disjoint',
      [issuer('a'), issuer('b', { disjoint: true }), issuer('c', { disjoint: true })],
    ],
    ['of which there is one', [issuer('a')]],
  ])('%s are taken', async (_what, issuers) => {
    expect(await faultOf(...issuers)).toBeNull();
  });
});

describe('a person claim (OpenID Connect Core 5.7)', () => {
  it.each(['sub', 'oid', 'employee_id', 'employeeNumber'])('%s is taken', async (claim) => {
    expect(await faultOf(issuer('a', { claims: { person: claim } }))).toBeNull();
  });

  it.each(['email', 'preferred_username', 'name'])(
    '%s is refused, even if it is said to be stable',
    async (claim) => {
      const claims = { person: claim, person_is_stable: true };
      expect(await faultOf(issuer('a', { claims }))).toContain('must be a stable identifier');
    },
  );

  it.each(['upn', 'unique_name', 'uid', 'badge_no', 'Email', '/profile/email', 'constructor'])(
    '%s is refused unless the configuration says that it is stable',
    async (claim) => {
      expect(await faultOf(issuer('a', { claims: { person: claim } }))).toContain(
        'issuers.0.claims.person: may change',
      );
      expect(await faultOf(issuer('a', { claims: { person: claim, person_is_stable: true } }))).toBeNull();
    },
  );

  it('that the configuration says is stable is logged at each start', async () => {
    const lines: string[] = [];
    const t = await startTestBroker({
      log: createLog('warn', { write: (line: string) => lines.push(line) }),
      config: ({ issuers }) => ({
        issuers: (issuers as object[]).map((each) => ({
          ...each,
          claims: { person: 'badge_no', person_is_stable: true },
        })),
      }),
    });
    await t.restart();
    await t.close();
    const declared = lines.filter((line) => line.includes('identifies a person for good'));
    expect(declared.map((line) => JSON.parse(line))).toMatchObject([
      { issuer: t.people.issuer, claim: 'badge_no' },
      { issuer: t.people.issuer, claim: 'badge_no' },
    ]);
  });
});

const TWO = { audience: ['countersign-cli', 'countersign-web'] };
/** Issuers at which a person may have a subject for each client. */
const SEVERAL: [string, object][] = [
  ['with two clients', TWO],
  ['with another client for the command line', { audience: 'api', login: { client_id: 'cli' } }],
  ['with access tokens of any client', { audience: 'api', token_types: ['access_token'] }],
  ['with two clients and sub as the person', { ...TWO, claims: { person: 'sub' } }],
];
/** Issuers at which they have one. */
const ONE: [string, object][] = [
  ['with one client', { audience: 'countersign-cli' }],
  ['with two clients and another claim for the person', { ...TWO, ...person }],
  ['with two clients that share subjects', { ...TWO, subject_type: 'public' }],
  [
    'with access tokens of one client',
    { audience: 'api', token_types: ['access_token'], authorized_parties: ['api'] },
  ],
];

describe('an issuer whose subjects may differ by client (OpenID Connect Core 8)', () => {
  const key = createEs256Key('k1');
  let server: Awaited<ReturnType<typeof startServer>>;
  let supported: unknown;

  beforeEach(async () => {
    server = await startServer((request, response) => {
      const metadata = {
        issuer: server.origin,
        jwks_uri: `${server.origin}/jwks`,
        subject_types_supported: supported,
      };
      const document = request.url === '/jwks' ? { keys: [key.publicJwk] } : metadata;
      response.setHeader('content-type', 'application/json').end(JSON.stringify(document));
    });
  });
  afterEach(() => server.close());

  async function causeOf(settings: object): Promise<unknown> {
    const { log, lines } = createTestLog();
    const config = issuerConfigSchema.parse({
      key: 'idp',
      issuer: server.origin,
      allow_insecure_loopback: true,
      ...settings,
    });
    const { keysOf } = createKeySets({ fetch, clock: createTestClock().clock, log });
    const header = { alg: 'ES256', kid: key.kid };
    const found = await Promise.resolve(keysOf(config)(header, { payload: '', signature: '' })).then(
      () => null,
      (error: { code: string }) => error.code,
    );
    if (found === null) return null;
    expect(found).toBe('issuer_unavailable');
    return lines.at(-1)?.fields.cause;
  }

  describe.each([
    ['lists pairwise', ['pairwise']],
    ['lists both', ['public', 'pairwise']],
    ['lists none', []],
    ['says nothing', undefined],
  ])('and whose discovery %s', (_says, types) => {
    beforeEach(() => {
      supported = types;
    });

    it.each(SEVERAL)('%s is not used, and the log says what to set', async (_what, settings) => {
      expect(await causeOf(settings)).toMatch(/several clients.*OpenID Connect Core 8.*subject_type: public/);
    });

    it.each(ONE)('%s is used', async (_what, settings) => {
      expect(await causeOf(settings)).toBeNull();
    });
  });

  it.each(SEVERAL)('%s is used if its discovery lists public only', async (_what, settings) => {
    supported = ['public'];
    expect(await causeOf(settings)).toBeNull();
  });

  it.each(SEVERAL)('%s is refused in the configuration if nothing is discovered', async (_what, settings) => {
    for (const keys of [{ jwks_uri: 'https://a.example/jwks' }, { jwks_file: 'keys.json' }]) {
      expect(await faultOf(issuer('a', { ...keys, ...settings }))).toMatch(
        /issuers\.0\.subject_type: is missing: .*OpenID Connect Core 8/,
      );
    }
  });

  it.each(ONE)('%s is taken although nothing is discovered', async (_what, settings) => {
    expect(await faultOf(issuer('a', { jwks_uri: 'https://a.example/jwks', ...settings }))).toBeNull();
  });
});

it('a provider whose subjects may differ by client begins no sign-in', async () => {
  const provider = await startHostileProvider(() => Date.now());
  Object.assign(provider.metadata, { subject_types_supported: ['pairwise'] });
  const t = await startTestBroker({
    config: ({ issuers, ...defaults }) => ({
      ...defaults,
      issuers: [...(issuers as object[]), provider.config],
    }),
  });
  const page = await createBrowser().send(`${t.url}/auth/sign-in`);
  expect(page.status).toBe(503);
  await t.close();
  await provider.close();
});
