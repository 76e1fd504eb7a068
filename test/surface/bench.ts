import { readFile } from 'node:fs/promises';
import { type Browser, createBrowser } from '../../fixtures/identity/browser.ts';
import { rebundle } from '../../fixtures/rebundle.ts';
import { startHostileProvider } from '../sessions/hostile-provider.ts';
import { SESSION, type SignInBench, startSignInBench } from '../sessions/support.ts';
import { activateElsewhere } from '../support/activation.ts';
import type { TestBroker } from '../support/broker.ts';
import { createProofKey, exchangeBound } from '../support/dpop.ts';
import { approve } from '../support/flags.ts';
import { withWideService } from '../support/snapshots.ts';
import { everyRow } from '../support/sqlite/file.ts';
import { refuseWrites, USAGE_TABLES } from '../support/sqlite/rows.ts';

/** A broker, a real identity provider, and what can be done to the broker between preparing a call and making it. */
export interface SurfaceBench {
  t: TestBroker;
  b: SignInBench;
  /** Signs a person in with a browser. @returns the browser and its cookie header */
  session(person: string): Promise<{ browser: Browser; cookie: string }>;
  /** An ID token of a person, for another client than the broker's. */
  foreignToken(person: string): Promise<string>;
  /** An ID token of a person without any role. */
  strangerToken(): Promise<string>;
  /** A key-bound token. */
  boundToken(): Promise<string>;
  /** Engages a freeze of everything. @returns what lifts it */
  freeze(): Promise<() => Promise<void>>;
  /** Activates a policy that denies everything. @returns what activates the former one */
  deny(): Promise<() => Promise<void>>;
  /** The query and the cookies with which a browser returns from the other provider. */
  returnFromOther(): Promise<{ query: Record<string, string>; cookie: string }>;
  /** A logout token of that provider. */
  logoutToken(claims?: Record<string, unknown>): string;
  /** Makes the store refuse every write. @returns what heals it */
  breakStore(): () => void;
  /** Everything that the store holds, but for the log, and for what every call leaves. */
  contents(): Record<string, unknown[]>;
  close(): Promise<void>;
}

/** A browser's cookies, as it sends them. */
export function cookieOf({ cookies }: Browser): string {
  return [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
}

/** The log, what is counted of calls whatever they do, and what is used up by trying. */
const NOT_COMPARED = [
  ...USAGE_TABLES,
  'leaves',
  'record_details',
  'denials',
  'record_flags',
  'pseudonyms',
  'log_head',
  'log_tiles',
  'used_tokens',
  'sign_ins',
];

export async function startSurfaceBench(): Promise<SurfaceBench> {
  const machineTime = () => Date.now();
  const other = await startHostileProvider(machineTime);
  // So that its callback has a path of its own.
  other.metadata.authorization_response_iss_parameter_supported = false;
  const b = await startSignInBench({
    withTokens: true,
    others: [other.config],
    config: { snapshots: { environments: ['production'] } },
    editData: (data: { config: { limits: Record<string, number> } }) => {
      data.config.limits.breakglass_per_week = 1000;
      withWideService(data);
    },
  });
  const { t } = b;
  const shipped = await readFile(`${t.folder}/bundle.tar.gz`);
  const echo = await readFile(new URL('../../fixtures/bundles/echo.tar.gz', import.meta.url));
  let data: object = {};
  await rebundle(shipped, (own) => {
    data = own as object;
    return own;
  });
  const denying = await rebundle(echo, () => ({
    ...data,
    answer: {
      effect: 'deny',
      reasons: [{ code: 'denied_by_test', detail: 'Everything is denied.' }],
      obligations: [],
      limits: {},
    },
  }));

  async function activate(archive: Buffer): Promise<void> {
    await activateElsewhere(t.broker.store, archive, t.clock());
    await t.broker.scheduler.tick();
  }

  return {
    t,
    b,
    session: async (person) => {
      t.clock.set(Math.max(t.clock(), Date.now()));
      const { browser } = await b.signIn(person, { query: { issuer: 'web' }, mfa: true });
      return { browser, cookie: `${SESSION}=${browser.cookies.get(SESSION)}` };
    },
    foreignToken: (person) => t.people.idToken(person, { claims: { aud: 'another-client' } }),
    strangerToken: () =>
      t.people.idToken('casey', {
        mfa: true,
        claims: { groups: [], sub: 'stranger', employee_id: 'emp-9999' },
      }),
    boundToken: async () => {
      const key = await createProofKey(t.clock);
      const proof = await key.proof({ method: 'POST', url: `${t.url}/oauth/token` });
      const { body } = await exchangeBound(t.url, await t.ci.token(), { proofs: [proof] });
      return body.access_token;
    },
    freeze: async () => {
      const order = { scope: 'all', incident: 'INC-1', reason: 'the matrix' };
      const { body: freeze } = await t.call('riley', 'POST', '/v1/freezes', order);
      return async () => {
        const lift = { kind: 'freeze.lift', freeze: freeze.id, reason: 'the matrix' };
        const { body: request } = await t.call('riley', 'POST', '/v1/requests', lift);
        const { body } = await approve(t, 'sam', request);
        if (body.state !== 'applied') throw new Error(`the freeze was not lifted: ${JSON.stringify(body)}`);
      };
    },
    deny: async () => {
      await activate(denying);
      return () => activate(shipped);
    },
    returnFromOther: async () => {
      const browser = createBrowser();
      const start = await browser.send(`${t.url}/auth/sign-in?issuer=hostile`);
      const asked = new URL(start.headers.get('location') ?? '').searchParams;
      t.clock.set(Math.max(t.clock(), Date.now()));
      other.answer({ nonce: asked.get('nonce') });
      return { query: { code: 'c', state: asked.get('state') ?? '' }, cookie: cookieOf(browser) };
    },
    logoutToken: (claims = {}) => other.logoutToken({ sub: 'nobody', ...claims }),
    breakStore: () => refuseWrites(t.file),
    contents: () => everyRow(t.file, NOT_COMPARED),
    close: async () => {
      await b.close();
      await other.close();
    },
  };
}
