import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { authorize } from '../../src/decide/authorize.ts';
import { recordCounts } from '../../src/decide/counted-denials.ts';
import { decideFor } from '../../src/decide/strangers.ts';
import { write } from '../../src/decide/write.ts';
import { OPERATIONS, type Operation } from '../../src/operations.ts';
import { NO_EMERGENCY } from '../../src/policy/input.ts';
import { startTestBroker, type TestBroker, WORKING_HOURS_MS } from '../support/broker.ts';
import { createFlag, propose } from '../support/flags.ts';
import { openControl, personOf } from '../support/local-control.ts';
import { findContradictions, type LogEntry, readLog } from '../support/log-oracle.ts';
import { everyRow, sizeOf } from '../support/sqlite/file.ts';

/* Design, invariant 3: repeated denials of a caller without any grant are counted; no other denial coalesces. */

const MINUTE_MS = 60_000;
const ARCHIVE = new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url);

let t: TestBroker | undefined;
afterEach(async () => {
  await t?.close();
  t = undefined;
});

/** A broker in which `avery` reads the log, `casey` has a role that only reads keys, and one group is bound to nothing. */
async function start(): Promise<TestBroker> {
  t = await startTestBroker({
    editData: (data) => {
      const edited = structuredClone(data) as {
        config: {
          operations: Record<string, { roles: { any: string[] } }>;
          role_bindings: { groups: Record<string, Record<string, unknown>> };
        };
      };
      edited.config.operations['key.read']?.roles.any.push('key-reader');
      for (const groups of Object.values(edited.config.role_bindings.groups)) {
        groups['key-readers'] = [{ roles: ['key-reader'], namespaces: ['*'], environments: ['*'] }];
      }
      return edited;
    },
  });
  await createFlag(t, 'checkout');
  return t;
}

function tokenOf(broker: TestBroker, sub: string, group = 'nobody'): Promise<string> {
  return broker.people.idToken('avery', { claims: { sub, employee_id: sub, groups: [group] } });
}

function denialsOf({ file }: TestBroker): LogEntry[] {
  return readLog(file).filter(({ result }) => result.effect === 'deny');
}

interface Counts {
  from_ms: number;
  to_ms: number;
  denials: { decision_id: string; operation: string; count: number }[];
}

function countsOf(broker: TestBroker): Counts[] {
  return readLog(broker.file)
    .filter(({ operation }) => operation === 'denials.counted')
    .map(({ input_json }) => JSON.parse(input_json) as Counts);
}

/** Ends the minute, and lets the scheduler look. */
async function endMinute(broker: TestBroker): Promise<void> {
  broker.clock.advance(MINUTE_MS);
  await broker.broker.scheduler.tick();
}

