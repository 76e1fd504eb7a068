import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCredentials } from '../../src/cli/auth/credentials.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag } from '../support/flags.ts';
import { createTerminal } from './support.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'tokens');
});
afterAll(() => t.close());

const flags = ['flags', '--environment', 'staging', '--json'] as const;

function githubEnv(): NodeJS.ProcessEnv {
  return {
    GITHUB_ACTIONS: 'true',
    ACTIONS_ID_TOKEN_REQUEST_URL: t.ci.actions.requestUrl,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: t.ci.actions.requestToken,
  };
}

/** The documented claims of a GitLab ID token that a trust rule looks at. */
const GITLAB = {
  sub: 'project_path:acme/payments:ref_type:branch:ref:main',
  project_id: '22',
  project_path: 'acme/payments',
  ref: 'main',
  ref_protected: 'true',
  pipeline_source: 'push',
  user_id: '42',
};
const NOT_GITHUB = { repository_id: undefined, repository_owner_id: undefined, actor_id: undefined };

/** The rule of the deploying job, as it reads for a project on GitLab. */
function withGitLabRule(data: unknown): unknown {
  const edited = structuredClone(data) as {
    config: {
      trust_rules: { 'payments-deploy': { claims: object; person: object } };
      persons: Record<string, string>;
    };
  };
  const rule = edited.config.trust_rules['payments-deploy'];
  rule.claims = { project_id: '22', ref: 'main', ref_protected: 'true' };
  rule.person = { claim: 'user_id', prefix: 'gitlab:' };
  edited.config.persons['gitlab:42'] = 'emp-1001';
  return edited;
}

