import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Erasure, erase } from '../../../src/log/erase.ts';
import { schedulerPrincipal } from '../../../src/principal.ts';
import { readFlags, revoke } from '../../revocation/support.ts';
import { activateElsewhere, withConfig } from '../../support/activation.ts';
import { createTestClock, exchange, type TestBroker } from '../../support/broker.ts';
import { appendTo, erasureEntry } from '../../support/entries.ts';
import { openEvents } from '../../support/event-client.ts';
import { applyChanges, approve, createFlag, propose, readRequest } from '../../support/flags.ts';
import { personOf } from '../../support/local-control.ts';
import { findContradictions } from '../../support/log-oracle.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { hasPostgres } from '../../support/postgres-server.ts';
import { fetchSnapshot, readerToken, startPublishingBroker } from '../../support/snapshots.ts';
import { asFile } from '../../support/sqlite/copied.ts';

/*
 * Two brokers that both write on one database. What one changes, the very next write on the other meets; its reads follow
 * within a second.
 */

const SOON = { timeout: 5000, interval: 20 };

describe.skipIf(!hasPostgres('several brokers on a database'))('two brokers on one database', () => {
  let database: TestDatabase;
  let one: TestBroker;
  let other: TestBroker;
  let rounds = 0;

  beforeAll(async () => {
    database = await createDatabase();
    one = await startPublishingBroker({
      database: database.address,
      public_url: 'https://countersign.example',
    });
    other = await one.another();
  });

  afterAll(async () => {
    await other.close();
    await one.close();
    await database.remove();
  });

  const enable = (flag: string) => [{ action: 'enable', flag }];
  /** Both ways round: whatever one of them has changed. */
  const pairs = () =>
    [
      [one, other],
      [other, one],
    ] as const;
  const dataToken = (t: TestBroker) => t.workloadToken('checkout', { audience: 'data:production' });
  const served = async (t: TestBroker, token: string, flag: string) =>
    (await t.call(token, 'POST', `/ofrep/v1/evaluate/flags/${flag}`, { context: { targetingKey: 'u' } })).body
      ?.value;

  it('decide by a freeze of the other at once, and show it within a second', async () => {
    for (const [at, [here, there]] of pairs().entries()) {
      const shown = async () =>
        (await there.call('dana', 'GET', '/v1/flags')).headers.get('countersign-freeze') ?? '';
      const flag = await createFlag(here, `frozen-${at}`, { tier: 'informational' });
      const incident = `INC-${at}`;
      expect(await shown()).not.toContain(incident);
      const frozen = { scope: 'flag', flag, incident, reason: 'a test' };
      expect((await here.call('riley', 'POST', '/v1/freezes', frozen)).status).toBe(201);
      const { body } = await propose(there, enable(flag));
      expect(body.state ?? body.code).not.toBe('applied');
      expect(JSON.stringify(body)).toContain('frozen');
      await expect.poll(shown, SOON).toContain(incident);
    }
  });

  it('tell the clients of their streams what the other has published and revoked', async () => {
    for (const [at, [here, there]] of pairs().entries()) {
      const client = await openEvents(`${there.url}/snapshots/production/events`, await readerToken(there));
      const versionOf = (data: string) =>
        decodeJwt<{ version: number }>(JSON.parse(data).pointers[0]).version;
      const revokedOf = (data: string) =>
        decodeJwt<{ revoked: unknown[] }>(JSON.parse(data).readers[0]).revoked.length;
      const readers = await client.next(({ event }) => event === 'readers');
      await createFlag(here, `streamed-${at}`, { tier: 'informational' });
      await one.broker.scheduler.tick();
      await other.broker.scheduler.tick();
      const latest = client.events.filter(({ event }) => event === 'latest');
      const before = Math.max(0, ...latest.map(({ data }) => versionOf(data)));
      await applyChanges(here, enable(`streamed-${at}`));
      await one.broker.scheduler.tick();
      await other.broker.scheduler.tick();
      await client.next(({ event, data }) => event === 'latest' && versionOf(data) > before);
      await revoke(here, 'subject', `workload:checkout-service:nobody-${at}`);
      await client.next(
        ({ event, data }) => event === 'readers' && revokedOf(data) > revokedOf(readers.data),
      );
      client.close();
    }
  });

  // Before the tests that append entries of their own, which the judge of the log does not know.
  it('leave after any schedule of simultaneous calls what some sequence of them could have left', async () => {
    const calls = fc.array(
      fc.record({
        at: fc.boolean(),
        verb: fc.constantFrom('approve', 'again', 'apply', 'withdraw', 'reject', 'freeze', 'edit', 'tick'),
      }),
      { minLength: 4, maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(calls, async (schedule) => {
        rounds += 1;
        const flag = await createFlag(one, `raced-${rounds}`);
        const { body: request } = await propose(other, enable(flag));
        const path = `/v1/requests/${request.id}`;
        const send = (t: TestBroker, verb: string) => {
          if (verb === 'approve') return approve(t, 'alex', request);
          if (verb === 'again') return approve(t, 'sam', request);
          if (verb === 'edit')
            return t.call('dana', 'PATCH', path, { reason: 'edited' }, { 'If-Match': '*' });
          if (verb === 'reject') return t.call('alex', 'POST', `${path}/reject`, { digest: request.digest });
          if (verb === 'freeze')
            return t.call('riley', 'POST', '/v1/freezes', {
              ...{ scope: 'flag', flag, incident: 'INC-3', reason: 'race' },
            });
          if (verb === 'tick') return t.broker.scheduler.tick().then(() => ({ status: 200 }));
          return t.call('dana', 'POST', `${path}/${verb}`);
        };
        const replies = await Promise.all(schedule.map(({ at, verb }) => send(at ? one : other, verb)));
        for (const { status } of replies) expect(status).toBeLessThan(500);
        const views = await Promise.all(
          [one, other].map(async (t) => [
            (await t.call('dana', 'GET', path)).body,
            (await t.call('dana', 'GET', `/v1/flags/${flag}`)).body,
          ]),
        );
        expect(views[0]).toEqual(views[1]);
        const [[seen, { states }]] = views as [
          [{ state: string }, { states: Record<string, { enabled: boolean }> }],
        ];
        expect(states.production?.enabled).toBe(seen.state === 'applied');
      }),
      { numRuns: 10, seed: 1411 },
    );
    expect(await findContradictions(await asFile({ ...one, file: database.address }))).toEqual([]);
  }, 120_000);

  it('decide once what a freeze held back, wherever it is lifted and whichever does the scheduled work', async () => {
    for (const [at, [here, there]] of pairs().entries()) {
      const flag = await createFlag(here, `woken-${at}`, { tier: 'informational' });
      const start_ms = one.clock() + 3_600_000;
      const { body: waiting } = await propose(here, enable(flag), { start_ms });
      const frozen = { scope: 'flag', flag, incident: 'INC-9', reason: 'a test' };
      const { body: freeze } = await here.call('riley', 'POST', '/v1/freezes', frozen);
      one.clock.set(start_ms);
      const tick = () => Promise.all([one, other].map((t) => t.broker.scheduler.tick()));
      await tick();
      expect((await readRequest(here, waiting.id)).state).toBe('ready');
      const lift = { kind: 'freeze.lift', freeze: freeze.id, reason: 'it is over' };
      const { body: request } = await here.call('riley', 'POST', '/v1/requests', lift);
      expect((await approve(there, 'sam', request)).body.state).toBe('applied');
      await tick();
      await tick();
      expect((await readRequest(there, waiting.id)).state).toBe('applied');
      expect(await database.run('select id from wakes')).toEqual([]);
      const moved = `select version from flag_state_versions where flag = '${flag}' and request_id = '${waiting.id}'`;
      expect(await database.run(moved)).toHaveLength(1);
    }
  });

  it('find the checks of a policy that the other runs, and their end', async () => {
    const asked = { patch: [{ op: 'add', path: '/config/limits/request_ttl_s', value: 9_000 }] };
    for (const [here, there] of pairs()) {
      const started = await here.call('morgan', 'POST', '/v1/policy/checks', asked);
      expect(started.status).toBe(202);
      const path = `/v1/policy/checks/${started.body.id}`;
      const seen = await there.call('morgan', 'GET', path);
      expect([seen.status, seen.body.id]).toEqual([200, started.body.id]);
      expect((await there.call('sam', 'GET', path)).status).toBe(404);
      const end = async () => (await there.call('morgan', 'GET', path)).body;
      await expect.poll(async () => (await end()).state, { timeout: 60_000 }).toBe('done');
      const { body } = await here.call('morgan', 'GET', path);
      expect(await end()).toEqual(body);
      expect(body.result.digest).toMatch(/^sha256:/);
    }
    // One that was running at a broker that was killed.
    const killed = await one.call('morgan', 'POST', '/v1/policy/checks', { ...asked, span: 'all' });
    const key = `key = '${killed.body.id}'`;
    await expect
      .poll(
        () => database.run(`select 1 from idempotency_keys where ${key} and body like '%"changes_nothing"%'`),
        {
          timeout: 60_000,
        },
      )
      .toHaveLength(1);
    // By whatever clock that was told: that it has ended is known once this broker has seen nothing new for a while.
    await database.run(`update idempotency_keys set created_ms = created_ms - 60001,
      body = '{"started_ms":1,"ended_ms":null,"progress":null,"done":null,"fault":null}' where ${key}`);
    const { body } = await other.call('morgan', 'GET', `/v1/policy/checks/${killed.body.id}`);
    expect(body).toMatchObject({ state: 'running', fault: null });
  }, 120_000);

  it('count the denials of a stranger together', async () => {
    one.clock.set(Math.ceil(one.clock() / 60_000) * 60_000);
    const stranger = await one.people.idToken('avery', {
      claims: { sub: 'eve', employee_id: 'eve', groups: ['nobody'] },
    });
    for (const t of [one, other, one, other])
      expect((await propose(t, enable('x'), {}, stranger)).status).toBe(403);
    const counts = 'select sum(count)::int as more, count(distinct caller)::int as callers from denials';
    expect(await database.run(counts)).toEqual([{ more: 3, callers: 1 }]);
    one.clock.advance(60_000);
    await Promise.all([one, other].map((t) => t.broker.scheduler.tick()));
    const counted = "select 1 from record_details where operation = 'denials.counted'";
    expect(await database.run(counted)).toHaveLength(1);
  });

  it('refuse whom the other has revoked: writes at once, reads of flags within a second', async () => {
    const flag = await createFlag(one, 'revoked');
    for (const [here, there] of pairs()) {
      const token = await dataToken(there);
      const read = async () => (await readFlags(there, token)).status;
      expect((await propose(there, enable(flag))).status).toBe(201);
      expect(await read()).toBe(200);
      one.clock.advance(1000);
      for (const revoked of ['workload', 'person'])
        expect((await revoke(here, 'class', revoked)).status).toBe(201);
      expect((await propose(there, enable(flag))).status).toBe(401);
      await expect.poll(read, SOON).toBe(401);
      // Then everybody has signed in again.
      one.clock.advance(60_000);
    }
  });

  it('serve a change of the other within a second', async () => {
    const flag = await createFlag(one, 'served');
    const token = await dataToken(one);
    for (const [at, [here, there]] of pairs().entries()) {
      await applyChanges(here, [{ action: at === 0 ? 'enable' : 'disable', flag }]);
      await expect.poll(() => served(there, token, flag), SOON).toBe(at === 0);
    }
  });

  it('accept tokens of a key that the other has just made, and sign with it', async () => {
    for (const [here, there] of pairs()) {
      expect((await here.call('morgan', 'POST', '/v1/keys/rotate')).status).toBe(201);
      const token = await here.workloadToken();
      expect((await there.call(token, 'GET', '/v1/whoami')).status).toBe(200);
      const kid = (signed: string) =>
        JSON.parse(Buffer.from(signed.split('.')[0] ?? '', 'base64url').toString()).kid;
      expect(kid(await there.workloadToken())).toBe(kid(token));
    }
  });

  it('take a token, a key of a retry and an approval once, whichever of them is asked', async () => {
    const both = [one, other, one, other, one, other];
    const token = await one.ci.token();
    const exchanged = await Promise.all(both.map(({ url }) => exchange(url, token)));
    expect(exchanged.filter(({ status }) => status === 200)).toHaveLength(1);
    const flag = await createFlag(one, 'taken-once');
    const body = { environment: 'production', changes: enable(flag), reason: 'a test' };
    const proposed = await Promise.all(
      both.map((t) => t.call('dana', 'POST', '/v1/requests', body, { 'Idempotency-Key': 'same' })),
    );
    expect(new Set(proposed.map((reply) => reply.body.id)).size).toBe(1);
    await Promise.all(both.map((t) => approve(t, 'alex', proposed[0]?.body)));
    const { body: after } = await other.call('dana', 'GET', `/v1/requests/${proposed[0]?.body.id}`);
    expect(after.state).toBe('applied');
  });

  it('decide by a policy that the other has activated, from the next write on', async () => {
    const archive = await readFile(join(one.folder, 'bundle.tar.gz'));
    for (const [at, [here, there]] of pairs().entries()) {
      const changed = await withConfig(archive, (config) => {
        Object.assign(config.limits ?? {}, { request_ttl_s: 10_000 + at });
      });
      const hash = await activateElsewhere(here.broker.store, changed, here.clock());
      const flag = await createFlag(there, `policy-${at}`);
      const rows = await database.run('select policy_hash from record_details order by place desc limit 1');
      expect(rows).toEqual([{ policy_hash: hash }]);
      expect(flag).toBe(`policy-${at}`);
    }
  });

  it('publish each version once, at once while they run, and both serve it', async () => {
    const flag = await createFlag(one, 'published', { tier: 'informational' });
    const versions = async () =>
      (
        await database.run("select version from snapshots where environment = 'production' order by place")
      ).map(({ version }) => Number(version));
    await Promise.all([one.broker.scheduler.tick(), other.broker.scheduler.tick()]);
    const first = (await versions()).at(-1) ?? 0;
    expect(first).toBeGreaterThan(0);
    for (const { broker } of [one, other]) broker.scheduler.start();
    // Whichever of them does the scheduled work.
    await applyChanges(one, enable(flag));
    await expect.poll(async () => (await versions()).at(-1), SOON).toBe(first + 1);
    await applyChanges(other, [{ action: 'disable', flag }]);
    await expect.poll(async () => (await versions()).at(-1), SOON).toBe(first + 2);
    for (const { broker } of [one, other]) await broker.scheduler.stop();
    const found = await versions();
    expect(new Set(found).size).toBe(found.length);
    const pointers = [];
    for (const t of [one, other]) {
      const { status, bytes } = await fetchSnapshot(t, await readerToken(t), 'latest.json');
      expect(status).toBe(200);
      pointers.push(decodeJwt(JSON.parse(bytes.toString()).pointers[0]).digest);
    }
    expect(pointers[0]).toBe(pointers[1]);
  });

  it('publish what the one that does the scheduled work has not published for some seconds', async () => {
    const flag = await createFlag(one, 'left', { tier: 'informational' });
    const holds = await Promise.all([one, other].map(({ broker }) => broker.store.isScheduler()));
    expect(holds.filter(Boolean)).toHaveLength(1);
    const [holder, follower] = holds[0] === true ? [one, other] : [other, one];
    const version = async () =>
      decodeJwt(
        JSON.parse((await fetchSnapshot(one, await readerToken(one), 'latest.json')).bytes.toString())
          .pointers[0],
      ).version as number;
    await holder.broker.scheduler.tick();
    const first = await version();
    await applyChanges(holder, enable(flag));
    await follower.broker.scheduler.tick();
    expect(await version()).toBe(first);
    one.clock.advance(2000);
    // It keeps its right.
    expect(await holder.broker.store.isScheduler()).toBe(true);
    await follower.broker.scheduler.tick();
    expect(await version()).toBe(first + 1);
    await holder.broker.scheduler.tick();
    expect(await version()).toBe(first + 1);
  });

  it('keep one order of time, and refuse where a clock is behind the record of the other', async () => {
    const flag = await createFlag(one, 'on-time');
    const clock = createTestClock(one.clock() + 120_000);
    const ahead = await one.another(clock);
    const { body: early } = await propose(ahead, enable(flag));
    expect(early.state).toBe('pending');
    const refused = await approve(one, 'alex', early);
    expect([refused.status, refused.body.code]).toEqual([503, 'clock_behind']);
    expect(refused.headers.get('retry-after')).toBe('60');
    expect((await one.call(null, 'GET', '/readyz?for=writes')).status).toBe(503);
    expect((await readRequest(one, early.id)).state).toBe('pending');
    // Within what is tolerated, a write takes the time of the last record.
    one.clock.set(clock() - 4000);
    expect((await approve(one, 'alex', early)).body.state).toBe('applied');
    await ahead.close();
    expect(
      await database.run(`select one.place from record_details one
        join record_details next on next.place = one.place + 1 where next.at_ms < one.at_ms`),
    ).toEqual([]);
  });

  it('name somebody anew whose name the other has erased', async () => {
    const pseudonymIn = async (place: number) => {
      const [row] = await database.run(`select leaf from leaves where place = ${place}`);
      return JSON.parse(String(row?.leaf)).principal.pseudonym as string;
    };
    await one.beforeForging();
    const byDana = { principal: personOf('dana', ['everybody']) };
    const { store } = one.broker;
    const before = await pseudonymIn(await appendTo(store, byDana));
    expect(await pseudonymIn(await appendTo(store, byDana))).toBe(before);
    const names = (await database.run(
      `select kind, name from pseudonyms where pseudonym = '${before}'`,
    )) as unknown as Erasure['names'];
    await other.broker.store.writer.write(async (tx) =>
      erase(tx, { places: [], names }, await erasureEntry(tx, { principal: schedulerPrincipal })),
    );
    expect(await pseudonymIn(await appendTo(store, byDana))).not.toBe(before);
  });
});
