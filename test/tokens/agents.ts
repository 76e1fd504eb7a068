import { decodeJwt } from 'jose';
import { exchange, type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { readRecords } from '../support/sqlite/rows.ts';

/*
 * Agents as the tests have them: jobs of two repositories, under two trust rules of kind agent, and one that is none.
 */

export const JWT = 'urn:ietf:params:oauth:token-type:jwt';
export const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token';

/** What the release agent is granted at most. */
export const GRANTED = ['request.propose', 'request.read', 'request.withdraw', 'request.edit', 'flag.read'];

/** The repository of each agent's job. */
const REPOSITORIES: Readonly<Record<string, string>> = {
  'release-agent': '456791',
  'other-agent': '456792',
  'plain-job': '456793',
  // Its platform says who started a job again.
  'rerun-agent': '456794',
};

interface Data {
  config: {
    trust_rules: Record<string, Record<string, unknown>>;
    persons?: Record<string, string>;
    role_bindings?: { trust_rules: Record<string, unknown> };
  };
}

/** Puts the two agents into the policy's data. `grant` changes what they have. */
export function addAgents(data: unknown, ciIssuer: string, grant: Record<string, unknown> = {}): unknown {
  const { config } = data as Data;
  config.trust_rules ??= {};
  config.persons ??= { 'github:5001': 'emp-1001', 'github:5002': 'emp-1002' };
  for (const [name, repositoryId] of Object.entries(REPOSITORIES)) {
    config.trust_rules[name] = {
      kind: name === 'plain-job' ? 'workload' : 'agent',
      person: { claim: 'actor_id', prefix: 'github:' },
      ...(name === 'rerun-agent' ? { rerun_by: { claim: 'triggering_actor_id', prefix: 'github:' } } : {}),
      issuer: ciIssuer,
      audience: 'countersign',
      claims: {
        repository_id: repositoryId,
        repository_owner_id: '123456',
        ref: 'refs/heads/main',
        event_name: ['push', 'workflow_dispatch'],
        run_attempt: name === 'rerun-agent' ? ['1', '2'] : '1',
      },
      grant: {
        audiences: ['control'],
        operations: GRANTED,
        environments: ['development', 'staging'],
        namespaces: ['payments'],
        token_ttl_s: 300,
        ...grant,
      },
    };
    // A binding that must not count: an agent has what its sponsor has, and nothing of its own.
    const roles = ['flag-deployer', 'flag-approver', 'flag-emergency-override'];
    if (config.role_bindings) {
      config.role_bindings.trust_rules[name] = [{ roles, namespaces: ['*'], environments: ['*'] }];
    }
  }
  return data;
}

/** Starts the real broker with the agents. */
export function startAgentBroker(
  options: Parameters<typeof startTestBroker>[0] & { grant?: Record<string, unknown> } = {},
): Promise<TestBroker> {
  return startTestBroker({
    ...options,
    editData: (data, { ci }) => addAgents(structuredClone(data), ci, options.grant),
  });
}

/** The platform token of an agent's job. */
export function jobToken(
  t: TestBroker,
  agent = 'release-agent',
  claims: Record<string, unknown> = {},
): Promise<string> {
  return t.ci.token({ repository: `acme/${agent}`, repository_id: REPOSITORIES[agent], ...claims });
}

/** Has a person let an agent act for them. */
export function delegate(t: TestBroker, who: string, order: Record<string, unknown> = {}): Promise<Reply> {
  return t.call(who, 'POST', '/v1/delegations', { agent: 'release-agent', ...order });
}

/** The delegation token that a person gives. */
export async function delegationToken(
  t: TestBroker,
  who = 'dana',
  order: Record<string, unknown> = {},
): Promise<string> {
  const { status, body } = await delegate(t, who, order);
  if (status !== 201) throw new Error(JSON.stringify(body));
  return body.delegation_token;
}

/** Exchanges as an agent's job does. */
export async function exchangeAsAgent(
  t: TestBroker,
  subjectToken: string,
  form: Record<string, string> = {},
): Promise<Reply> {
  return exchange(t.url, subjectToken, {
    actor_token: form.actor_token ?? (await jobToken(t)),
    actor_token_type: JWT,
    ...form,
  });
}

/** A token of the release agent, which acts for a person. */
export async function agentToken(
  t: TestBroker,
  who = 'dana',
  order: Record<string, unknown> = {},
): Promise<string> {
  const { body } = await exchangeAsAgent(t, await delegationToken(t, who, order));
  if (body.access_token === undefined) throw new Error(JSON.stringify(body));
  return body.access_token;
}

/** The claims of a token, unverified, as tests look into them. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into claims of every shape
export function claimsOf(token: string): any {
  return decodeJwt(token);
}

/** The newest record of an operation. */
export async function lastRecord(t: TestBroker, operation: string): Promise<Reply['body']> {
  const row = readRecords(t.file).findLast((record) => record.operation === operation);
  if (row === undefined) throw new Error(`no ${operation} was recorded`);
  return JSON.parse(row.record);
}
