import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { createProofKey } from '../support/dpop.ts';
import { createFlag, propose } from '../support/flags.ts';

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
/** A token of the broker lives for ten minutes at most, and that of the platform for five. */
const LONGER_MS = 11 * 60_000;

let t: TestBroker;
let token: string;
let id: string;

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'followed');
  ({ token, id } = await proposedByJob());
});
afterAll(() => t.close());

async function proposedByJob(): Promise<{ token: string; id: string }> {
  const job = await t.workloadToken();
  const changes = [{ action: 'enable', flag: 'followed' }];
  const { body, status } = await propose(t, changes, {}, job);
  expect(status).toBe(201);
  return { token: job, id: body.id };
}

async function follow(
  subject: string,
  resource: string,
  more: Record<string, string> = {},
  headers: Record<string, string> = {},
): Promise<Reply> {
  const response = await fetch(`${t.url}/oauth/token`, {
    method: 'POST',
    headers,
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: subject,
      subject_token_type: ACCESS_TOKEN,
      resource,
      ...more,
    }),
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

const addressOf = (request: string) => `${t.url}/v1/requests/${request}`;

describe('a token that follows a request', () => {
  it('reads that request after the token of the job has expired, and is on record', async () => {
    const { status, body } = await follow(token, addressOf(id));
    expect(status).toBe(200);
    expect(body).toMatchObject({ scope: 'request.read', token_type: 'Bearer', expires_in: 3600 });
    const records = await t.call('avery', 'GET', '/v1/decisions?operation=token.exchange&limit=1');
    expect(JSON.stringify(records.body)).toContain('follows');
    t.clock.advance(LONGER_MS);
    expect((await t.call(token, 'GET', `/v1/requests/${id}`)).status).toBe(401);
    const read = await t.call(body.access_token, 'GET', `/v1/requests/${id}`);
    expect([read.status, read.body.state]).toEqual([200, 'pending']);
    t.clock.advance(3_600_000);
    expect((await t.call(body.access_token, 'GET', `/v1/requests/${id}`)).status).toBe(401);
  });

  it('does nothing else, whatever the job may', async () => {
    const mine = await proposedByJob();
    const other = await proposedByJob();
    const { body } = await follow(mine.token, addressOf(mine.id));
    const calls: [string, string, unknown?][] = [
      ['GET', `/v1/requests/${other.id}`],
      ['GET', '/v1/requests'],
      ['GET', '/v1/flags'],
      ['GET', '/v1/whoami'],
      ['POST', `/v1/requests/${mine.id}/withdraw`, {}],
      ['POST', `/v1/requests/${mine.id}/apply`, {}],
      ['PATCH', `/v1/requests/${mine.id}`, { reason: 'x' }],
      [
        'POST',
        '/v1/requests',
        { environment: 'staging', reason: 'x', changes: [{ action: 'enable', flag: 'followed' }] },
      ],
      ['POST', '/ofrep/v1/evaluate/flags/followed', { context: {} }],
    ];
    for (const [method, path, sent] of calls) {
      const answer = await t.call(body.access_token, method, path, sent);
      expect([method, path, answer.status]).toEqual([method, path, 401]);
    }
    expect((await t.call(mine.token, 'GET', `/v1/requests/${other.id}`)).status).toBe(200);
  });

  it('is for a request of the same job only, and does not tell whether another exists', async () => {
    const job = await t.workloadToken();
    const ofDana = await propose(t, [{ action: 'enable', flag: 'followed' }]);
    const answers = [
      await follow(job, addressOf(ofDana.body.id)),
      await follow(job, addressOf('00000000-0000-4000-8000-000000000000')),
      await follow(job, `https://elsewhere.example/v1/requests/${id}`),
      await follow(job, `${t.url}/v1/flags`),
      await follow(job, `${addressOf(id)}/../x`),
    ];
    for (const { status, body } of answers) expect([status, body.error]).toEqual([400, 'invalid_target']);
    const said = answers.map(({ body }) => body.error_description.replace(/\(reference.*/, ''));
    expect(new Set(said).size).toBe(1);
  });

  it('is not for tokens of people, of platforms, of applications, of other brokers, or for itself', async () => {
    const mine = await proposedByJob();
    const { body } = await follow(mine.token, addressOf(mine.id));
    const subjects = [
      await t.people.idToken('dana'),
      await t.ci.token(),
      await t.workloadToken('checkout', { audience: 'data:production' }),
      body.access_token,
      `${mine.token.slice(0, -4)}AAAA`,
    ];
    for (const subject of subjects) {
      const answer = await follow(subject, addressOf(mine.id));
      expect([answer.status, answer.body.error]).toEqual([400, 'invalid_request']);
    }
    // The type and the resource belong together.
    const form = { subject_token_type: 'urn:ietf:params:oauth:token-type:jwt' };
    expect((await follow(mine.token, addressOf(mine.id), form)).body.error).toBe('invalid_target');
    expect((await follow(mine.token, '')).body.error).toBe('invalid_request');
  });

  it('ends with the token of the job, and with what that was issued for', async () => {
    const mine = await proposedByJob();
    const { body } = await follow(mine.token, addressOf(mine.id));
    const reads = async () => (await t.call(body.access_token, 'GET', `/v1/requests/${mine.id}`)).status;
    expect(await reads()).toBe(200);
    await fetch(`${t.url}/oauth/revoke`, {
      method: 'POST',
      body: new URLSearchParams({ token: mine.token }),
    });
    expect(await reads()).toBe(401);
    expect((await follow(mine.token, addressOf(mine.id))).status).toBe(400);
  });

  it('of a bound token is bound to the same key', async () => {
    const key = await createProofKey(t.clock);
    const htu = `${t.url}/oauth/token`;
    const subject = await t.ci.token();
    const bound = await fetch(htu, {
      method: 'POST',
      headers: { dpop: await key.proof({ method: 'POST', url: htu }) },
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: subject,
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      }),
    });
    const { access_token } = (await bound.json()) as { access_token: string };
    const other = await createProofKey(t.clock);
    expect((await follow(access_token, addressOf(id))).status).toBe(400);
    const wrong = { dpop: await other.proof({ method: 'POST', url: htu }) };
    expect((await follow(access_token, addressOf(id), {}, wrong)).status).toBe(400);
    const right = { dpop: await key.proof({ method: 'POST', url: htu }) };
    const answer = await follow(access_token, addressOf(id), {}, right);
    expect([answer.status, answer.body.token_type]).toEqual([200, 'DPoP']);
    // Without a proof of it, the token reads nothing.
    expect((await t.call(answer.body.access_token, 'GET', `/v1/requests/${id}`)).status).toBe(401);
  });

  it('lives as long as the policy says', async () => {
    const own = await startTestBroker({
      editData: (data) => {
        const edited = structuredClone(data) as { config: { token_lifetimes: { follow_up?: number } } };
        edited.config.token_lifetimes.follow_up = 60;
        return edited;
      },
    });
    await createFlag(own, 'brief');
    const job = await own.workloadToken();
    const { body } = await propose(own, [{ action: 'enable', flag: 'brief' }], {}, job);
    const response = await fetch(`${own.url}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: job,
        subject_token_type: ACCESS_TOKEN,
        resource: `${own.url}/v1/requests/${body.id}`,
      }),
    });
    expect(((await response.json()) as { expires_in: number }).expires_in).toBe(60);
    await own.close();
  });
});
