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
import { createModel } from './model.ts';
import { act, commands, content, FLAGS, type Real, seen } from './model-commands.ts';

let folder: string;
let archive: Buffer;
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-model-'));
  archive = await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function startReal(): Promise<Real> {
  files += 1;
  const file = join(folder, `model-${files}.db`);
  const openHere = (real: Pick<Real, 'nowMs'>) => openControl({ file, archive, clock: () => real.nowMs });
  const real: Real = {
    nowMs: WORKING_HOURS_MS,
    file,
    control: {} as ControlDeps,
    reopen: async () => {
      await real.control.store.close();
      real.control = await openHere(real);
    },
  };
  real.control = await openHere(real);
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
          await real.control.store.close();
        }
      }),
      { numRuns: 60, seed: 1811 },
    );
    for (const state of ['pending', 'ready', 'applied', 'conflicted', 'rejected', 'withdrawn']) {
      expect(seen.get(state) ?? 0).toBeGreaterThan(20);
    }
  }, 120_000);
});
