import type { Reply } from '../support/broker.ts';
import type { ConsoleBench } from './bench.ts';

/* What the pages show in tests and pictures: flags and requests, made by the API as their people would. */

type Calls = Pick<ConsoleBench['t'], 'call'>;

/** A change that creates a flag of the payments team. */
export function newFlag(flag: string, definition: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    action: 'create',
    flag,
    definition: {
      namespace: 'payments',
      kind: 'release',
      tier: 'operational',
      owner: 'team-payments',
      purpose: 'Shows the new checkout.',
      variants: { on: true, off: false },
      retirement: 'When everybody has it.',
      ...definition,
    },
  };
}

/** Proposes as dana. @throws Error for a refusal */
export async function proposeAsDana(
  t: Calls,
  changes: readonly unknown[],
  fields: Record<string, unknown> = {},
): Promise<Reply['body']> {
  const body = {
    environment: 'production',
    changes,
    reason: 'Acme asked for it.',
    ticket: 'PAY-17',
    ...fields,
  };
  const answer = await t.call('dana', 'POST', '/v1/requests', body);
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
  return answer.body;
}

/** Proposes as dana, and lets others approve until it is applied. */
export async function applyAsDana(
  t: Calls,
  changes: readonly unknown[],
  fields: Record<string, unknown> = {},
) {
  let request = await proposeAsDana(t, changes, fields);
  for (const who of ['alex+mfa', 'sam+mfa']) {
    if (request.state === 'applied') break;
    const path = `/v1/requests/${request.id}/approve`;
    request = (await t.call(who, 'POST', path, { digest: request.digest })).body;
  }
  if (request.state !== 'applied') throw new Error(JSON.stringify(request));
  return request;
}

/** An audience of organizations. */
export function organizations(...names: readonly string[]): Record<string, unknown> {
  return { kind: 'some', organizations: [...names].sort(), users: [] };
}

/** Text that pretends, as far as the broker takes it: markup, scripts, templates, a letter of another alphabet, no place to break. */
export const HOSTILE =
  '"><img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script> p\u0430ypal {{7*7}} javascript:alert(1) [x](javascript:alert(1)) ' +
  'wide'.repeat(60);
