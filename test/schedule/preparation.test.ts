import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RequestKind } from '../../src/decide/control.ts';
import { flagChange } from '../../src/requests/kinds/flag-change.ts';
import { createRequestKinds, REQUEST_KINDS } from '../../src/requests/kinds/kinds.ts';
import { RunAgain } from '../../src/store/run-again.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose, readRequest } from '../support/flags.ts';

let t: TestBroker;
/** Whether requests with the ticket SLOW-1 have to be prepared. */
let isSlow: boolean;
let prepared: () => void;
let whenPrepared: Promise<void>;
let preparations: number;

beforeEach(async () => {
  isSlow = false;
  preparations = 0;
  ({ promise: whenPrepared, resolve: prepared } = Promise.withResolvers<void>());
  const slow: typeof flagChange = {
    ...flagChange,
    plan: async (db, content, context) => {
      if (isSlow && content.ticket === 'SLOW-1') {
        throw new RunAgain('what takes long', async () => {
          preparations += 1;
          await whenPrepared;
          isSlow = false;
        });
      }
      return flagChange.plan(db, content, context);
    },
  };
  const kinds = REQUEST_KINDS.map((kind) => (kind.name === 'flag.change' ? (slow as RequestKind) : kind));
  t = await startTestBroker({ kinds: createRequestKinds(kinds) });
});

afterEach(() => t.close());

/** A request that starts in a minute. */
async function scheduled(flag: string, ticket: string | null = null): Promise<string> {
  await createFlag(t, flag, { tier: 'informational' });
  const { body } = await propose(t, [{ action: 'enable', flag }], { start_ms: t.clock() + 60_000, ticket });
  expect(body.state).toBe('ready');
  return body.id;
}

const stateOf = async (id: string) => (await readRequest(t, id)).state;

/** Waits until the preparation has begun. */
async function begun(): Promise<void> {
  while (preparations === 0) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe('the scheduler, while a request that is due has to be prepared', () => {
  it('goes on with all others, those that become due meanwhile too, and settles it once', async () => {
    const [slow, quick, later] = [await scheduled('slow', 'SLOW-1'), await scheduled('quick'), 'later'];
    isSlow = true;
    t.clock.advance(60_000);
    t.broker.scheduler.start();
    await begun();
    while ((await stateOf(quick)) !== 'applied') await new Promise((resolve) => setTimeout(resolve, 20));
    const next = await scheduled(later);
    t.clock.advance(60_000);
    while ((await stateOf(next)) !== 'applied') await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await stateOf(slow)).toBe('ready');
    expect(preparations).toBe(1);
    prepared();
    await t.broker.scheduler.tick();
    expect(await stateOf(slow)).toBe('applied');
  });

  it('stops without waiting for it, and settles it after the next start', async () => {
    const slow = await scheduled('slow', 'SLOW-1');
    isSlow = true;
    t.clock.advance(60_000);
    t.broker.scheduler.start();
    await begun();
    await t.restart();
    expect(await stateOf(slow)).toBe('ready');
    isSlow = false;
    await t.broker.scheduler.tick();
    expect(await stateOf(slow)).toBe('applied');
  });
});
