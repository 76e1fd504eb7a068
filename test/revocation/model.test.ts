import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { authorize } from '../../src/decide/authorize.ts';
import type { Call, ControlDeps } from '../../src/decide/control.ts';
import { write } from '../../src/decide/write.ts';
import { BrokerError } from '../../src/errors.ts';
import type { Logger } from '../../src/logger.ts';
import { schedulerPrincipal } from '../../src/principal.ts';
import { toContent } from '../../src/requests/content.ts';
import { flagChangeContentSchema } from '../../src/requests/kinds/flag-change.ts';
import { propose } from '../../src/requests/propose.ts';
import { approve } from '../../src/requests/vote.ts';
import { withdraw } from '../../src/requests/withdraw.ts';
import { liftRevocations } from '../../src/revocation/lift.ts';
import { revoke } from '../../src/revocation/revoke.ts';
import { dueRequests } from '../../src/schedule/due-requests.ts';
import { findRequest } from '../../src/store/requests.ts';
import { listActiveRevocations } from '../../src/store/revocations.ts';
import { creation, proposal, TICKET } from '../support/flags.ts';
import { openControl, personOf } from '../support/local-control.ts';
import { createPlace } from '../support/place.ts';
import { IS_POSTGRES } from '../support/postgres-server.ts';

/*
 * Somebody writes requests that take one approval, two others approve. Anybody of them is revoked, restored, logged
 * out by their provider and comes back, in any order. After each step the requests are compared with a model in as few
 * words as possible: an approval counts until its person is revoked or logged out, and never again; what somebody wrote is
 * applied when it has an approval that counts and nothing holds its author.
 */

const AUTHORS = ['dana'] as const;
const APPROVERS = ['alex', 'sam'] as const;
const GROUPS: Readonly<Record<string, string[]>> = {
  dana: ['payments-developers'],
  alex: ['payments-approvers'],
  sam: ['payments-approvers'],
};

type Name = (typeof AUTHORS)[number] | (typeof APPROVERS)[number];
type Step =
  | { do: 'propose'; who: (typeof AUTHORS)[number] }
  | { do: 'approve'; who: (typeof APPROVERS)[number]; place: number }
  | { do: 'revoke' | 'lift' | 'logout' | 'return'; who: Name };

interface ModelRequest {
  id: string;
  author: Name;
  approvals: Set<Name>;
  applied: boolean;
}

interface Model {
  requests: ModelRequest[];
  revoked: Set<Name>;
  loggedOut: Set<Name>;
}

/** A request that has an approval and waits for its author: where a void approval makes a difference. */
const BEGINNING: readonly Step[] = [
  { do: 'propose', who: 'dana' },
  { do: 'logout', who: 'dana' },
  { do: 'approve', who: 'alex', place: 0 },
];

const names: fc.Arbitrary<Name> = fc.constantFrom(...AUTHORS, ...APPROVERS);
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('propose' as const), who: fc.constantFrom(...AUTHORS) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('approve' as const),
      who: fc.constantFrom(...APPROVERS),
      place: fc.nat(1),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom('revoke', 'lift', 'logout', 'return'), who: names }),
  },
);

