import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { authorize } from '../../src/decide/authorize.ts';
import type { Call } from '../../src/decide/control.ts';
import { write } from '../../src/decide/write.ts';
import { BrokerError } from '../../src/errors.ts';
import { schedulerPrincipal } from '../../src/principal.ts';
import { revoke as revokeIn } from '../../src/revocation/revoke.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose } from '../support/flags.ts';
import { personOf } from '../support/local-control.ts';
import { everyRow } from '../support/sqlite/file.ts';
import { USAGE_TABLES } from '../support/sqlite/rows.ts';
import { INCIDENT, otherControl, readFlags, revoke, status } from './support.ts';

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
});

afterEach(() => t.close());

/** A call of dana's, as it is after authentication. */
function danasCall(): Call {
  return {
    principal: personOf('dana', ['payments-developers'], 'emp-1001'),
    credential: {
      issuer: t.people.issuer,
      token_id: 'jti:1',
      kid: null,
      issued_ms: t.clock(),
      expires_ms: t.clock() + 60_000,
      session: null,
      proof: null,
    },
    http_request_id: null,
  };
}

const order = {
  kind: 'subject',
  value: 'emp-1001',
  issued_before_ms: null,
  ...INCIDENT,
  cause: 'incident',
  expires_ms: null,
} as const;

