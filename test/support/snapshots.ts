import { type NoteVerifier, parseVerifier } from '../../src/tree/note.ts';
import { startTestBroker, type TestBroker } from './broker.ts';

/** The data of the shipped policy, with a trust rule by which the service reads every namespace. */
export function withWideService<Data>(data: Data): Data {
  const { config } = data as { config: { trust_rules: Record<string, { grant: { namespaces: string[] } }> } };
  const rule = config.trust_rules['checkout-service'];
  if (rule === undefined) throw new Error('the policy has no such rule');
  rule.grant.namespaces = ['*'];
  return data;
}

/** A broker that publishes snapshots of production, and a service that may read them. */
export function startPublishingBroker(config: Record<string, unknown> = {}): Promise<TestBroker> {
  return startTestBroker({
    editData: withWideService,
    config: { public_url: 'https://flags.example', snapshots: { environments: ['production'] }, ...config },
  });
}

/** A token that reads production. */
export function readerToken(t: TestBroker, audience = 'data:production'): Promise<string> {
  return t.workloadToken('checkout', { audience });
}

/** The key of the log of a broker. */
export async function logKeyOf(t: TestBroker): Promise<NoteVerifier> {
  return parseVerifier((await t.call(null, 'GET', '/v1/log')).body.key);
}

/** A file of a snapshot as the broker serves it. */
export async function fetchSnapshot(
  t: TestBroker,
  token: string,
  file: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; bytes: Buffer; headers: Headers }> {
  const response = await fetch(`${t.url}/snapshots/production/${file}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
  });
  return {
    status: response.status,
    bytes: Buffer.from(await response.arrayBuffer()),
    headers: response.headers,
  };
}