it('requests and approvals are what a simple model says, whoever is revoked and comes back', async () => {
  const archive = await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
  const place = await createPlace();
  let nowMs = Date.UTC(2026, 10, 18, 9, 30);
  const control = await openControl({ file: place.database, archive, clock: () => nowMs });
  let flags = 0;
  const advance = () => {
    nowMs += 1000;
  };
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 20 }), async (story) => {
      const model: Model = { requests: [], revoked: new Set(), loggedOut: new Set() };
      for (const step of [...BEGINNING, ...story]) {
        advance();
        await take(step, model);
        advance();
        await tick(control);
        settle(model);
        for (const request of model.requests) {
          const row = await findRequest(control.store.read, request.id);
          expect({ step, state: row?.state }).toEqual({
            step,
            state: request.applied ? 'applied' : 'pending',
          });
        }
      }
      // The next story begins with everybody let in, and nothing open.
      const active = await listActiveRevocations(control.store.read);
      await write(control, own(), async (writing) =>
        liftRevocations(
          writing,
          active.map(({ id }) => id),
          { superseded_by: 'the next story' },
        ),
      );
      for (const { id, applied } of model.requests) {
        if (!applied)
          await write(control, as('dana', nowMs), (writing) =>
            withdraw(writing, { request_id: id, digest: null }),
          );
      }
    }),
    { numRuns: IS_POSTGRES ? 3 : 40 },
  );
  await control.store.close();
  await place.remove();

  async function take(step: Step, model: Model): Promise<void> {
    const call = as(step.who, nowMs);
    switch (step.do) {
      case 'propose': {
        if (isOut(model, step.who)) return;
        flags += 1;
        const content = flagChangeContentSchema.parse(
          proposal([creation(`flag-${flags}`)], { ticket: TICKET }),
        );
        const settled = await write(control, call, (writing) => propose(writing, toContent(content)));
        model.requests.push({
          id: settled.request.id,
          author: step.who,
          approvals: new Set(),
          applied: false,
        });
        model.loggedOut.delete(step.who);
        return;
      }
      case 'approve': {
        const request = model.requests[step.place];
        if (request === undefined || request.applied || isOut(model, step.who)) return;
        const row = await findRequest(control.store.read, request.id);
        await write(control, call, (writing) =>
          approve(writing, { request_id: request.id, digest: row?.digest ?? '', comment: null }),
        );
        request.approvals.add(step.who);
        model.loggedOut.delete(step.who);
        return;
      }
      case 'revoke':
      case 'logout':
        await write(control, own(), (writing) =>
          revoke(writing, {
            kind: 'subject',
            value: step.do === 'revoke' ? step.who : `person:demo:${step.who}`,
            issued_before_ms: step.do === 'revoke' ? null : nowMs,
            incident: 'x',
            reason: 'x',
            cause: step.do === 'revoke' ? 'incident' : 'logout',
            expires_ms: null,
          }),
        );
        (step.do === 'revoke' ? model.revoked : model.loggedOut).add(step.who);
        for (const request of model.requests) if (!request.applied) request.approvals.delete(step.who);
        return;
      case 'lift': {
        const held = (await listActiveRevocations(control.store.read)).filter(
          ({ value }) => value === step.who,
        );
        await write(control, own(), async (writing) =>
          liftRevocations(
            writing,
            held.map(({ id }) => id),
            { request: 'x' },
          ),
        );
        model.revoked.delete(step.who);
        return;
      }
      case 'return': {
        const attempt = write(control, call, (writing) => authorize(writing, { operation: 'session.read' }));
        if (!model.revoked.has(step.who)) {
          await attempt;
          model.loggedOut.delete(step.who);
          return;
        }
        await expect(attempt).rejects.toBeInstanceOf(BrokerError);
      }
    }
  }
});

/** Who is revoked cannot call; who was logged out can, by a new sign-in. */
function isOut(model: Model, who: Name): boolean {
  return model.revoked.has(who);
}

function settle({ requests, revoked, loggedOut }: Model): void {
  for (const request of requests) {
    const waits = revoked.has(request.author) || loggedOut.has(request.author);
    if (request.approvals.size > 0 && !waits) request.applied = true;
  }
}

async function tick(control: ControlDeps): Promise<void> {
  const log = {
    error: ({ err }: { err: unknown }) => {
      throw err;
    },
  };
  await dueRequests({ control, log: log as unknown as Logger }).run();
}

function own(): Call {
  return { principal: schedulerPrincipal, credential: null, http_request_id: null };
}

function as(who: Name, issuedMs: number): Call {
  const principal = personOf(who, GROUPS[who] ?? []);
  return {
    principal,
    credential: {
      issuer: principal.issuer,
      token_id: 'jti:1',
      kid: null,
      issued_ms: issuedMs,
      expires_ms: issuedMs + 60_000,
      session: null,
      proof: null,
    },
    http_request_id: null,
  };
}