describe('the token of a command', () => {
  it('comes from GitHub Actions by itself, and stands for the job', async () => {
    const job = createTerminal(t, { env: githubEnv() });
    const words = ['propose', '--environment', 'production', '--reason', 'deploy', '--enable', 'tokens'];
    const run = await job.run(...words, '--json');
    expect(run.code).toBe(3);
    expect(run.json.proposer).toMatchObject({ kind: 'workload' });
    expect(run.json.proposer.id).toMatch(/^workload:payments-deploy:/);
  });

  it('is asked for with the audience of COUNTERSIGN_AUDIENCE', async () => {
    const job = createTerminal(t, { env: { ...githubEnv(), COUNTERSIGN_AUDIENCE: 'somebody-else' } });
    const run = await job.run(...flags);
    expect([run.code, run.json.code]).toEqual([7, 'token_exchange_refused']);
  });

  it('is a new one when the former expires while a command waits', async () => {
    let sleeps = 0;
    const job = createTerminal(t, {
      env: githubEnv(),
      sleep: async (ms) => {
        sleeps += 1;
        // Longer than an issued token lives.
        t.clock.advance(sleeps === 1 ? 11 * 60_000 : ms);
      },
    });
    const words = ['propose', '--environment', 'production', '--reason', 'deploy', '--enable', 'tokens'];
    const run = await job.run(...words, '--wait', '--timeout', '12m', '--json');
    expect([run.code, run.json.state]).toEqual([3, 'pending']);
    expect(sleeps).toBeGreaterThan(2);
  });

  it('may end while a command waits for its request, which then is applied', async () => {
    await createFlag(t, 'awaited');
    let minutes = 0;
    const job = createTerminal(t, {
      env: { COUNTERSIGN_SUBJECT_TOKEN: await t.ci.token() },
      sleep: async () => {
        t.clock.advance(4 * 60_000);
        minutes += 4;
        if (minutes !== 20) return;
        const { body } = await t.call('alex', 'GET', '/v1/requests?state=open&flag=awaited');
        const [{ id, digest }] = body.items;
        expect((await t.call('alex', 'POST', `/v1/requests/${id}/approve`, { digest })).status).toBe(200);
      },
    });
    const words = ['propose', '--environment', 'production', '--reason', 'deploy', '--enable', 'awaited'];
    const run = await job.run(...words, '--wait', '--timeout', '30m', '--json');
    expect([run.code, run.json.state, minutes]).toEqual([0, 'applied', 20]);
    expect(run.err).not.toContain('sooner than its timeout');
  });

  it('that follows a request ends after an hour, which a command that would wait longer says when it starts', async () => {
    const job = createTerminal(t, {
      env: { COUNTERSIGN_SUBJECT_TOKEN: await t.ci.token() },
      sleep: async () => t.clock.advance(20 * 60_000),
    });
    const words = ['propose', '--environment', 'production', '--reason', 'deploy', '--enable', 'tokens'];
    const run = await job.run(...words, '--wait', '--timeout', '2h', '--json');
    expect([run.code, run.json.state]).toEqual([3, 'pending']);
    expect(run.err).toMatch(/^This command can follow the request until .* UTC only, which is sooner/);
    expect(run.err).toContain(`countersign show ${run.json.id}`);
  });

  it('that ends while a command waits, where nothing follows the request, leaves the request as it was', async () => {
    const refusing: typeof fetch = async (input, init) => {
      const request = new Request(input, init);
      const follows =
        request.url.endsWith('/oauth/token') && (await request.clone().text()).includes('resource=');
      return follows ? Response.json({ error: 'invalid_target' }, { status: 400 }) : fetch(request);
    };
    const job = createTerminal(t, {
      env: { COUNTERSIGN_SUBJECT_TOKEN: await t.ci.token() },
      fetch: refusing,
      sleep: async () => t.clock.advance(4 * 60_000),
    });
    const words = ['propose', '--environment', 'production', '--reason', 'deploy', '--enable', 'tokens'];
    const run = await job.run(...words, '--wait', '--timeout', '30m', '--json');
    expect([run.code, run.json.state]).toEqual([3, 'pending']);
    expect(run.err).toContain(`countersign show ${run.json.id}`);
    expect(run.err).toContain('token has expired');
    expect(run.err).toContain('sooner than its timeout');

    // And the next command of the job says what is wrong.
    const next = await job.run(...flags);
    expect([next.code, next.json.code]).toEqual([1, 'platform_token_used']);
    expect(next.json.detail).toContain('id_tokens');
  });

  it('that a policy denies while a command waits still exits with 4', async () => {
    let polls = 0;
    const denying: typeof fetch = async (input, init) => {
      const request = new Request(input, init);
      if (request.method !== 'GET' || !request.url.includes('/v1/requests/')) return fetch(request);
      polls += 1;
      return Response.json({ code: 'policy_denied', title: 'Denied', detail: 'No role.' }, { status: 403 });
    };
    const job = createTerminal(t, { env: githubEnv(), fetch: denying, sleep: async () => undefined });
    const words = ['propose', '--environment', 'production', '--reason', 'deploy', '--enable', 'tokens'];
    expect((await job.run(...words, '--wait', '--json')).code).toBe(4);
    expect(polls).toBe(1);
  });

  it('is exchanged once for several commands of a job, as a platform token works only once', async () => {
    const job = createTerminal(t, { env: { COUNTERSIGN_SUBJECT_TOKEN: await t.ci.token() } });
    expect((await job.run(...flags)).code).toBe(0);
    expect((await job.run(...flags)).code).toBe(0);
    const elsewhere = createTerminal(t, { env: { COUNTERSIGN_SUBJECT_TOKEN: await t.ci.token() } });
    expect((await elsewhere.run(...flags)).code).toBe(0);
  });

  it("is exchanged from COUNTERSIGN_SUBJECT_TOKEN, the variable that GitLab's id_tokens set", async () => {
    const own = await startTestBroker({ editData: withGitLabRule });
    try {
      const subject = await own.ci.token({ ...NOT_GITHUB, ...GITLAB });
      const sent: { url: string; authorization: string | null }[] = [];
      const job = createTerminal(own, {
        env: { GITLAB_CI: 'true', COUNTERSIGN_SUBJECT_TOKEN: subject },
        fetch: async (input, init) => {
          const request = new Request(input, init);
          sent.push({ url: request.url, authorization: request.headers.get('authorization') });
          return fetch(request);
        },
      });
      await createFlag(own, 'from-gitlab');
      const words = ['propose', '--environment', 'production', '--reason', 'x', '--enable', 'from-gitlab'];
      const run = await job.run(...words, '--json');
      expect([run.code, run.json.proposer?.person]).toEqual([3, 'gitlab:42']);
      expect(run.json.proposer.id).toMatch(/^workload:payments-deploy:project_path:acme\/payments:/);
      const paths = sent.map(({ url }) => new URL(url).pathname);
      expect(paths).toEqual(['/.well-known/oauth-authorization-server', '/oauth/token', '/v1/requests']);
      expect(sent[2]?.authorization).toMatch(/^DPoP /);
      expect(sent[2]?.authorization).not.toContain(subject);
    } finally {
      await own.close();
    }
  });

  it('serves a job whose home cannot be written', async () => {
    const file = join(t.folder, 'a-file');
    await writeFile(file, '');
    const job = createTerminal(t, { env: githubEnv(), home: join(file, 'home') });
    expect((await job.run(...flags)).code).toBe(0);
  });

  it('is exchanged again when the kept one has expired', async () => {
    const file = join(t.folder, 'projected-token');
    await writeFile(file, `${await t.ci.token()}\n`);
    const job = createTerminal(t, { env: { COUNTERSIGN_SUBJECT_TOKEN_FILE: file } });
    expect((await job.run(...flags)).code).toBe(0);
    t.clock.advance(11 * 60_000);
    await writeFile(file, await t.ci.token());
    expect((await job.run(...flags)).code).toBe(0);
  });

  it('says what is wrong with a file or a platform that gives none', async () => {
    const noFile = createTerminal(t, { env: { COUNTERSIGN_SUBJECT_TOKEN_FILE: '/does/not/exist' } });
    expect(await noFile.run(...flags)).toMatchObject({ code: 1, json: { code: 'platform_token_missing' } });
    const env = { ...githubEnv(), ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'another-job' };
    const refused = await createTerminal(t, { env }).run(...flags);
    expect(refused).toMatchObject({ code: 1, json: { code: 'platform_token_missing' } });
    expect(refused.json.detail).toContain('401');
  });

  it('is COUNTERSIGN_TOKEN before anything else', async () => {
    const token = await t.people.idToken('dana');
    const job = createTerminal(t, { env: { ...githubEnv(), COUNTERSIGN_TOKEN: token } });
    const words = ['propose', '--environment', 'production', '--reason', 'x', '--enable', 'tokens', '--json'];
    expect((await job.run(...words)).json.proposer.id).toBe('person:demo:dana');
  });

  it('that is missing, expired or refused exits with 4 and says how to get one', async () => {
    const none = await createTerminal(t).run(...flags);
    expect([none.code, none.json.code]).toEqual([7, 'not_signed_in']);
    const inActions = await createTerminal(t, { env: { GITHUB_ACTIONS: 'true' } }).run('list');
    expect(inActions.err).toContain('id-token: write');

    const former = createTerminal(t);
    const sign_in = { issuer: 'demo', id_token: 'x', expires_ms: t.clock() - 1, flow: 'browser' } as const;
    await createCredentials({ env: {}, home: former.home }).update(t.url, () => ({ sign_in }));
    expect(await former.run(...flags)).toMatchObject({ code: 7, json: { code: 'sign_in_expired' } });

    const bad = await createTerminal(t, { env: { COUNTERSIGN_TOKEN: 'not-a-token' } }).run(...flags);
    expect([bad.code, bad.json.code]).toEqual([7, 'token_invalid']);
  });

  it('never shows in what is printed', async () => {
    const subject = await t.ci.token({ repository_id: 'another' });
    const run = await createTerminal(t, { env: { COUNTERSIGN_SUBJECT_TOKEN: subject } }).run(...flags);
    expect(run.code).toBe(7);
    expect(`${run.out}${run.err}`).not.toContain(subject.slice(0, 20));
  });

  it('does not follow a redirect to another address', async () => {
    const seen: string[] = [];
    const job = createTerminal(t, {
      env: { COUNTERSIGN_TOKEN: await t.people.idToken('dana') },
      fetch: async (input, init) => {
        seen.push(String(init?.redirect));
        return fetch(input, init);
      },
    });
    await job.run(...flags);
    expect(seen).toEqual(['error']);
  });
});

describe('a freeze that holds', () => {
  it('is told with every answer, apart from the document', async () => {
    const terminal = createTerminal(t);
    await applyChanges(t, [{ action: 'enable', flag: 'tokens' }]);
    const frozen = await terminal.as(
      'riley',
      'freeze',
      '--flag',
      'tokens',
      '--incident',
      'INC-1',
      '--reason',
      'x',
    );
    expect(frozen.code).toBe(0);
    const run = await terminal.as('dana', ...flags);
    expect(run.err).toContain('Freeze: a flag is frozen because of INC-1. See countersign freeze --list');
    expect(run.json.items.length).toBeGreaterThan(0);
  });
});
