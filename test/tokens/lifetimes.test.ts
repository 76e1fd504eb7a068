import { afterAll, beforeAll, expect, it } from 'vitest';
import { exchange, startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose } from '../support/flags.ts';
import { addAgents, agentToken } from './agents.ts';

/* How long tokens live, and how young they have to be, is said by policy: by operation, audience and tier. */

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker({
    editData: (data, { ci }) => {
      const edited = addAgents(structuredClone(data), ci) as { config: Record<string, unknown> };
      edited.config.token_lifetimes = {
        default: 600,
        operations: { 'request.apply': 120, 'flag.read': 900 },
        audiences: { data: 60 },
        tiers: { sensitive: 90, informational: 240 },
      };
      return edited;
    },
  });
});
afterAll(() => t.close());

it.each([
  ['the operation that is named', 'request.apply', 120],
  ['the shortest-lived of several', 'flag.read request.apply', 120],
  ['the default for one that is not named', 'flag.read request.read', 600],
  ['no longer than the rule, where policy would let it', 'flag.read', 600],
])('an exchanged token lives as long as %s', async (_name, scope, seconds) => {
  const { body } = await exchange(t.url, await t.ci.token({ exp: t.clock() / 1000 + 1800 }), { scope });
  expect([body.expires_in, body.scope]).toEqual([seconds, scope]);
});

it('one for flags lives as long as its audience', async () => {
  const { body } = await exchange(t.url, await t.ci.checkoutToken(), { audience: 'data:production' });
  expect(body.expires_in).toBe(60);
});

it.each([
  ['pipeline', () => t.workloadToken()],
  ['agent', () => agentToken(t)],
])('a %s changes flags of a tier only with a token that is young enough for it', async (kind, tokenOf) => {
  const ledger = await createFlag(t, `${kind}-ledger`, { tier: 'sensitive' });
  const banner = await createFlag(t, `${kind}-banner`, { tier: 'informational' });
  const token = await tokenOf();
  const change = (flag: string, by: string) =>
    propose(t, [{ action: 'enable', flag }], { environment: 'staging' }, by);
  t.clock.advance(89_000);
  expect((await change(ledger, token)).status).toBe(201);
  t.clock.advance(1000);
  const old = await change(ledger, token);
  expect([old.status, old.body.reasons]).toEqual([403, [expect.objectContaining({ code: 'token_too_old' })]]);
  expect((await change(banner, token)).status).toBe(201);
  expect((await change(ledger, await tokenOf())).status).toBe(201);
});
