import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildkiteJob } from '../../fixtures/identity/platforms/buildkite.ts';
import { githubJob } from '../../fixtures/identity/platforms/github.ts';
import { gitlabJob } from '../../fixtures/identity/platforms/gitlab.ts';
import type { Principal } from '../../src/principal.ts';
import { carriedClaims } from '../../src/tokens/carried-claims.ts';
import type { TrustRule } from '../../src/trust/rules.ts';
import { describeSource, sourceOf } from '../../src/trust/source.ts';
import { signIn, withConfig } from '../support/activation.ts';
import { exchange, type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve } from '../support/flags.ts';
import { forgeSources } from '../support/sqlite/evidence.ts';
import { readDetails } from '../support/sqlite/log.ts';

const POLICY_JOB = { repository: 'acme/policy', repository_id: '456792', actor_id: '5007' };

let t: TestBroker;
let shipped: Buffer;

beforeAll(async () => {
  t = await startTestBroker();
  shipped = await readFile(join(t.folder, 'bundle.tar.gz'));
  await signIn(t);
});

afterAll(() => t.close());

const sourceOfRun = (run: string, sha = '7fd1a60b01f91b314f59955a4e4d4e80d8edf11d') => ({
  issuer: t.ci.issuer,
  repository: 'acme/policy',
  repository_id: '456792',
  commit: sha,
  ref: 'refs/heads/main',
  run,
});

async function jobToken(claims: Record<string, unknown>): Promise<string> {
  const { body } = await exchange(t.url, await t.ci.token({ ...POLICY_JOB, ...claims }));
  expect(body.access_token, JSON.stringify(body)).toBeDefined();
  return body.access_token;
}

