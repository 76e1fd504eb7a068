import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceText } from '../../fixtures/rebundle.ts';
import { EXAMPLES } from '../../src/policy/shipped.ts';
import { type Reply, startTestBroker, type TestBroker } from './broker.ts';

/** A broker with the policy of an example, and its people. */
export interface ExampleBroker {
  t: TestBroker;
  /** Calls the API as one of the people; `ann+mfa` has just signed in with a second factor. */
  call(who: string, method: string, path: string, body?: unknown): Promise<Reply>;
  propose(who: string, changes: unknown[], fields?: Record<string, unknown>): Promise<Reply>;
  /** Approves the content that the request has. */
  approve(who: string, request: Reply['body']): Promise<Reply>;
  /** Lets these people be known to the broker. */
  signIn(...people: string[]): Promise<void>;
}

/**
 * Starts a broker with the bundle of an example, which is shipped as it is but for the addresses of its issuers.
 *
 * @param people each with the groups that the identity provider says
 */
export async function startExample(
  name: 'small-team' | 'regulated',
  people: Readonly<Record<string, readonly string[]>>,
): Promise<ExampleBroker> {
  const t = await startTestBroker({
    archive: await readFile(join(EXAMPLES, name, 'bundle.tar.gz')),
    editData: (data, issuers) =>
      replaceText(data, {
        'https://login.example.com': issuers.people,
        'https://token.actions.githubusercontent.com': issuers.ci,
      }),
  });
  const call: ExampleBroker['call'] = async (who, method, path, body) => {
    const [sub = '', factor] = who.split('+');
    const groups = people[sub];
    if (groups === undefined) throw new Error(`${sub} is nobody of ${name}`);
    const claims = { sub, groups, employee_id: `${sub}@example.com` };
    const token = await t.people.idToken('dana', { mfa: factor === 'mfa', claims });
    return t.call(token, method, path, body);
  };
  return {
    t,
    call,
    propose: (who, changes, fields = {}) =>
      call(who, 'POST', '/v1/requests', { environment: 'production', changes, reason: 'a test', ...fields }),
    approve: (who, { id, digest }) => call(who, 'POST', `/v1/requests/${id}/approve`, { digest }),
    signIn: async (...known) => {
      for (const who of known) await call(who, 'GET', '/v1/whoami');
      await t.broker.scheduler.tick();
    },
  };
}

/** The kinds of obligations that a request waits for, with the roles of approvals. */
export function missing(request: Reply['body']): string[] {
  const { obligations } = request.standing as {
    obligations: { kind: string; role?: string; count?: number; organization?: string }[];
  };
  return obligations.map(({ kind, role, count, organization }) =>
    [
      kind,
      ...(kind === 'approval' ? [`${count} ${role}`] : []),
      ...(organization ? [organization] : []),
    ].join(' '),
  );
}

/** Why a call was refused: the status, and the codes of the policy's reasons, or of the problem. */
export function refusal({ status, body }: Reply): [number, ...string[]] {
  const reasons =
    body.code === 'policy_denied' ? body.reasons.map(({ code }: { code: string }) => code) : [body.code];
  return [status, ...reasons];
}
