import type { Reply, TestBroker } from './broker.ts';
import { approve } from './flags.ts';

type Kinds = Record<string, { retention?: { min_age_s: number } }>;

/** Lets persons be erased at once. */
export function withoutRetention(data: unknown): unknown {
  const { config } = data as { config: { request_kinds: Kinds } };
  Object.assign(config.request_kinds['person.erase'] ?? {}, { retention: { min_age_s: 0 } });
  return data;
}

/** Erases a person by a request that two approve. @returns the request, after the second approval */
export async function erasePerson(t: TestBroker, person: string): Promise<Reply['body']> {
  const { body: found } = await t.call('avery', 'POST', '/v1/erasures/preview', { person });
  const content = { kind: 'person.erase', subject: found.pseudonym, reason: 'they asked for it' };
  const { body: request } = await t.call('morgan', 'POST', '/v1/requests', content);
  await approve(t, 'avery', request);
  return (await approve(t, 'sam', request)).body;
}
