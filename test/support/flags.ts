import { expect } from 'vitest';
import type { Reply, TestBroker } from './broker.ts';
import { IS_POSTGRES } from './postgres-server.ts';
import { countsOf, TABLES } from './sqlite/rows.ts';

/** A ticket that matches the pattern of the shipped policy. */
export const TICKET = 'PAY-17';

/** The body of a proposal; `changes` are those of `POST /v1/requests`. */
export function proposal(changes: unknown[], fields: Record<string, unknown> = {}): Record<string, unknown> {
  return { environment: 'production', changes, reason: 'a test', ...fields };
}

/** The change that creates a flag with an `off` and an `on`, in the namespace that dana develops in. */
export function creation(flag: string, definition: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    action: 'create',
    flag,
    definition: {
      namespace: 'payments',
      kind: 'release',
      tier: 'operational',
      owner: 'team-payments',
      purpose: 'A flag of the tests.',
      variants: { on: true, off: false },
      retirement: 'When the tests end.',
      ...definition,
    },
  };
}

/** Proposes as dana, or as somebody else. */
export function propose(
  t: TestBroker,
  changes: unknown[],
  fields: Record<string, unknown> = {},
  who = 'dana',
): Promise<Reply> {
  return t.call(who, 'POST', '/v1/requests', proposal(changes, fields));
}

/** Approves the present content of a request. */
export function approve(t: TestBroker, who: string, request: Reply['body']): Promise<Reply> {
  return t.call(who, 'POST', `/v1/requests/${request.id}/approve`, { digest: request.digest });
}

/** Reads a request as dana. */
export async function readRequest(t: TestBroker, id: string): Promise<Reply['body']> {
  return (await t.call('dana', 'GET', `/v1/requests/${id}`)).body;
}

/** Reads a flag with its state in every environment. */
export async function readFlag(t: TestBroker, key: string): Promise<Reply['body']> {
  return (await t.call('dana', 'GET', `/v1/flags/${key}`)).body;
}

/** Gets the approvals that the shipped policy requires for changes, and expects them applied. */
export async function applyChanges(
  t: TestBroker,
  changes: unknown[],
  fields: Record<string, unknown> = {},
): Promise<Reply['body']> {
  const proposed = await propose(t, changes, { ticket: TICKET, ...fields });
  expect(proposed.body).toMatchObject({ state: expect.any(String) });
  let request = proposed.body;
  for (const who of ['alex+mfa', 'sam+mfa', 'casey+mfa']) {
    if (request.state === 'applied') break;
    const answer = await approve(t, who, request);
    // A call that was repeated may find what it has already done.
    request = answer.status === 200 ? answer.body : await readRequest(t, request.id);
  }
  expect(request).toMatchObject({ state: 'applied' });
  return request;
}

/** Creates a flag, switched off everywhere. */
export async function createFlag(
  t: TestBroker,
  key: string,
  definition: Record<string, unknown> = {},
): Promise<string> {
  await applyChanges(t, [creation(key, definition)]);
  return key;
}

const COUNTED = ['records', 'details', 'requests', 'votes', 'flags', 'flagStates', 'freezes'] as const;

/** How many rows each table has that a write could touch: equal before and after means nothing was written. */
export async function countRows({ file }: TestBroker): Promise<Record<string, number>> {
  if (!IS_POSTGRES) return countsOf(file, COUNTED);
  const { runAt } = await import('./postgres.ts');
  const counts = COUNTED.map((subject) => `(select count(*)::int from ${TABLES[subject]}) as "${subject}"`);
  const [row] = await runAt(file, `select ${counts.join(', ')}`);
  return row as Record<string, number>;
}
