import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Call } from '../../src/decide/control.ts';
import { BrokerError } from '../../src/errors.ts';
import { DRILL_PRINCIPAL, runDrill } from '../../src/revocation/drill.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { personOf } from '../support/local-control.ts';
import { findContradictions } from '../support/log-oracle.ts';
import { liftWithTwo, otherControl, revoke } from './support.ts';

let t: TestBroker;

beforeEach(async () => {
  t = await startTestBroker();
});

afterEach(async () => {
  expect(await findContradictions(t.file)).toEqual([]);
  await t.close();
});

const drill = (who = 'riley') => t.call(who, 'POST', '/v1/drills/revocation');
const drillRecords = async () =>
  (await t.call('avery', 'GET', '/v1/decisions?operation=revocation.drill')).body.items;

describe('a revocation drill', () => {
  it.each(['riley', 'sam', 'morgan'])('by %s mints, uses, revokes and proves the refusal', async (who) => {
    const { status, body } = await drill(who);
    expect(status).toBe(201);
    expect(body).toMatchObject({
      outcome: 'passed',
      steps: [
        { step: 'mint', ok: true },
        { step: 'use', ok: true, detail: 'answered 200' },
        { step: 'revoke', ok: true, detail: body.revocation },
        { step: 'refuse', ok: true, detail: 'answered 401' },
      ],
    });
    const { body: revocation } = await t.call('riley', 'GET', `/v1/revocations/${body.revocation}`);
    expect(revocation).toMatchObject({
      kind: 'token',
      value: `${t.url}#${body.token_id}`,
      incident: `drill ${body.id}`,
    });
  });

  it('leaves records that auditors can cite', async () => {
    const { body } = await drill();
    const records = await drillRecords();
    expect(
      records.map((record: { outcome: { note: { code: string } } }) => record.outcome.note.code),
    ).toEqual(['drill_passed', 'revocation', 'drill_begun']);
    expect(records[0]).toMatchObject({ id: body.decision_id, principal: { id: 'person:demo:riley' } });
    expect(records[0].outcome.note.detail).toContain(body.revocation);
    expect(records.map(({ id }: { id: string }) => id)).toEqual([
      body.decision_id,
      body.steps[2].decision_id,
      body.steps[0].decision_id,
    ]);
  });

  it.each(['dana', 'alex', 'avery', 'casey'])('is not run by %s', async (who) => {
    expect((await drill(who)).body.code).toBe('policy_denied');
    expect((await t.call('avery', 'GET', '/v1/revocations')).body.items).toEqual([]);
  });

  it('is not run by a workload', async () => {
    expect((await drill(await t.workloadToken())).body.code).toBe('policy_denied');
  });

  it('fails, and is recorded as failed, where the token does not work to begin with', async () => {
    const { body: revoked } = await revoke(t, 'subject', DRILL_PRINCIPAL);
    const { body } = await drill();
    expect(body).toMatchObject({
      outcome: 'failed',
      steps: [
        { ok: true },
        { step: 'use', ok: false, detail: 'answered 401, expected 200' },
        { ok: true },
        { ok: true },
      ],
    });
    expect((await drillRecords())[0]).toMatchObject({
      id: body.decision_id,
      outcome: { note: { code: 'drill_failed', detail: expect.stringMatching(/use FAILED/) } },
    });
    await liftWithTwo(t, revoked.id);
    expect((await drill()).body.outcome).toBe('passed');
  });

  it('fails where a revoked token still works, or nobody answers', async () => {
    const tokens: string[] = [];
    const control = await otherControl(t);
    const run = (use: (token: string) => Promise<number>) =>
      runDrill(
        {
          control,
          signingKeys: {
            signer:
              async () =>
              async ({ jti }) =>
                `token ${jti}`,
          },
          issuer: t.url,
          use,
        },
        responder(),
      );
    const deaf = await run(async (token) => {
      tokens.push(token);
      return 200;
    });
    expect(deaf).toMatchObject({
      outcome: 'failed',
      steps: [{}, { ok: true }, { ok: true }, { step: 'refuse', ok: false }],
    });
    expect(new Set(tokens).size).toBe(1);
    const silent = await run(async () => 0);
    expect(silent.steps.map(({ ok }) => ok)).toEqual([true, false, true, false]);
    expect((await drillRecords())[0].outcome.note.code).toBe('drill_failed');
  });

  it('is no drill when its outcome cannot be recorded', async () => {
    const control = await otherControl(t);
    const writer = { ...t.broker.store.writer };
    let writes = 0;
    writer.write = (work) => {
      writes += 1;
      if (writes === 3) throw new BrokerError('not_recorded', 'the disk is full');
      return t.broker.store.writer.write(work);
    };
    const attempt = runDrill(
      {
        control: { ...control, store: { ...control.store, writer } },
        signingKeys: { signer: async () => async () => 'token' },
        issuer: t.url,
        use: async () => 200,
      },
      responder(),
    );
    await expect(attempt).rejects.toMatchObject({ code: 'not_recorded' });
    expect(
      (await drillRecords()).map(
        (record: { outcome: { note: { code: string } } }) => record.outcome.note.code,
      ),
    ).toEqual(['revocation', 'drill_begun']);
  });
});

function responder(): Call {
  const riley = personOf('riley', ['responders'], 'emp-1005');
  return { principal: { ...riley, issuer: t.people.issuer }, credential: null, http_request_id: null };
}
