import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { decodeJwt } from 'jose';
import type { Attempt } from '../../src/http/route.ts';
import type { RouteName } from '../../src/routes.ts';
import { type BodyName, bodyFile } from '../../src/snapshot/body.ts';
import { SESSION } from '../sessions/support.ts';
import { signIn, withConfig } from '../support/activation.ts';
import { createFlag, proposal, propose } from '../support/flags.ts';
import { fetchSnapshot, readerToken } from '../support/snapshots.ts';
import { cookieOf, type SurfaceBench } from './bench.ts';

/** What a call is made with, besides the credential. */
export interface Prepared {
  /** The parameters of the path. */
  params?: Record<string, string>;
  query?: Record<string, string>;
  /** JSON, or a form. */
  body?: unknown;
  headers?: Record<string, string>;
}

/** A call that succeeds when nothing is in its way. */
export interface Example {
  /** The person who may make it. */
  who: string;
  /** Whether that person makes it with a browser session. */
  bySession?: true;
  /** Prepares what the call needs. Called anew for each cell. */
  prepare(bench: SurfaceBench): Promise<Prepared>;
  /** What an attempt sends instead, where the credential is a part of the body. */
  attempt?(bench: SurfaceBench, attempt: Attempt, prepared: Prepared): Promise<Prepared | null>;
}

const plain = (who: string, prepared: Prepared = {}): Example => ({ who, prepare: async () => prepared });

let made = 0;
function newKey(): string {
  made += 1;
  return `surface.${made}`;
}

/** The name of the body that the newest pointer names. */
async function publishedBody({ t }: SurfaceBench): Promise<string> {
  await t.broker.scheduler.tick();
  const { bytes } = await fetchSnapshot(t, await readerToken(t), 'latest.json');
  const [pointer = ''] = JSON.parse(bytes.toString()).pointers;
  return bodyFile(decodeJwt<BodyName>(pointer));
}

/** A flag whose changes need nobody's approval. */
async function newFlag({ t }: SurfaceBench): Promise<string> {
  return createFlag(t, newKey(), { tier: 'informational' });
}

/** A request that one approval would apply. */
async function pending({ t }: SurfaceBench): Promise<{ id: string; digest: string; flag: string }> {
  const flag = await createFlag(t, newKey(), { tier: 'operational' });
  const { body } = await propose(t, [{ action: 'enable', flag }]);
  if (body.state !== 'pending') throw new Error(`not pending: ${JSON.stringify(body)}`);
  return { id: body.id, digest: body.digest, flag };
}

/** A request that waits only for a call to apply. */
async function ready(bench: SurfaceBench): Promise<string> {
  const flag = await newFlag(bench);
  const { body } = await propose(bench.t, [{ action: 'enable', flag }], { apply: 'manual' });
  if (body.state !== 'ready') throw new Error(`not ready: ${JSON.stringify(body)}`);
  return body.id;
}

/** Closes the session that a former cell left open. */
async function closeBreakGlass({ t }: SurfaceBench): Promise<void> {
  const { body } = await t.call('riley', 'GET', '/v1/break-glass');
  for (const { id, closed_ms } of body.items) {
    if (closed_ms === null) await t.call('riley', 'POST', `/v1/break-glass/${id}/close`);
  }
}

async function openBreakGlass(bench: SurfaceBench): Promise<string> {
  const { t } = bench;
  await closeBreakGlass(bench);
  const order = { incident: 'INC-7', reason: 'the matrix' };
  const { body } = await t.call('riley+mfa', 'POST', '/v1/break-glass', order);
  if (body.id === undefined) throw new Error(`no session: ${JSON.stringify(body)}`);
  return body.id;
}

const revocation = (issuer: string) => ({
  kind: 'token',
  value: `${issuer}#jti:${randomUUID()}`,
  incident: 'INC-7',
  reason: 'the matrix',
});

async function someDecision({ t }: SurfaceBench): Promise<string> {
  const { body } = await t.call('avery', 'GET', '/v1/decisions?limit=1');
  return body.items[0].id;
}

