import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createTerminal } from '../cli/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag } from '../support/flags.ts';

/** The application of docs/applications.md, as it stands there. */
interface Flags {
  isOn(flag: string, context?: Record<string, string>): Promise<boolean>;
  close(): Promise<void>;
}
type OpenFlags = (options: {
  broker: string;
  environment: string;
  env?: Record<string, string>;
  clock?: () => number;
  getToken?: () => Promise<unknown>;
}) => Promise<Flags>;

const SAMPLE = new URL('../../docs/examples/application/flags.mjs', import.meta.url).href;

let t: TestBroker;
let openFlags: OpenFlags;
let flags: Flags | undefined;

beforeAll(async () => {
  ({ openFlags } = (await import(SAMPLE)) as { openFlags: OpenFlags });
  t = await startTestBroker();
  await createFlag(t, 'sample', { tier: 'informational' });
  await applyChanges(t, [{ action: 'enable', flag: 'sample' }]);
});
afterEach(() => flags?.close());
afterAll(() => t.close());

/** The life of a pod's token. */
const HOUR_S = 3600;

/** A file that the platform replaces, as the kubelet does. */
async function project(file: string): Promise<void> {
  const exp = Math.floor(t.clock() / 1000) + HOUR_S;
  await writeFile(file, await t.ci.checkoutToken({ exp }));
}

function start(file: string): Promise<Flags> {
  return openFlags({
    broker: t.url,
    environment: 'production',
    env: { COUNTERSIGN_SUBJECT_TOKEN_FILE: file },
    clock: t.clock,
  });
}

describe('the sample application', () => {
  it('reads on past three token lives, and after the container restarts, from one token of the pod', async () => {
    const file = join(t.folder, 'pod-token');
    await project(file);
    flags = await start(file);
    expect(await flags.isOn('sample')).toBe(true);
    // A token of the broker lives for ten minutes.
    for (let minute = 5; minute <= 40; minute += 5) {
      t.clock.advance(5 * 60_000);
      expect(await flags.isOn('sample'), `after ${minute} minutes`).toBe(true);
    }
    await flags.close();
    flags = await start(file);
    expect(await flags.isOn('sample')).toBe(true);
  });

  it('goes on with the next token of the platform', async () => {
    const file = join(t.folder, 'rotated-token');
    await project(file);
    flags = await start(file);
    for (let turn = 0; turn < 4; turn += 1) {
      expect(await flags.isOn('sample')).toBe(true);
      t.clock.advance(50 * 60_000);
      await project(file);
    }
    expect(await flags.isOn('sample')).toBe(true);
  });

  it('uses a token to its end when it cannot be renewed, then serves the default, and recovers', async () => {
    const file = join(t.folder, 'broken-token');
    await project(file);
    flags = await start(file);
    expect(await flags.isOn('sample')).toBe(true);
    await writeFile(file, 'nothing');
    t.clock.advance(9 * 60_000);
    expect(await flags.isOn('sample')).toBe(true);
    t.clock.advance(2 * 60_000);
    expect(await flags.isOn('sample')).toBe(false);
    await project(file);
    expect(await flags.isOn('sample')).toBe(true);
  });

  it('reads with the sign-in of a person on their own machine, past three token lives', async () => {
    let tokens = 0;
    flags = await openFlags({
      broker: t.url,
      environment: 'production',
      clock: t.clock,
      getToken: async () => {
        tokens += 1;
        const run = await createTerminal(t).as('dana', 'token', '--audience', 'data:production', '--json');
        return run.json;
      },
    });
    for (let turn = 0; turn < 5; turn += 1) {
      expect(await flags.isOn('sample')).toBe(true);
      t.clock.advance(11 * 60_000);
    }
    expect(tokens).toBe(5);
  });
});
