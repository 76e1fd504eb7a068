import { writeSync } from 'node:fs';
import { write } from '../../src/decide/write.ts';
import { propose } from '../../src/requests/propose.ts';
import { readFixtureBundle } from './bundles.ts';
import { creation } from './flags.ts';
import { openControl, personOf } from './local-control.ts';

/*
 * A process to be killed: applies changes to a file, several at a time, and says on its standard output which of them
 * it has acknowledged.
 *
 *     node crash-child.ts <file> <name of this run>
 */

const [file = '', run = ''] = process.argv.slice(2);
const answer = { effect: 'allow', reasons: [{ code: 'ok', detail: '' }], obligations: [], limits: {} };
const control = await openControl({
  file,
  archive: await readFixtureBundle('echo'),
  clock: () => 1_795_000_000_000,
  // A few batches each, so that it is also killed in the middle of them.
  checkpointAt: 150,
  editData: (data) => ({ ...(data as object), answer }),
});
const call = { principal: personOf('dana', []), credential: null, http_request_id: null };

async function apply(change: unknown): Promise<void> {
  const content = {
    kind: 'flag.change',
    environment: 'production',
    changes: [change],
    reason: 'to be killed',
    ticket: null,
    apply: 'auto',
    start_ms: null,
  };
  const { request } = await write(control, call, (writing) => propose(writing, content as never));
  if (request.state !== 'applied') throw new Error(`the request is ${request.state}`);
  // Not console.log: this must be out before the next write begins.
  writeSync(1, `${request.id}\n`);
}

/** One flag of this run, switched for ever. */
async function churn(flag: string): Promise<void> {
  await apply(creation(flag));
  for (let turn = 0; ; turn += 1) await apply({ action: turn % 2 === 0 ? 'enable' : 'disable', flag });
}

writeSync(1, 'ready\n');
await Promise.all(Array.from({ length: 6 }, (_, place) => churn(`${run}-${place}`)));
