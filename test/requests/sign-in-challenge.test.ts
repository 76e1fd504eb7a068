import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Challenge, notYet } from '../../src/decide/refusals.ts';
import type { Decision } from '../../src/policy/policies.ts';
import { bindGroupsOf } from '../cli/sign-in-support.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose, TICKET } from '../support/flags.ts';
import { startTokenIssuer, type TokenIssuer } from '../support/token-issuer.ts';

let t: TestBroker;
/** Issuers that name strength otherwise: by their own words, and not at all. */
let corp: TokenIssuer;
let bare: TokenIssuer;

beforeAll(async () => {
  const clock = () => t.clock();
  [corp, bare] = await Promise.all([startTokenIssuer(clock), startTokenIssuer(clock)]);
  const issuerOf = ({ issuer }: TokenIssuer, key: string, levels: object) => ({
    key,
    issuer,
    allow_insecure_loopback: true,
    audience: 'countersign-cli',
    algorithms: ['ES256'],
    claims: { person: 'employee_id' },
    levels,
  });
  t = await startTestBroker({
    config: ({ issuers }) => ({
      issuers: [
        ...(issuers as object[]),
        issuerOf(corp, 'corp', { acr: { pwd: 1, otp: 2, phr: 4, 'smart card': 3 } }),
        issuerOf(bare, 'bare', { amr: { hwk: 3 } }),
      ],
    }),
    editData: (data) => bindGroupsOf(bindGroupsOf(data, corp.issuer), bare.issuer),
  });
  await createFlag(t, 'challenged', { tier: 'high-risk' });
});
afterAll(() => Promise.all([t.close(), corp.close(), bare.close()]));

/** Approves as alex with the token of one of the issuers, which is too weak. */
async function approveWeakly(issuer: TokenIssuer): Promise<Reply> {
  const { body } = await propose(t, [{ action: 'enable', flag: 'challenged' }], { ticket: TICKET });
  const token = await issuer.idToken('alex', { claims: { amr: ['pwd'] } });
  const reply = await t.call(token, 'POST', `/v1/requests/${body.id}/approve`, { digest: body.digest });
  expect([reply.status, reply.body.code]).toEqual([401, 'sign_in_required']);
  return reply;
}

const challengeOf = ({ headers }: Reply): string | null => headers.get('WWW-Authenticate');

describe('the challenge of a call that requires a stronger sign-in', () => {
  it("names the strength in the words of the caller's issuer, and the age", async () => {
    const reply = await approveWeakly(t.people);
    expect(challengeOf(reply)).toMatch(/^Bearer error="insufficient_user_authentication", /);
    expect(challengeOf(reply)).toContain('acr_values="urn:countersign:mfa", max_age="900"');
    expect(reply.body).toMatchObject({ level: 2, max_age_s: 900, acr_values: ['urn:countersign:mfa'] });
  });

  it('prefers the strongest, and leaves out of the header what a list with spaces cannot hold', async () => {
    const reply = await approveWeakly(corp);
    expect(challengeOf(reply)).toContain('acr_values="phr otp"');
    expect(reply.body.acr_values).toEqual(['phr', 'smart card', 'otp']);
  });

  it('names none where the issuer has none', async () => {
    const reply = await approveWeakly(bare);
    expect(challengeOf(reply)).not.toContain('acr_values');
    expect(challengeOf(reply)).toContain('max_age="900"');
    expect(reply.body.acr_values).toEqual([]);
  });

  it('is not made of a sign-in that is strong and fresh', async () => {
    const { body } = await propose(t, [{ action: 'enable', flag: 'challenged' }], { ticket: TICKET });
    const token = await corp.idToken('alex', { claims: { acr: 'otp' } });
    const reply = await t.call(token, 'POST', `/v1/requests/${body.id}/approve`, { digest: body.digest });
    expect(reply.status).toBe(200);
  });
});

describe('the challenge header', () => {
  const decision: Decision = {
    effect: 'hold',
    reasons: [],
    obligations: [{ kind: 'sign_in', who: 'caller', level: 2, max_age_s: null }],
    limits: {},
    versions: { input: 2, result: 1, guardrails: 1 },
    policy_hash: 'sha256:x',
    input_json: '{}',
    input_digest: 'sha256:x',
  };
  const headerOf = (challenge: Challenge): string | undefined =>
    notYet(decision, { decision_id: 'x', about: null, challenge }).fields.headers?.['WWW-Authenticate'];

  it('has the scheme of a bound token where the caller showed one, and no age where none is required', () => {
    const header = headerOf({ scheme: 'DPoP', acrValues: () => ['a'] });
    expect(header).toMatch(/^DPoP error="insufficient_user_authentication", .*acr_values="a"$/);
  });

  it('holds nothing that could end its quotes or its line', () => {
    const hostile = ['"', '\\', 'a"b', 'a b', 'a\r\nx: y', 'é', ''];
    const header = headerOf({ scheme: 'Bearer', acrValues: () => [...hostile, 'fine'] });
    expect(header).toContain('acr_values="fine"');
    expect(header?.match(/"/g)).toHaveLength(6);
  });
});