const form = (fields: Record<string, string>): Prepared => ({ body: new URLSearchParams(fields) });
const exchangeForm = (subject_token: string): Prepared =>
  form({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    subject_token,
  });

const change = (verb: (bench: SurfaceBench) => Promise<Prepared>, who = 'dana'): Example => ({
  who,
  prepare: verb,
});
const anyTag = { 'If-Match': '*' };
const scimUser = (name: string) => ({
  schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'],
  userName: name,
  externalId: name,
});

/** A user whom a provider has created. */
async function newScimUser({ t }: SurfaceBench): Promise<{ id: string }> {
  const { body } = await t.call('morgan', 'POST', '/scim/v2/Users', scimUser(`emp-${randomUUID()}`), {
    'content-type': 'application/scim+json',
  });
  return { id: body.id };
}
const scimPatch = {
  schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'],
  Operations: [{ op: 'replace', path: 'active', value: false }],
};

/** A session of dana besides the one that makes the call. */
async function anotherSession(bench: SurfaceBench): Promise<Prepared> {
  const { browser } = await bench.session('dana');
  const { body } = await bench.b.call(browser, 'GET', '/v1/whoami');
  return { params: { id: body.session } };
}

/** On pages the credential is a cookie. */
function withoutCookie(attempt: Attempt, { headers = {}, ...prepared }: Prepared): Prepared | null {
  if (attempt !== 'no_token' && attempt !== 'garbage') return null;
  const garbage = (headers.cookie ?? '').replaceAll(/=[^;]*/g, `=${'A'.repeat(43)}`) || `${SESSION}=x`;
  return { ...prepared, headers: { ...headers, cookie: attempt === 'no_token' ? '' : garbage } };
}

/** A bundle that is not stored yet. */
async function newBundle({ t }: SurfaceBench): Promise<Buffer> {
  made += 1;
  return withConfig(await readFile(`${t.folder}/bundle.tar.gz`), ({ limits = {} }) => {
    limits.request_ttl_s = 604_800 + made;
  });
}

async function activeHash({ t }: SurfaceBench): Promise<string> {
  return (await t.call('morgan', 'GET', '/v1/policy/activations?limit=1')).body.items[0].policy_hash;
}

const POLICY_PATCH = [{ op: 'replace', path: '/config/limits/request_ttl_s', value: 1000 }];

/** Checks a patch to the end. @returns the id of the run */
async function checkedPolicy({ t }: SurfaceBench): Promise<string> {
  const { body } = await t.call('morgan', 'POST', '/v1/policy/checks', { patch: POLICY_PATCH });
  const id = body.id ?? body.running;
  for (;;) {
    const run = await t.call('morgan', 'GET', `/v1/policy/checks/${id}`);
    if (run.body.state !== 'running') return id;
  }
}

