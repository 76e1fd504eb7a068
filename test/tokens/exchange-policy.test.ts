import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControlDeps } from '../../src/decide/control.ts';
import type { IdentityLog } from '../../src/identity/refusal.ts';
import { workloadIssuerSchema } from '../../src/issuers/issuers.ts';
import { createKeySets } from '../../src/issuers/key-sets.ts';
import { authorizeExchange } from '../../src/tokens/authorize-exchange.ts';
import { createExchange, type Exchange, type ExchangeDeps } from '../../src/tokens/exchange.ts';
import type { SubjectDeps } from '../../src/tokens/subject.ts';
import { testTrust } from '../../src/tokens/trust-test.ts';
import { trustRulesOf } from '../../src/trust/policy-rules.ts';
import { createBench } from '../identity/support.ts';
import { otherControl } from '../revocation/support.ts';
import { activateElsewhere, type Config, withConfig } from '../support/activation.ts';
import { exchange, startTestBroker, type TestBroker } from '../support/broker.ts';
import { createProofKey } from '../support/dpop.ts';
import { personOf } from '../support/local-control.ts';
import { countsOf } from '../support/sqlite/rows.ts';

/* The policy changes between the moment when a trust rule is found and the moment of the decision. */

let t: TestBroker;
let control: ControlDeps;
let present: Buffer;

beforeEach(async () => {
  t = await startTestBroker();
  control = await otherControl(t);
  present = await readFile(join(t.folder, 'bundle.tar.gz'));
});

afterEach(() => t.close());

interface Rule {
  claims: Record<string, string>;
  grant: { token_ttl_s: number };
}

const edited = (edit: (rule: Rule, config: Config) => void) =>
  withConfig(present, (config) => edit(config.trust_rules?.['payments-deploy'] as Rule, config));
const activate = (archive: Buffer) => activateElsewhere(t.broker.store, archive, t.clock());

/** What verifies the tokens of this installation's platform. */
const verifying = (log: IdentityLog): SubjectDeps => ({
  issuer: t.url,
  workloadIssuers: [workloadIssuerSchema.parse({ issuer: t.ci.issuer, allow_insecure_loopback: true })],
  personIssuers: [],
  keySets: createKeySets({ fetch, clock: t.clock, log }),
  clock: t.clock,
  log,
});

/** The exchange of this installation, which does something each time before it decides. */
async function exchangeWith(beforeDeciding: (tries: number) => Promise<unknown>): Promise<Exchange> {
  const { signingKeys, log } = await createBench([]);
  const decide = authorizeExchange(control);
  let tries = 0;
  const deps: ExchangeDeps = {
    ...verifying(log),
    signingKeys,
    presentTrust: async () => {
      const policy = await control.policies.active(control.store.read);
      return { policy_hash: policy.hash, rules: trustRulesOf(policy) };
    },
    readableNamespaces: async () => [],
    followRequest: async () => Promise.reject(new Error('nothing to follow')),
    authorizeExchange: async (asked) => {
      tries += 1;
      await beforeDeciding(tries);
      return decide(asked);
    },
  };
  return createExchange(deps);
}

function swap(from: Exchange, token: string, dpop: string[] = []) {
  const form = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: token,
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  });
  return from.exchange(form.toString(), { dpop, method: 'POST', target: '/oauth/token' });
}

/** How many tokens and proofs were used. */
const claimed = () => countsOf(t.file, ['usedTokens']).usedTokens;

describe('an exchange while the policy changes', () => {
  it('gives what the rule of the new policy grants, under the hash of that', async () => {
    const narrower = await edited((rule) => {
      rule.grant.token_ttl_s = 120;
    });
    let hash = '';
    const racing = await exchangeWith(async (tries) => {
      if (tries === 1) hash = await activate(narrower);
    });
    const answer = await swap(racing, await t.ci.token());
    expect(answer.expires_in).toBe(120);
    expect(decodeJwt(answer.access_token).policy_hash).toBe(hash);
    expect(claimed()).toBe(1);
  });

  it('gives nothing where the new policy has no such rule, and leaves the token unused', async () => {
    const without = await edited((rule) => {
      rule.claims.repository_id = '1';
    });
    const racing = await exchangeWith((tries) => (tries === 1 ? activate(without) : Promise.resolve()));
    const token = await t.ci.token();
    await expect(swap(racing, token)).rejects.toMatchObject({ code: 'invalid_request' });
    expect(claimed()).toBe(0);
    const { items } = (await t.call('avery', 'GET', '/v1/decisions?operation=token.exchange')).body;
    expect(items).toEqual([]);
    // The real endpoint takes the same rules.
    expect((await exchange(t.url, token)).status).toBe(400);
    await activate(present);
    expect((await exchange(t.url, token)).status).toBe(200);
  });

  it('takes the proof of a key once, however often it is tried', async () => {
    const same = await edited((_, config) => Object.assign(config, { turn: 1 }));
    const racing = await exchangeWith((tries) => (tries === 1 ? activate(same) : Promise.resolve()));
    const key = await createProofKey(t.clock);
    const proof = await key.proof({ method: 'POST', url: `${t.url}/oauth/token` });
    const { token_type } = await swap(racing, await t.ci.token(), [proof]);
    expect(token_type).toBe('DPoP');
    await expect(swap(racing, await t.ci.token(), [proof])).rejects.toMatchObject({
      code: 'invalid_dpop_proof',
    });
  });

  it('is not tried for ever', async () => {
    const archives = await Promise.all(
      [1, 2].map((turn) => edited((_, config) => Object.assign(config, { turn }))),
    );
    let tried = 0;
    const racing = await exchangeWith(async (tries) => {
      tried = tries;
      await activate(archives[tries % 2] ?? present);
    });
    await expect(swap(racing, await t.ci.token())).rejects.toMatchObject({ code: 'temporarily_unavailable' });
    expect(tried).toBe(3);
    expect(claimed()).toBe(0);
  });
});

describe('the test of a token', () => {
  it('is of one policy, though another one becomes active while the keys are fetched', async () => {
    const { log } = await createBench([]);
    const without = await edited((_, config) => {
      delete config.trust_rules?.['payments-deploy'];
    });
    const call = {
      principal: { ...personOf('avery', ['auditors']), issuer: t.people.issuer },
      credential: null,
      http_request_id: null,
    };
    const test = async (fetchKeys: typeof fetch) =>
      testTrust(
        { ...verifying(log), keySets: createKeySets({ fetch: fetchKeys, clock: t.clock, log }), control },
        call,
        { token: await t.ci.token(), audience: 'control', scope: undefined },
      );
    const report = await test(async (...order) => {
      await activate(without);
      return fetch(...order);
    });
    expect(report.rules.map(({ rule }) => rule)).toContain('payments-deploy');
    expect(report).toMatchObject({ refusal: null, would_issue: { rule: 'payments-deploy' } });
    const later = await test(fetch);
    expect(later.rules.map(({ rule }) => rule)).not.toContain('payments-deploy');
    expect(later).toMatchObject({ refusal: { reason: expect.any(String) }, would_issue: null });
  });
});
