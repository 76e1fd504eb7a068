import { expect } from 'vitest';
import { exchange, type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { findContradictions } from '../support/log-oracle.ts';

/*
 * A broker with a provisioning workload, and the messages that providers send to it. Each file of tests has its own.
 */

export const PATCH_OP = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';
export const USER = 'urn:ietf:params:scim:schemas:core:2.0:User';
export const ERROR = 'urn:ietf:params:scim:api:messages:2.0:Error';

export let t: TestBroker;
let provisioner: string;

/** The shipped policy with a rule for the identity provider's own workload, as an operator would add it. */
function withProvisioner(data: unknown): unknown {
  const { config } = data as {
    config: {
      trust_rules: Record<string, { grant: object; claims: object }>;
      role_bindings: { trust_rules: Record<string, unknown> };
    };
  };
  const { person: _, ...rule } = { person: null, ...config.trust_rules['payments-deploy'] };
  config.trust_rules.provisioning = {
    ...rule,
    claims: { ...rule.claims, repository_id: '456795' },
    grant: {
      audiences: ['control'],
      operations: ['principal.read', 'principal.disable', 'principal.enable'],
      environments: ['*'],
      namespaces: ['*'],
      token_ttl_s: 600,
    },
  };
  config.role_bindings.trust_rules.provisioning = [
    { roles: ['provisioner'], namespaces: ['*'], environments: ['*'] },
  ];
  return data;
}

export async function start(provisioning: Record<string, unknown> = {}): Promise<void> {
  t = await startTestBroker({ editData: withProvisioner, config: { provisioning } });
  const subject = await t.ci.token({ repository_id: '456795' });
  provisioner = (await exchange(t.url, subject)).body.access_token;
}

/** Ends the broker, whose log must explain what its store holds. */
export async function stop(): Promise<void> {
  expect(await findContradictions(t.file)).toEqual([]);
  await t.close();
}

export function scim(
  method: string,
  path: string,
  body?: unknown,
  who: string | null = provisioner,
): Promise<Reply> {
  return t.call(who, method, `/scim/v2${path}`, body, { 'content-type': 'application/scim+json' });
}

export const patch = (...Operations: unknown[]) => ({ schemas: [PATCH_OP], Operations });
export const isIn = async (who: string) => (await t.call(who, 'GET', '/v1/whoami')).status === 200;

export const user = (externalId: string, more: object = {}) => ({
  schemas: [USER],
  userName: `${externalId}@example.com`,
  externalId,
  active: true,
  ...more,
});

/** Creates users as a provider does before it manages them. */
export async function create(...persons: string[]): Promise<void> {
  for (const person of persons) expect((await scim('POST', '/Users', user(person))).status).toBe(201);
}

export const find = async (filter: string) =>
  (await scim('GET', `/Users?filter=${encodeURIComponent(filter)}`)).body.Resources.map(
    ({ id }: { id: string }) => id,
  );

/** Has dana be seen, and that be written down. */
export async function seeDana(): Promise<void> {
  await t.call('dana', 'GET', '/v1/whoami');
  t.clock.advance(60_000);
  await t.broker.scheduler.tick();
}