/** An example for each call of the list. A call without one does not compile. */
export const EXAMPLES: Readonly<Record<RouteName, Example>> = {
  listActivations: plain('morgan'),
  listBundles: plain('morgan'),
  getPolicyData: plain('morgan'),
  getActiveBundle: plain('morgan'),
  getBundle: {
    who: 'morgan',
    prepare: async (bench) => ({ params: { hash: await activeHash(bench) } }),
  },
  uploadBundle: { who: 'morgan', prepare: async (bench) => ({ body: await newBundle(bench) }) },
  checkPolicy: {
    who: 'morgan',
    prepare: async (bench) => {
      await checkedPolicy(bench);
      return { body: { patch: POLICY_PATCH } };
    },
  },
  getPolicyChecks: {
    who: 'morgan',
    prepare: async (bench) => ({ params: { id: await checkedPolicy(bench) } }),
  },
  getPolicyReport: {
    who: 'morgan',
    prepare: async ({ t }) => {
      await signIn(t);
      const content = { kind: 'policy.activate', patch: POLICY_PATCH, reason: 'the matrix' };
      const { body } = await t.call('morgan', 'POST', '/v1/requests', content);
      if (body.bases === undefined) throw new Error(`no request: ${JSON.stringify(body)}`);
      const base = body.bases.find(({ of }: { of: string }) => of.startsWith('report:'));
      return { params: { digest: base.of.slice('report:'.length) } };
    },
  },
  proposeRequest: change(async (bench) => {
    const flag = await newFlag(bench);
    return { body: proposal([{ action: 'enable', flag }]) };
  }),
  listRequests: plain('dana'),
  followEvents: plain('alex'),
  listInbox: plain('alex'),
  countInbox: plain('alex'),
  getRequest: change(async (bench) => ({ params: { id: (await pending(bench)).id } })),
  editRequest: change(async (bench) => {
    const { id } = await pending(bench);
    return { params: { id }, body: { reason: 'another' }, headers: anyTag };
  }),
  approveRequest: change(async (bench) => {
    const { id, digest } = await pending(bench);
    return { params: { id }, body: { digest } };
  }, 'alex'),
  rejectRequest: change(async (bench) => {
    const { id, digest } = await pending(bench);
    return { params: { id }, body: { digest } };
  }, 'alex'),
  previewRequest: change(async (bench) => ({
    params: { id: (await pending(bench)).id },
    body: { contexts: [{ organization: 'acme' }] },
  })),
  previewProposal: change(async (bench) => {
    const flag = await newFlag(bench);
    return { body: { content: proposal([{ action: 'enable', flag }]), contexts: [{}] } };
  }),
  listOrganizations: plain('dana', { query: { environment: 'production' } }),
  listOrganizationFlags: plain('dana', {
    params: { organization: 'acme' },
    query: { environment: 'production' },
  }),
  listOrganizationChanges: plain('dana', {
    params: { organization: 'acme' },
    query: { environment: 'production' },
  }),
  listComments: change(async (bench) => ({ params: { id: (await pending(bench)).id } })),
  commentOnRequest: change(async (bench) => ({
    params: { id: (await pending(bench)).id },
    body: { text: 'the matrix' },
  })),
  requestChanges: change(async (bench) => {
    const { id, digest } = await pending(bench);
    return { params: { id }, body: { digest, text: 'the matrix' } };
  }, 'alex'),
  withdrawComment: change(async (bench) => {
    const { id } = await pending(bench);
    const { body } = await bench.t.call('dana', 'POST', `/v1/requests/${id}/comments`, {
      text: 'the matrix',
    });
    return { params: { id, comment: body.id } };
  }),
  withdrawRequest: change(async (bench) => ({ params: { id: (await pending(bench)).id } })),
  applyRequest: change(async (bench) => ({ params: { id: await ready(bench) } })),
  scheduleRequest: change(async (bench) => {
    const { id } = await pending(bench);
    return { params: { id }, body: { at: bench.t.clock() + 3_600_000 }, headers: anyTag };
  }),
  rebaseRequest: change(async (bench) => {
    const { id } = await pending(bench);
    return { params: { id }, headers: anyTag };
  }),
  listEnvironments: plain('dana'),
  listFlags: plain('dana', { query: { environment: 'production' } }),
  getFlag: change(async (bench) => ({ params: { key: await newFlag(bench) } })),
  listFlagVersions: change(async (bench) => ({
    params: { key: await newFlag(bench) },
    query: { environment: 'production' },
  })),
  evaluateFlags: plain('data', { body: { context: { targetingKey: 'user-1' } } }),
  evaluateFlag: change(async (bench) => ({
    params: { key: await newFlag(bench) },
    body: { context: { targetingKey: 'user-1' } },
  })),
  followFlags: plain('data'),
  syncFlagd: plain('data', { params: { environment: 'production' } }),
  getLatestSnapshot: change(async (bench) => {
    await publishedBody(bench);
    return { params: { environment: 'production' } };
  }, 'data'),
  reportReads: change(
    async ({ t }) => ({
      params: { environment: 'production' },
      body: {
        id: randomUUID(),
        relay: 'surface',
        version: 1,
        digest: `sha256:${'0'.repeat(64)}`,
        served_ms: t.clock(),
        reads: [],
      },
    }),
    'data',
  ),
  listRelays: plain('dana'),
  getSnapshotReaders: plain('data', { params: { environment: 'production' } }),
  streamSnapshots: plain('data', { params: { environment: 'production' } }),
  getSnapshot: change(
    async (bench) => ({
      params: { environment: 'production', snapshot: await publishedBody(bench) },
    }),
    'data',
  ),
  engageFreeze: plain('riley', {
    body: { scope: 'flag', flag: 'surface.none', yet_unknown: true, incident: 'INC-7', reason: 'the matrix' },
  }),
  listFreezes: plain('dana'),
  openBreakGlass: change(async (bench) => {
    await closeBreakGlass(bench);
    return { body: { incident: 'INC-7', reason: 'the matrix' } };
  }, 'riley+mfa'),
  listBreakGlass: plain('dana'),
  applyInBreakGlass: change(async (bench) => {
    const { t } = bench;
    const flag = await newFlag(bench);
    await propose(t, [{ action: 'enable', flag }]);
    const id = await openBreakGlass(bench);
    return {
      params: { id },
      body: { environment: 'production', changes: [{ action: 'disable', flag }] },
    };
  }, 'riley+mfa'),
  closeBreakGlass: change(async (bench) => ({ params: { id: await openBreakGlass(bench) } }), 'riley'),
  addRevocation: change(async ({ t }) => ({ body: revocation(t.people.issuer) }), 'riley'),
  listRevocations: plain('riley'),
  getRevocation: change(async ({ t }) => {
    const { body } = await t.call('riley', 'POST', '/v1/revocations', revocation(t.people.issuer));
    return { params: { id: body.id } };
  }, 'riley'),
  drillRevocation: plain('riley'),
  listDecisions: plain('avery'),
  getDecision: change(async (bench) => ({ params: { id: await someDecision(bench) } }), 'avery'),
  replayDecision: change(async (bench) => ({ params: { id: await someDecision(bench) } }), 'avery'),
  getCheckpoint: plain('avery'),
  getLog: plain('avery'),
  getTile: plain('avery', { params: { level: 'entries', tile: '000.p/1' } }),
  proveInclusion: change(async (bench) => ({ params: { record: await someDecision(bench) } }), 'avery'),
  previewErasure: plain('avery', { body: { person: 'emp-1006' } }),
  proveConsistency: plain('avery', { query: { from: '1' } }),
  replayDecisions: plain('avery', { body: { limit: 3 } }),
  listInputs: plain('avery', { query: { limit: '3' } }),
  listEvaluations: plain('avery'),
  getSummary: plain('avery'),
  explainPolicy: {
    who: 'avery',
    prepare: async (bench) => ({ body: { decision: await someDecision(bench) } }),
  },
  getAccess: plain('avery'),
  whoami: plain('dana'),
  listSessions: plain('dana'),
  endSession: { ...change(anotherSession), bySession: true },
  delegate: plain('dana', { body: { agent: 'release-agent' } }),
  listKeys: plain('morgan'),
  rotateKey: plain('morgan'),
  rotateLogKey: {
    who: 'morgan',
    prepare: async ({ t }) => {
      // The first checkpoint creates the key that is replaced.
      await t.call(null, 'GET', '/v1/log');
      return { body: { overlap_days: 30 } };
    },
  },
  testTrust: change(async ({ t }) => ({ body: { token: await t.ci.token() } }), 'morgan'),
  exchangeToken: {
    who: 'dana',
    prepare: async ({ t }) => exchangeForm(await t.ci.token()),
    attempt: async ({ t }, attempt) => {
      switch (attempt) {
        case 'no_token':
          return form({ grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange' });
        case 'garbage':
          return exchangeForm('not.a.token');
        case 'no_role':
          return exchangeForm(await t.ci.token({ repository: 'acme/other', repository_id: '1' }));
        case 'wrong_audience':
          return exchangeForm(await t.ci.token({ aud: 'somebody-else' }));
        default:
          return null;
      }
    },
  },
  introspectToken: change(async ({ t }) => form({ token: await t.workloadToken() }), 'avery'),
  revokeToken: {
    who: 'dana',
    prepare: async ({ t }) => form({ token: await t.workloadToken() }),
    attempt: async (bench, attempt) => {
      switch (attempt) {
        case 'no_token':
          return form({});
        case 'garbage':
          return form({ token: 'not.a.token' });
        case 'no_role':
          return form({ token: await bench.strangerToken() });
        case 'wrong_audience':
          return form({ token: await bench.foreignToken('dana') });
        case 'no_proof':
          return form({ token: await bench.boundToken() });
        default:
          return null;
      }
    },
  },
  getAuthorizationServer: plain('dana'),
  getProtectedResource: plain('dana'),
  getJwks: plain('dana'),
  getDiscovery: plain('dana'),
  startSignIn: plain('dana', { query: { issuer: 'web' } }),
  completeSignIn: {
    who: 'dana',
    prepare: async (bench) => {
      const { t, b } = bench;
      t.clock.set(Math.max(t.clock(), Date.now()));
      const { browser, url } = await b.signInUntilAnswer('dana', { query: { issuer: 'web' } });
      return { query: Object.fromEntries(url.searchParams), headers: { cookie: cookieOf(browser) } };
    },
    attempt: async (_bench, attempt, prepared) => withoutCookie(attempt, prepared),
  },
  completeSignInAt: {
    who: 'dana',
    prepare: async (bench) => {
      const { query, cookie } = await bench.returnFromOther();
      return { params: { issuer: 'hostile' }, query, headers: { cookie } };
    },
    attempt: async (_bench, attempt, prepared) => withoutCookie(attempt, prepared),
  },
  showAccount: {
    who: 'dana',
    prepare: async (bench) => ({ headers: { cookie: (await bench.session('dana')).cookie } }),
    attempt: async (_bench, attempt, prepared) => withoutCookie(attempt, prepared),
  },
  endSessionOnPage: change(anotherSession),
  signOut: {
    who: 'dana',
    prepare: async (bench) => ({
      headers: { cookie: (await bench.session('dana')).cookie, origin: bench.t.url },
    }),
    attempt: async (_bench, attempt, prepared) => withoutCookie(attempt, prepared),
  },
  showHome: plain('dana'),
  showSignedOut: plain('dana'),
  getPageStyle: plain('dana'),
  backchannelLogout: {
    who: 'dana',
    prepare: async (bench) => form({ logout_token: bench.logoutToken() }),
    attempt: async (bench, attempt) => {
      switch (attempt) {
        case 'no_token':
          return form({});
        case 'garbage':
          return form({ logout_token: 'not.a.token' });
        case 'wrong_audience':
          return form({ logout_token: bench.logoutToken({ aud: 'another-client' }) });
        default:
          return null;
      }
    },
  },
  getScimConfig: plain('morgan'),
  listScimUsers: plain('morgan'),
  createScimUser: change(async () => ({ body: scimUser(`emp-${randomUUID()}`) }), 'morgan'),
  getScimUser: change(async (bench) => ({ params: await newScimUser(bench) }), 'morgan'),
  changeScimUser: change(async (bench) => ({ params: await newScimUser(bench), body: scimPatch }), 'morgan'),
  replaceScimUser: change(async (bench) => {
    const { id } = await newScimUser(bench);
    return { params: { id }, body: { ...scimUser(id), active: false } };
  }, 'morgan'),
  deleteScimUser: change(async (bench) => ({ params: await newScimUser(bench) }), 'morgan'),
  getHealth: plain('dana'),
  getReadiness: plain('dana'),
  getMetrics: plain('dana'),
  getOpenApi: plain('dana'),
};
