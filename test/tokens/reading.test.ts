import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTerminal } from '../cli/support.ts';
import { exchange, startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag } from '../support/flags.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker({ editData });
  await createFlag(t, 'reading');
});
afterAll(() => t.close());

interface Data {
  config: {
    trust_rules: Record<
      string,
      { claims: object; grant: { audiences: string[]; operations: string[]; max_exchanges?: number } }
    >;
    operations: Record<string, { single_use?: boolean; by?: string[] }>;
  };
}

/** A rule whose tokens can be exchanged three times, and jobs that match two rules. */
function editData(data: unknown): unknown {
  const edited = structuredClone(data) as Data;
  const { trust_rules, operations } = edited.config;
  const service = trust_rules['checkout-service'];
  const deploy = trust_rules['payments-deploy'];
  if (service === undefined || deploy === undefined) throw new Error('the rules have changed');
  service.grant.max_exchanges = 3;
  const both = (name: string, grant: object) => {
    trust_rules[name] = {
      ...service,
      claims: { ...service.claims, repository_id: '777', ref: `refs/heads/${name}` },
      grant: { ...service.grant, ...grant },
    };
  };
  both('looks', { audiences: ['control', 'data:staging'], operations: ['request.read', 'flag.read'] });
  both('writes', {
    audiences: ['control', 'data:staging'],
    operations: ['request.read', 'request.withdraw'],
  });
  both('audits', { audiences: ['audit', 'control'], operations: ['decision.read'] });
  const decisionRead = operations['decision.read'];
  if (decisionRead !== undefined) decisionRead.single_use = true;
  return edited;
}

const service = () => t.ci.checkoutToken();
const of = (rule: string) => t.ci.token({ repository_id: '777', ref: `refs/heads/${rule}` });
const data = { audience: 'data:production' };

async function statuses(token: string, forms: Record<string, string>[]): Promise<number[]> {
  const found: number[] = [];
  for (const form of forms) found.push((await exchange(t.url, token, form)).status);
  return found;
}

function read(token: string, flag = 'reading') {
  return t.call(token, 'POST', `/ofrep/v1/evaluate/flags/${flag}`, { context: {} });
}

