import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signIn, withConfig } from '../support/activation.ts';
import { exchange, startTestBroker, type TestBroker } from '../support/broker.ts';
import { approve } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

/* A pipeline proposes a policy with its own token, and can do nothing else with it. */

const POLICY_JOB = { repository: 'acme/policy', repository_id: '456792', actor_id: '5007' };

let t: TestBroker;
let job: Terminal;
let file: string;

beforeAll(async () => {
  t = await startTestBroker();
  job = jobIn('policy');
  await signIn(t);
  file = await bundleWith(1000);
});
afterAll(() => t.close());

/** A command line in a job of GitHub Actions. */
function jobIn(name: 'policy' | 'payments'): Terminal {
  const { requestUrl, requestToken } = t.ci.actions;
  return createTerminal(t, {
    env: {
      GITHUB_ACTIONS: 'true',
      ACTIONS_ID_TOKEN_REQUEST_URL: name === 'policy' ? `${requestUrl}&job=policy` : requestUrl,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken,
    },
  });
}

/** A token of the policy's job, for everything that its rule grants. */
async function jobToken(claims: Record<string, unknown> = {}): Promise<string> {
  const { body } = await exchange(t.url, await t.ci.token({ ...POLICY_JOB, ...claims }));
  if (body.access_token === undefined) throw new Error(JSON.stringify(body));
  return body.access_token;
}

describe('a pipeline', () => {
  it('proposes a policy, which two others approve, and whoever started the job cannot', async () => {
    const run = await job.run('policy', 'propose', file, '--reason', 'shorter requests', '--json');
    expect([run.code, run.json.state], run.err).toEqual([3, 'pending']);
    expect(run.json.proposer).toMatchObject({ kind: 'workload', person: 'github:5007' });
    expect(run.json.object.id).toMatch(/^sha256:/);
    // By the verified claims of the job's token, never by its word.
    const source = { repository: 'acme/policy', commit: '7fd1a60b01f91b314f59955a4e4d4e80d8edf11d' };
    expect(run.json.object).toMatchObject({ source, bundle_source: source });
    expect(run.json.summary).toContain('uploaded and proposed by acme/policy at 7fd1a60b01f9');

    expect((await approve(t, 'morgan', run.json)).body).toMatchObject({
      code: 'policy_denied',
      reasons: expect.arrayContaining([expect.objectContaining({ code: 'self_approval' })]),
    });
    expect((await approve(t, 'jordan', run.json)).body.state).toBe('pending');
    expect((await approve(t, 'sam', run.json)).body.state).toBe('applied');
    const [active] = (await t.call('avery', 'GET', '/v1/policy/activations')).body.items;
    expect(active).toMatchObject({ policy_hash: run.json.object.id, request_id: run.json.id });
  });

  it('waits for the people with --wait, and ends with what became of its request', async () => {
    const other = await bundleWith(2000);
    const waiting = job.run('policy', 'propose', other, '--reason', 'longer', '--wait', '--json');
    const id = await expect
      .poll(() => findPending(), { timeout: 20_000 })
      .toBeDefined()
      .then(findPending);
    const request = (await t.call('jordan', 'GET', `/v1/requests/${id}`)).body;
    await t.call('sam', 'POST', `/v1/requests/${id}/reject`, { digest: request.digest, comment: 'no' });
    expect((await waiting).code).toBe(4);
  });

  it('never approves, neither its own request nor another one', async () => {
    const run = await job.run('policy', 'propose', await bundleWith(3000), '--reason', 'x', '--json');
    expect(run.code, run.out).toBe(3);
    for (const token of [await jobToken(), await jobToken({ actor_id: '5003' })]) {
      for (const verb of ['approve', 'reject']) {
        const answer = await t.call(token, 'POST', `/v1/requests/${run.json.id}/${verb}`, {
          digest: run.json.digest,
        });
        expect([answer.status, answer.body.code]).toEqual([403, 'policy_denied']);
      }
      const applied = await t.call(token, 'POST', `/v1/requests/${run.json.id}/apply`, {});
      expect(applied.body.code).toBe('policy_denied');
    }
    const approving = await exchange(t.url, await t.ci.token(POLICY_JOB), { scope: 'request.approve' });
    expect(approving.body.error).toBe('invalid_scope');
    await t.call('jordan', 'POST', `/v1/requests/${run.json.id}/reject`, { digest: run.json.digest });
  });

  it.each([
    ['another repository', { repository_id: '456799' }],
    ['a branch', { ref: 'refs/heads/feature' }],
    ['a pull request', { event_name: 'pull_request' }],
    ['a second attempt', { run_attempt: '2' }],
    ['another owner', { repository_owner_id: '999999' }],
  ])('of %s gets no token', async (_what, claims) => {
    const { status } = await exchange(t.url, await t.ci.token({ ...POLICY_JOB, ...claims }));
    expect(status).toBe(400);
  });

  it('whose human the policy does not know proposes nothing', async () => {
    const token = await jobToken({ actor_id: '5999' });
    const { body } = await t.call(token, 'POST', '/v1/requests', {
      kind: 'policy.activate',
      policy_hash: (await t.call('avery', 'GET', '/v1/policy/activations')).body.items[0].policy_hash,
      reason: 'unknown',
    });
    expect(body).toMatchObject({ code: 'policy_denied', reasons: [{ code: 'unknown_person' }] });
  });

  it('of a service that deploys proposes no policy, and that of the policy changes no flag', async () => {
    const deploy = await jobIn('payments').run('policy', 'propose', file, '--reason', 'x', '--json');
    expect([deploy.code, deploy.json.code]).toEqual([4, 'policy_denied']);
    const { body } = await t.call(await jobToken(), 'POST', '/v1/requests', {
      environment: 'staging',
      reason: 'not mine',
      changes: [{ action: 'enable', flag: 'checkout.banner' }],
    });
    expect(body.code).not.toBe(undefined);
    expect(body.state).toBe(undefined);
  });
});

/** The file of a bundle under which requests expire after that many seconds. */
async function bundleWith(seconds: number): Promise<string> {
  const archive = await withConfig(await readFile(join(t.folder, 'bundle.tar.gz')), ({ limits = {} }) => {
    limits.request_ttl_s = seconds;
  });
  const path = join(t.folder, `${seconds}.tar.gz`);
  await writeFile(path, archive);
  return path;
}

async function findPending(): Promise<string | undefined> {
  const { body } = await t.call('jordan', 'GET', '/v1/requests?state=pending&kind=policy.activate');
  return body.items[0]?.id;
}
