import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ControlDeps } from '../../src/decide/control.ts';
import { propose } from '../../src/requests/propose.ts';
import { approve } from '../../src/requests/vote.ts';
import { WORKING_HOURS_MS } from '../support/broker.ts';
import { creation } from '../support/flags.ts';
import { openControl } from '../support/local-control.ts';
import { createPlace } from '../support/place.ts';
import { IS_POSTGRES } from '../support/postgres-server.ts';
import { asFile } from '../support/sqlite/copied.ts';
import { createModel } from './model.ts';
import { act, commands, content, FLAGS, type Real, seen } from './model-commands.ts';

/** On a server, two brokers take turns, and every look at the database is a copy of it. */
const BROKERS = IS_POSTGRES ? 2 : 1;
/** On a server a few sequences in every run of the suite, and more of them in `make test-cluster`. */
const IS_LONG = !IS_POSTGRES || process.env.COUNTERSIGN_TEST_CLUSTER !== undefined;
const RUNS = IS_POSTGRES ? (IS_LONG ? 20 : 5) : 60;
/** How often each state has to be seen: otherwise the sequences have become tame. */
const SEEN = {
  ...{ pending: 20, applied: 20 },
  ...(IS_LONG && { ready: 5, conflicted: 5, rejected: 5, withdrawn: 5 }),
};

let folder: string;
let archive: Buffer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-model-'));
  archive = await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

interface Opened extends Real {
  close(): Promise<void>;
}

async function startReal(): Promise<Opened> {
  const place = await createPlace();
  const { database } = place;
  let controls: ControlDeps[] = [];
  let turn = 0;
  /** What was looked at since the last call. */
  let copy: Promise<string> | null = null;
  const open = async () => {
    for (let count = 0; count < BROKERS; count += 1)
      controls.push(await openControl({ file: database, archive, clock: () => real.nowMs }));
  };
  const close = async () => {
    for (const { store } of controls) await store.close();
    controls = [];
  };
  const real: Opened = {
    nowMs: WORKING_HOURS_MS,
    next: () => {
      turn += 1;
      copy = null;
      return controls[turn % BROKERS] as ControlDeps;
    },
    look: () => {
      copy ??= asFile({ file: database, folder });
      return copy;
    },
    reopen: async () => {
      await close();
      await open();
    },
    close: async () => {
      await close();
      await place.remove();
    },
  };
  await open();
  const created = await act(real, 'dana', (writing) =>
    propose(writing, content(FLAGS.map((key) => creation(key)))),
  );
  if (typeof created === 'string') throw new Error(`creating was refused: ${created}`);
  const word = { request_id: created.request.id, digest: created.request.digest, comment: null };
  expect(await act(real, 'alex', (writing) => approve(writing, word))).toMatchObject({ state: 'applied' });
  return real;
}

describe('the workflow, compared with a model of it', () => {
  it('does what the model does, and keeps its invariants after every command', async () => {
    await fc.assert(
      fc.asyncProperty(fc.commands(commands, { maxCommands: 40, size: 'max' }), async (sequence) => {
        const real = await startReal();
        try {
          await fc.asyncModelRun(() => ({ model: createModel(FLAGS), real }), sequence);
        } finally {
          await real.close();
        }
      }),
      { numRuns: RUNS, seed: 1811 },
    );
    for (const [state, least] of Object.entries(SEEN)) {
      expect(seen.get(state) ?? 0).toBeGreaterThan(least);
    }
  }, 900_000);
});