describe('a platform token under a rule that grants reads only', () => {
  it('is exchanged again as often as the rule says, and each exchange is on record', async () => {
    const token = await service();
    expect(await statuses(token, [data, data, data, data])).toEqual([200, 200, 200, 400]);
    const { body } = await t.call('avery', 'GET', '/v1/decisions?operation=token.exchange');
    const records = body.items.filter(({ principal }: { principal: { id: string } }) =>
      principal.id.startsWith('workload:checkout-service:'),
    );
    expect(records).toHaveLength(3);
    // Another token of the same job has its own count.
    expect(await statuses(await service(), [data])).toEqual([200]);
  });

  it('is counted exactly, however many use it at the same moment', async () => {
    const token = await service();
    const answers = await Promise.all(Array.from({ length: 20 }, () => exchange(t.url, token, data)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
  });

  it('stays with its first audience', async () => {
    const token = await service();
    expect(await statuses(token, [data, { audience: 'data:staging' }, data])).toEqual([200, 400, 200]);
  });

  it('lasts no longer than the platform token', async () => {
    const token = await service();
    expect(await statuses(token, [data])).toEqual([200]);
    t.clock.advance(3_600_000);
    expect(await statuses(token, [data])).toEqual([400]);
  });

  it('is refused again at once when it is revoked', async () => {
    const token = await service();
    const { body } = await exchange(t.url, token, data);
    const before = await read(body.access_token);
    expect(before.status).toBe(200);
    const order = {
      kind: 'trust_rule',
      value: 'checkout-service',
      incident: 'INC-1',
      reason: 'a container was taken over',
    };
    const revoked = await t.call('riley', 'POST', '/v1/revocations', order);
    expect(await statuses(token, [data])).toEqual([400]);
    expect((await read(body.access_token)).status).toBe(401);
    const lift = { kind: 'revocation.lift', revocation: revoked.body.id, reason: 'over' };
    const proposed = await t.call('riley', 'POST', '/v1/requests', lift);
    const word = { digest: proposed.body.digest };
    await t.call('sam', 'POST', `/v1/requests/${proposed.body.id}/approve`, word);
  });

  it('reads the control plane, too, if that is what the rule grants', async () => {
    expect(await statuses(await of('looks'), [{}, {}])).toEqual([200, 200]);
  });
});

describe('a platform token that yields more than reads', () => {
  it('works once, whatever it asks for', async () => {
    expect(await statuses(await t.ci.token(), [{}, {}])).toEqual([200, 400]);
    const narrow = { scope: 'request.read' };
    expect(await statuses(await t.ci.token(), [narrow, narrow])).toEqual([200, 400]);
    const staging = { audience: 'data:staging' };
    expect(await statuses(await of('writes'), [staging, staging])).toEqual([200, 400]);
    expect(await statuses(await of('writes'), [staging, {}])).toEqual([200, 400]);
  });

  it('works once where the policy says so of a read', async () => {
    expect(await statuses(await of('audits'), [{}, {}])).toEqual([200, 400]);
  });

  it('is not tried out by a test of the rules, which says how it stands', async () => {
    const test = async (token: string) =>
      (await t.call('morgan', 'POST', '/v1/trust/test', { token, audience: data.audience })).body;
    const token = await service();
    await statuses(token, [data, data]);
    expect((await test(token)).would_issue).not.toBeNull();
    await statuses(token, [data]);
    expect((await test(token)).refusal.reason).toBe('replayed');
  });
});

describe('a person who runs an application', () => {
  it('gets a token that reads what the person may read, and does nothing else', async () => {
    const subject = await t.people.idToken('dana');
    const { status, body } = await exchange(t.url, subject, data);
    expect(status).toBe(200);
    expect(body.scope).toBe('');
    expect(body.expires_in).toBeLessThanOrEqual(600);
    expect((await read(body.access_token)).status).toBe(200);
    const control = await t.call(body.access_token, 'GET', '/v1/requests');
    expect([control.status, control.body.code]).toEqual([401, 'token_invalid']);
    const approve = await t.call(body.access_token, 'POST', '/v1/freezes', {});
    expect(approve.status).toBe(401);
    // The same sign-in serves again: it is no single-use token.
    expect((await exchange(t.url, subject, data)).status).toBe(200);
  });

  it('gets none of the control plane', async () => {
    const subject = await t.people.idToken('dana');
    expect(await statuses(subject, [{}, { audience: 'control' }, { audience: 'audit' }])).toEqual([
      400, 400, 400,
    ]);
    expect(await statuses(subject, [{ ...data, scope: 'request.propose' }])).toEqual([400]);
  });

  it('gets none without a role, and none where there is nothing', async () => {
    const nobody = await t.people.idToken('dana', { claims: { groups: [] } });
    expect(await statuses(nobody, [data])).toEqual([400]);
    expect(await statuses(await t.people.idToken('dana'), [{ audience: 'data:nowhere' }])).toEqual([400]);
  });

  it('is told which environment was meant, if anything can be read at all', async () => {
    const prod = { audience: 'data:prod' };
    const { body } = await exchange(t.url, await t.people.idToken('dana'), prod);
    expect(body.error).toBe('invalid_target');
    expect(body.error_description).toContain(
      'There is no environment prod that you may see. Did you mean production?',
    );
    const nobody = await exchange(t.url, await t.people.idToken('dana', { claims: { groups: [] } }), prod);
    expect(nobody.body.error).toBe('invalid_request');
    expect(nobody.body.error_description).toMatch(/^the subject token was not accepted/);
  });

  it('gets none from a token of another client, of an agent, or expired', async () => {
    const refused = [
      await t.people.idToken('dana', { claims: { aud: 'another' } }),
      await t.people.idToken('dana', { claims: { act: { sub: 'x' } } }),
      await t.people.idToken('dana', { claims: { may_act: { sub: 'x' } } }),
      await t.people.idToken('dana', { claims: { exp: Math.floor(t.clock() / 1000) - 100 } }),
    ];
    for (const token of refused) expect(await statuses(token, [data])).toEqual([400]);
  });

  it('loses it when the sign-in is given up, and when the person is revoked', async () => {
    const subject = await t.people.idToken('casey');
    const { body } = await exchange(t.url, subject, data);
    const surrender = (token: string) =>
      fetch(`${t.url}/oauth/revoke`, { method: 'POST', body: new URLSearchParams({ token }) });
    expect((await read(body.access_token)).status).toBe(200);
    await surrender(subject);
    expect((await read(body.access_token)).status).toBe(401);
    // The token itself can be given up alone.
    const other = await exchange(t.url, await t.people.idToken('casey'), data);
    await surrender(other.body.access_token);
    expect((await read(other.body.access_token)).status).toBe(401);
  });

  it('gets none under a policy that does not open the exchange to persons', async () => {
    const closed = await startTestBroker({
      editData: (shipped) => {
        const edited = structuredClone(shipped) as Data;
        const row = edited.config.operations['token.exchange'];
        if (row !== undefined) row.by = ['workload', 'agent'];
        return edited;
      },
    });
    const answer = await exchange(closed.url, await closed.people.idToken('dana'), data);
    expect([answer.status, answer.body.error]).toEqual([400, 'invalid_request']);
    await closed.close();
  });
});

describe('countersign token', () => {
  it('prints nothing but a token, for the platform of a job', async () => {
    const job = createTerminal(t, { env: { COUNTERSIGN_SUBJECT_TOKEN: await service() } });
    const run = await job.run('token', '--audience', 'data:production');
    expect(run.code).toBe(0);
    expect(run.out).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(run.err).toContain('expires');
    expect((await read(run.out.trim())).status).toBe(200);
  });

  it('gets one for a person, from their sign-in', async () => {
    const run = await createTerminal(t).as('dana', 'token', '--audience', 'data:staging', '--json');
    expect(run.code).toBe(0);
    expect(run.json).toMatchObject({ token_type: 'Bearer', audience: 'data:staging' });
    expect((await read(run.json.access_token)).status).toBe(200);
  });

  it('says what is wrong with an audience that is not granted, and where nobody is signed in', async () => {
    const job = createTerminal(t, { env: { COUNTERSIGN_SUBJECT_TOKEN: await t.ci.token() } });
    const refused = await job.run('token', '--audience', 'data:production', '--json');
    expect([refused.code, refused.json.oauth_error]).toEqual([7, 'invalid_target']);
    const nobody = await createTerminal(t).run('token', '--audience', 'data:production', '--json');
    expect([nobody.code, nobody.json.code]).toEqual([7, 'not_signed_in']);
  });
});