/** @param token of a job, or the name of a person */
async function upload(token: string, archive: Buffer): Promise<Reply['body']> {
  const response = await fetch(`${t.url}/v1/policy/bundles`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${/^\w+$/.test(token) ? await t.people.idToken(token) : token}`,
      'content-type': 'application/gzip',
    },
    body: new Uint8Array(archive),
  });
  const body = await response.json();
  expect(response.status, JSON.stringify(body)).toBe(201);
  return body;
}

const bundleWith = (seconds: number) =>
  withConfig(shipped, ({ limits = {} }) => {
    limits.request_ttl_s = seconds;
  });

const propose = (who: string, content: object) =>
  t.call(who, 'POST', '/v1/requests', { kind: 'policy.activate', reason: 'a test', ...content });

/** What policy was given about a request, in the newest decision of an operation. */
function givenObject(request: string): unknown {
  const inputs = readDetails(t.file).flatMap(({ input }) => (input === null ? [] : [JSON.parse(input)]));
  return inputs.findLast((input) => input.request?.id === request)?.request.object;
}

/** Without the report of the checks. */
const bases = (body: Reply['body']): string[] =>
  body.bases.map(({ of }: { of: string }) => of).filter((of: string) => !of.startsWith('report:'));

describe('the source of a policy', () => {
  it('that a job uploads and proposes is in the request, its digest, its sentence and its input', async () => {
    const token = await jobToken({ run_id: '1001' });
    const uploaded = await upload(token, await bundleWith(1000));
    expect(uploaded.source).toEqual(sourceOfRun('1001'));
    const { body } = await propose(token, { policy_hash: uploaded.policy_hash });
    expect(body.object).toMatchObject({ source: sourceOfRun('1001'), bundle_source: sourceOfRun('1001') });
    expect(body.summary).toContain(
      'uploaded and proposed by acme/policy at 7fd1a60b01f9 (refs/heads/main, run 1001)',
    );
    expect(bases(body).map((of) => of.split(':')[0])).toEqual([
      'policy',
      'bundle',
      'source',
      'bundle_source',
    ]);
    expect(givenObject(body.id)).toMatchObject({ source: sourceOfRun('1001') });

    await approve(t, 'jordan', body);
    expect((await approve(t, 'sam', body)).body).toMatchObject({ state: 'applied' });
    expect(givenObject(body.id)).toMatchObject({ source: sourceOfRun('1001') });
  });

  it('is another one for another commit: the same bundle and another digest', async () => {
    const archive = await bundleWith(2000);
    const [one, two] = await Promise.all([
      jobToken({ run_id: '2001' }),
      jobToken({ run_id: '2001', sha: 'b'.repeat(40) }),
    ]);
    const { policy_hash } = await upload(one, archive);
    const [first, second] = [await propose(one, { policy_hash }), await propose(two, { policy_hash })];
    expect(first.body.object.archive_digest).toBe(second.body.object.archive_digest);
    expect(second.body.object.source).toEqual(sourceOfRun('2001', 'b'.repeat(40)));
    const [its, others] = [first, second].map(({ body }) => bases(body).filter((of) => /^source:/.test(of)));
    expect(its).toHaveLength(1);
    expect(its).not.toEqual(others);
  });

  it('is remembered with the bundle, for a person who proposes what a job uploaded', async () => {
    const uploaded = await upload(await jobToken({ run_id: '3001' }), await bundleWith(3000));
    const { body } = await propose('morgan', { policy_hash: uploaded.policy_hash });
    expect(body.object.bundle_source).toEqual(sourceOfRun('3001'));
    expect(body.object).not.toHaveProperty('source');
    expect(body.summary).toContain(', uploaded by acme/policy at 7fd1a60b01f9');
    expect(body.summary).not.toContain('proposed by');
  });

  it('is that of the job that uploaded it first, whoever sends the same bytes later', async () => {
    const archive = await bundleWith(4000);
    expect((await upload('morgan', archive)).source).toBeNull();
    const job = await upload(await jobToken({ run_id: '4001' }), archive);
    expect(job.source).toEqual(sourceOfRun('4001'));
    expect((await upload(await jobToken({ run_id: '4002' }), archive)).source).toEqual(sourceOfRun('4001'));
    expect((await upload('morgan', archive)).source).toEqual(sourceOfRun('4001'));
    for (const { attempt, refusal } of forgeSources(t.file).filter(({ attempt }) => !/^insert/.test(attempt)))
      expect(refusal, attempt).toMatch(/append-only/);
    const { items } = (await t.call('avery', 'GET', '/v1/policy/bundles')).body;
    const listed = items.find(({ policy_hash }: Reply['body']) => policy_hash === job.policy_hash);
    expect(listed).toEqual(job);
  });

  it('is absent for what a person uploads and proposes, and nobody can claim one', async () => {
    const { policy_hash } = await upload('morgan', await bundleWith(5000));
    const { body } = await propose('morgan', { policy_hash });
    expect(Object.keys(body.object)).not.toEqual(expect.arrayContaining(['source']));
    expect(bases(body)).toEqual(['policy:active', `bundle:${body.object.archive_digest}`]);
    for (const member of ['source', 'bundle_source']) {
      const claimed = await propose('morgan', { policy_hash, [member]: sourceOfRun('1') });
      expect([claimed.status, claimed.body.code]).toEqual([400, 'invalid_request']);
    }
  });

  it('that is uploaded after the proposal is not what was approved', async () => {
    const archive = await bundleWith(6000);
    const { policy_hash } = await upload('morgan', archive);
    const { body } = await propose('morgan', { policy_hash });
    await approve(t, 'jordan', body);
    await upload(await jobToken({ run_id: '6001' }), archive);
    expect((await approve(t, 'sam', body)).body.state).toBe('conflicted');
  });

  it('is of the job that proposes a row of data, and survives a restart', async () => {
    const token = await jobToken({ run_id: '7001' });
    const patch = [{ op: 'replace', path: '/config/limits/request_ttl_s', value: 7000 }];
    const { body } = await propose(token, { patch });
    expect(body.object.source).toEqual(sourceOfRun('7001'));
    expect(body.object).not.toHaveProperty('bundle_source');
    await approve(t, 'jordan', body);
    await t.restart();
    expect((await approve(t, 'sam', body)).body).toMatchObject({
      state: 'applied',
      object: { source: sourceOfRun('7001') },
    });
  });
});

describe('the claims of a source', () => {
  const at = { issuer: 'https://ci.example', nowS: 1_795_000_000 };
  const rule = { claims: {} } as unknown as TrustRule;
  const principalWith = (claims: Principal['claims'], kind: Principal['kind'] = 'workload') =>
    ({ kind, issuer: at.issuer, claims }) as Principal;

  it.each([
    ['GitHub', githubJob, ['acme/payments', '456789', '7fd1a60b01f9', 'refs/heads/main', '987654321']],
    ['GitLab', gitlabJob, ['acme/payments', '22', '714a629c0b40', 'main', '574']],
    [
      'Buildkite',
      buildkiteJob,
      ['payments', '0184990a-477b-4fa8-9968-496074483c02', '9f3182061f1e', 'main', '7'],
    ],
  ] as const)('are those of a job of %s', (_platform, job, [repository, id, commit, ref, run]) => {
    const source = sourceOf(principalWith(carriedClaims(rule, job(at))));
    expect(source).toMatchObject({ issuer: at.issuer, repository, repository_id: id, ref, run });
    expect(source?.commit).toMatch(new RegExp(`^${commit}[0-9a-f]{28}$`));
    expect(source && describeSource(source)).toBe(`${repository} at ${commit} (${ref}, run ${run})`);
  });

  it('are not taken from a person or an agent, whose claims an identity provider sets', () => {
    const claims = carriedClaims(rule, githubJob(at));
    expect(sourceOf(principalWith(claims, 'person'))).toBeNull();
    expect(sourceOf(principalWith(claims, 'agent'))).toBeNull();
    expect(sourceOf(principalWith({ sub: 'system:serviceaccount:shop:web' }))).toBeNull();
  });

  it('that are missing are null, and what is no text is not one', () => {
    const source = sourceOf(principalWith({ repository: 'acme/x', sha: ['a'], run_id: 7 }));
    expect(source).toEqual({
      issuer: at.issuer,
      repository: 'acme/x',
      repository_id: null,
      commit: null,
      ref: null,
      run: null,
    });
    expect(source && describeSource(source)).toBe('acme/x');
  });
});

describe('runs of a pipeline', () => {
  it('hold up no proposal and no activation, however many there are meanwhile', async () => {
    let isOver = false;
    const pipeline = (async () => {
      for (let run = 9000; !isOver; run += 1) {
        const token = await jobToken({ run_id: String(run) });
        await fetch(`${t.url}/v1/whoami`, { headers: { authorization: `Bearer ${token}` } });
        // Who was seen is stored each second.
        await t.broker.scheduler.tick();
        t.clock.advance(1);
      }
    })();
    const patch = [{ op: 'replace', path: '/config/tiers/high-risk/production/raise/ticket', value: false }];
    const { status, body } = await propose('morgan', { patch });
    await approve(t, 'jordan', body);
    const last = (await approve(t, 'sam', body)).body;
    isOver = true;
    await pipeline;
    expect([status, last.state], JSON.stringify([body, last])).toEqual([201, 'applied']);
  });
});