describe('who is revoked between authentication and write', () => {
  it('is refused by the write, which leaves nothing behind', async () => {
    const control = await otherControl(t);
    const call = danasCall();
    expect(
      await control.revocations
        .latest()
        .hit(t.broker.store.read, { ...call, credential: call.credential ?? never() }),
    ).toBeNull();
    await revoke(t, 'subject', 'emp-1001');
    const attempt = write(control, call, async (writing) =>
      authorize(writing, { operation: 'session.read' }),
    );
    await expect(attempt).rejects.toMatchObject({ code: 'token_invalid' });
  });

  it('is refused in the same batch of writes, and everything before in the batch counts', async () => {
    const control = await otherControl(t);
    const attempt = () =>
      write(control, danasCall(), async (writing) => authorize(writing, { operation: 'session.read' }));
    const outcomes = await Promise.allSettled([
      attempt(),
      write(control, { ...danasCall(), credential: null }, (writing) => revokeIn(writing, order)),
      attempt(),
      attempt(),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
  });

  it('writes nothing after the revocation, however many calls are in flight', async () => {
    await createFlag(t, 'plain', { tier: 'informational' });
    for (let round = 0; round < 5; round += 1) {
      const calls = ['enable', 'disable', 'enable', 'disable'].map((action) =>
        propose(t, [{ action, flag: 'plain' }]),
      );
      const [revoked] = await Promise.all([revoke(t, 'subject', 'person:demo:dana'), ...calls]);
      expect(revoked?.status).toBe(201);
      const { items } = (await t.call('avery', 'GET', '/v1/decisions?limit=200')).body;
      const since = items.find(
        ({ operation }: { operation: string }) => operation === 'revocation.add',
      ).place;
      const later = items.filter(
        (item: { place: number; principal: { id: string } }) =>
          item.place > since && item.principal.id === 'person:demo:dana',
      );
      expect(later).toEqual([]);
      const proposed = await t.call('riley', 'POST', '/v1/requests', {
        kind: 'revocation.lift',
        revocation: revoked?.body.id,
        reason: 'the next round',
      });
      await t.call('sam', 'POST', `/v1/requests/${proposed.body.id}/approve`, {
        digest: proposed.body.digest,
      });
    }
  });
});

describe('a revocation that is undone', () => {
  it('is seen inside its write only, and leaves the list in memory as it was', async () => {
    await createFlag(t, 'plain');
    const token = await t.workloadToken('checkout', { audience: 'data:production' });
    const control = await otherControl(t);
    const caller = { ...danasCall(), credential: danasCall().credential ?? never() };
    const attempt = write(control, { ...caller, credential: null }, async (writing) => {
      await revokeIn(writing, order);
      await revokeIn(writing, { ...order, kind: 'trust_rule', value: 'checkout-service' });
      expect(await writing.revocations.hit(writing.tx, caller)).not.toBeNull();
      // By then the read connection sees the state before, and the list is read for each as it is there.
      expect(await control.revocations.latest().hit(t.broker.store.read, caller)).toBeNull();
      expect(await writing.revocations.hit(writing.tx, caller)).not.toBeNull();
      expect(control.revocations.hitByLatest(caller)).toBeNull();
      throw new BrokerError('state_conflict', 'undone');
    });
    await expect(attempt).rejects.toMatchObject({ code: 'state_conflict' });
    expect(control.revocations.hitByLatest(caller)).toBeNull();
    expect(await control.revocations.latest().hit(t.broker.store.read, caller)).toBeNull();
    expect((await t.call('dana', 'GET', '/v1/whoami')).status).toBe(200);
    expect((await readFlags(t, token)).status).toBe(200);
  });

  it('leaves no session ended, no approval void and no key retired', async () => {
    const before = dump(t);
    const attempt = write(await otherControl(t), { ...danasCall(), credential: null }, async (writing) => {
      await revokeIn(writing, order);
      throw new BrokerError('state_conflict', 'undone');
    });
    await expect(attempt).rejects.toThrow();
    expect(dump(t)).toEqual(before);
  });
});

describe('several brokers on one store', () => {
  it('refuse on the next request what one of them has revoked, and let in what it has lifted', async () => {
    const [one, other] = [await otherControl(t), await otherControl(t)];
    const caller = { ...danasCall(), credential: danasCall().credential ?? never() };
    const { read } = t.broker.store;
    for (const control of [one, other]) {
      expect(await control.revocations.latest().hit(read, caller)).toBeNull();
    }
    const token = await t.people.idToken('dana');
    await write(one, { principal: schedulerPrincipal, credential: null, http_request_id: null }, (writing) =>
      revokeIn(writing, order),
    );
    for (const control of [one, other])
      expect(await control.revocations.latest().hit(read, caller)).not.toBeNull();
    expect(await status(t, token)).toBe(401);
  });

  it('refuse reads of flags after their next look', async () => {
    await createFlag(t, 'plain');
    const token = await t.workloadToken('checkout', { audience: 'data:production' });
    expect((await readFlags(t, token)).status).toBe(200);
    await write(
      await otherControl(t),
      { principal: schedulerPrincipal, credential: null, http_request_id: null },
      (writing) => revokeIn(writing, { ...order, kind: 'trust_rule', value: 'checkout-service' }),
    );
    await t.broker.scheduler.tick();
    expect((await readFlags(t, token)).status).toBe(401);
  });
});

describe('a dry run', () => {
  it.each([
    ['subject', 'emp-1001'],
    ['class', 'all'],
    ['trust_rule', 'payments-deploy'],
  ])('of a %s changes nothing, and says what the revocation then hits', async (kind, value) => {
    await createFlag(t, 'checkout');
    await createFlag(t, 'danger', { tier: 'high-risk' });
    const job = await t.workloadToken();
    const byJob = await propose(t, [{ action: 'enable', flag: 'checkout' }], { ticket: 'PAY-1' }, job);
    const byDana = await propose(t, [{ action: 'enable', flag: 'danger' }], { ticket: 'PAY-1' });
    await t.call('alex+mfa', 'POST', `/v1/requests/${byDana.body.id}/approve`, {
      digest: byDana.body.digest,
    });
    await t.call('riley', 'GET', '/v1/whoami');
    await t.broker.scheduler.tick();
    t.clock.advance(1000);
    const before = dump(t);
    const preview = await revoke(t, kind, value, { dry_run: true });
    expect(preview.status).toBe(200);
    expect(preview.body.dry_run).toBe(true);
    expect(dump(t)).toEqual(before);
    const real = await revoke(t, kind, value);
    expect(real.body.hits).toEqual(preview.body.hits);
    expect(real.body.cautions).toEqual(preview.body.cautions);
    const { hits } = real.body;
    const parked = {
      subject: [byJob.body.id, byDana.body.id],
      class: [byJob.body.id, byDana.body.id],
      trust_rule: [byJob.body.id],
    }[kind];
    expect(hits.requests.map(({ id }: { id: string }) => id).sort()).toEqual(parked?.sort());
    expect(hits.tokens).toHaveLength(1);
    expect(hits.approvals).toHaveLength(kind === 'class' ? 1 : 0);
    expect(real.body.cautions.map(({ code }: { code: string }) => code)).toEqual(
      kind === 'class' ? ['hits_you'] : [],
    );
  });

  it('is denied as the revocation itself is, and recorded as a dry run', async () => {
    const denied = await revoke(t, 'subject', 'emp-1002', { dry_run: true }, 'dana');
    expect(denied.status).toBe(403);
    const { items } = (await t.call('avery', 'GET', '/v1/decisions?operation=revocation.preview')).body;
    expect(items).toMatchObject([{ id: denied.body.decision_id, outcome: { effect: 'deny' } }]);
  });

  it('names who is nearest to somebody whom nobody knows, and what is revoked already', async () => {
    await t.call('dana', 'GET', '/v1/whoami');
    t.clock.advance(60_000);
    await t.broker.scheduler.tick();
    const unknown = await revoke(t, 'subject', 'emp-1011', { dry_run: true });
    expect(unknown.body.cautions).toEqual([
      { code: 'unknown_subject', detail: expect.stringMatching(/Did you mean emp-1001\?$/) },
    ]);
    const { body } = await revoke(t, 'subject', 'emp-1001');
    const again = await revoke(t, 'subject', 'EMP-1001', { dry_run: true });
    expect(again.body.cautions).toEqual([
      { code: 'revoked_already', detail: expect.stringContaining(body.id) },
    ]);
  });
});

/** Every row of every table but who was seen when, which each call notes. */
function dump({ file }: TestBroker): Record<string, unknown[]> {
  return everyRow(file, USAGE_TABLES);
}

function never(): never {
  throw new Error('there is a credential');
}