describe('a caller without any grant', () => {
  it('is refused without content: nothing of a large proposal is kept, and only one thing is told', async () => {
    const broker = await start();
    const nobody = await tokenOf(broker, 'nobody');
    const secret = 'only-in-this-proposal';
    const organizations = Array.from({ length: 1600 }, (_, place) => `${secret}-${place}`.padEnd(100, 'x'));
    const audience = { kind: 'some', organizations, users: [] };
    const large = [{ action: 'set_audience', flag: 'checkout', audience }];
    expect(JSON.stringify(large).length).toBeGreaterThan(160_000);
    const asked = [
      await propose(broker, large, { reason: secret }, nobody),
      await propose(broker, [{ action: 'enable', flag: 'checkout' }], { reason: secret }, nobody),
      await propose(broker, [{ action: 'enable', flag: 'no.such.flag' }], { reason: secret }, nobody),
      await broker.call(nobody, 'POST', '/v1/freezes', { scope: 'all', incident: secret, reason: secret }),
    ];
    expect(asked.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
    for (const { body } of asked) {
      expect(body.reasons).toEqual([{ code: 'unknown_principal', detail: expect.any(String) }]);
    }
    const [first, ...more] = denialsOf(broker);
    expect(more).toEqual([]);
    expect(first?.input).toMatchObject({ request: null, approvals: [], rejections: [] });
    expect(asked.map(({ body }) => body.decision_id)).toEqual(asked.map(() => first?.id));
    expect(JSON.stringify(everyRow(broker.file))).not.toContain(secret);
    expect(await findContradictions(broker.file)).toEqual([]);
  });

  it('is recorded once a minute; the rest is counted, and the count becomes a record', async () => {
    const broker = await start();
    const nobody = await tokenOf(broker, 'nobody');
    for (let round = 0; round < 3; round += 1) {
      for (const path of ['/v1/freezes', '/v1/decisions', '/v1/requests']) {
        expect((await broker.call(nobody, 'GET', path)).status).toBe(403);
      }
    }
    const [first, ...more] = denialsOf(broker);
    expect([first?.operation, more]).toEqual(['freeze.read', []]);
    await broker.broker.scheduler.tick();
    expect(countsOf(broker)).toEqual([]);
    await endMinute(broker);
    const decision_id = first?.id;
    expect(countsOf(broker)).toEqual([
      {
        operation: 'denials.counted',
        principal: expect.objectContaining({ id: 'workload:countersign:scheduler' }),
        from_ms: Math.floor(WORKING_HOURS_MS / MINUTE_MS) * MINUTE_MS,
        to_ms: Math.floor(WORKING_HOURS_MS / MINUTE_MS) * MINUTE_MS + MINUTE_MS,
        denials: [
          { decision_id, operation: 'decision.read', count: 3 },
          { decision_id, operation: 'freeze.read', count: 2 },
          { decision_id, operation: 'request.read', count: 3 },
        ],
      },
    ]);
    // The next minute begins with a record again, and one denial is not counted.
    expect((await broker.call(nobody, 'GET', '/v1/freezes')).body.decision_id).not.toBe(decision_id);
    await endMinute(broker);
    await endMinute(broker);
    expect(countsOf(broker)).toHaveLength(1);
    expect(denialsOf(broker).map(({ operation }) => operation)).toEqual([
      'freeze.read',
      'denials.counted',
      'freeze.read',
    ]);
    const listed = await broker.call('avery', 'GET', '/v1/decisions?operation=denials.counted');
    expect(listed.body.items).toHaveLength(1);
    expect(listed.body.items[0].outcome.reasons[0].detail).toMatch(/^Denied 8 more calls/);
    expect(await findContradictions(broker.file)).toEqual([]);
  });

  it('is counted durably: a restart in between loses nothing', async () => {
    const broker = await start();
    const nobody = await tokenOf(broker, 'nobody');
    for (let call = 0; call < 4; call += 1) await broker.call(nobody, 'GET', '/v1/freezes');
    await broker.restart();
    await broker.call(nobody, 'GET', '/v1/freezes');
    broker.clock.advance(MINUTE_MS);
    await broker.restart();
    await broker.broker.scheduler.tick();
    expect(countsOf(broker).map(({ denials }) => denials.map(({ count }) => count))).toEqual([[4]]);
    expect(everyRow(broker.file).denials).toEqual([]);
  });

  it('is not remembered for access reviews, so that strangers cannot fill those', async () => {
    const broker = await start();
    for (let sub = 0; sub < 20; sub += 1) {
      await broker.call(await tokenOf(broker, `stranger-${sub}`), 'GET', '/v1/freezes');
    }
    await broker.broker.scheduler.tick();
    expect(JSON.stringify(everyRow(broker.file).principals)).not.toContain('stranger');
  });
});

describe('a denial of a caller with a grant', () => {
  it.each([
    ['a deployer', 'dana', undefined],
    ['a holder of a role that no access review shows', 'casey', 'key-readers'],
  ])('is a record each: %s', async (_who, sub, group) => {
    const broker = await start();
    const token = group === undefined ? sub : await tokenOf(broker, sub, group);
    const ids = new Set<string>();
    for (let call = 0; call < 3; call += 1) {
      const { status, body } = await broker.call(token, 'POST', '/v1/keys/rotate');
      expect(status, JSON.stringify(body)).toBe(403);
      ids.add(body.decision_id);
    }
    expect(ids.size).toBe(3);
    expect(denialsOf(broker).map(({ id }) => id)).toEqual([...ids]);
    await endMinute(broker);
    expect(countsOf(broker)).toEqual([]);
  });
});

describe('many strangers', () => {
  it('leave no more than a few records a minute, however many they are: 100,000 stay under 10 MiB', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-'));
    const file = join(folder, 'countersign.db');
    let nowMs = WORKING_HOURS_MS;
    const control = await openControl({ file, archive: await readFile(ARCHIVE), clock: () => nowMs });
    /** Denials of so many strangers, each of whom shows large claims. */
    const deny = async (from: number, count: number) => {
      for (let start = from; start < from + count; start += 50) {
        const batch = Array.from({ length: 50 }, (_, place) => `stranger-${start + place}`);
        await Promise.all(
          batch.map((name) => {
            const groups = Array.from({ length: 40 }, (_, group) => `${name}-of-group-${group}`);
            const call = { principal: personOf(name, groups), credential: null, http_request_id: null };
            return write(control, call, (writing) => authorize(writing, { operation: 'freeze.read' })).catch(
              () => undefined,
            );
          }),
        );
      }
    };
    const before = sizeOf(file);
    await deny(0, 50);
    const afterFirst = sizeOf(file);
    await deny(50, 1000);
    // The first ones of a minute cost something; the others cost nothing, so that it does not matter how many they are.
    expect(sizeOf(file) - afterFirst).toBeLessThan(16_384);
    nowMs += MINUTE_MS;
    await recordCounts(control);
    // 100,000 denials at 1,000 a minute are 100 minutes.
    const perMinute = sizeOf(file) - before;
    expect(100 * perMinute).toBeLessThan(10 * 1024 * 1024);
    const log = readLog(file).filter(({ result }) => result.effect === 'deny');
    expect(log.map(({ operation }) => operation)).toEqual([
      ...Array(11).fill('freeze.read'),
      'denials.counted',
    ]);
    const counted = JSON.parse(log.at(-1)?.input_json ?? '') as Counts;
    expect(counted.denials).toEqual([
      { decision_id: log[10]?.id, operation: 'freeze.read', count: 1050 - 11 },
    ]);
    await control.store.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('are denied without content whatever they ask, so that no operation is left to flood with', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-'));
    const control = await openControl({
      file: join(folder, 'countersign.db'),
      archive: await readFile(ARCHIVE),
      clock: () => WORKING_HOURS_MS,
    });
    const policy = await control.policies.active(control.store.read);
    const needsGrant = (Object.keys(OPERATIONS) as Operation[]).filter(
      (operation) => OPERATIONS[operation].capability !== null,
    );
    expect(needsGrant.length).toBeGreaterThan(20);
    for (const operation of needsGrant) {
      const question = {
        operation,
        principal: personOf('stranger', ['nobody']),
        environment: null,
        namespace: null,
        request: null,
        approvals: [],
        rejections: [],
        emergency: NO_EMERGENCY,
      };
      const { effect, without_content } = decideFor(policy, question, WORKING_HOURS_MS);
      expect({ operation, effect, without_content }).toEqual({
        operation,
        effect: 'deny',
        without_content: true,
      });
    }
    await control.store.close();
    await rm(folder, { recursive: true, force: true });
  });
});
