import { writeSync } from 'node:fs';
import { write } from '../../src/decide/write.ts';
import { createLog } from '../../src/logger.ts';
import { propose } from '../../src/requests/propose.ts';
import { dueRequests } from '../../src/schedule/due-requests.ts';
import { readFixtureBundle } from './bundles.ts';
import { creation } from './flags.ts';
import { openControl, personOf } from './local-control.ts';

/*
 * A process to be killed while it applies requests that are due at the same moment.
 *
 *     node due-child.ts <file> prepare <number of requests>    proposes them
 *     node due-child.ts <file> apply                           lets the scheduler apply them, a minute later
 */

const [file = '', what = '', count = '0'] = process.argv.slice(2);
const PROPOSED_MS = 1_795_000_000_000;
const DUE_MS = PROPOSED_MS + 60_000;
const answer = { effect: 'allow', reasons: [{ code: 'ok', detail: '' }], obligations: [], limits: {} };
const control = await openControl({
  file,
  archive: await readFixtureBundle('echo'),
  clock: () => (what === 'prepare' ? PROPOSED_MS : DUE_MS),
  editData: (data) => ({ ...(data as object), answer }),
});
const call = { principal: personOf('dana', []), credential: null, http_request_id: null };

function proposeChange(change: unknown, start_ms: number | null) {
  const content = {
    kind: 'flag.change',
    environment: 'production',
    changes: [change],
    reason: 'to be killed',
    ticket: null,
    apply: 'auto',
    start_ms,
  };
  return write(control, call, (writing) => propose(writing, content as never));
}

if (what === 'prepare') {
  for (let place = 0; place < Number(count); place += 1) {
    const flag = `due-${place}`;
    await proposeChange(creation(flag), null);
    const { request } = await proposeChange({ action: 'enable', flag }, DUE_MS);
    if (request.state !== 'ready') throw new Error(`the request is ${request.state}`);
  }
} else {
  writeSync(1, 'ready\n');
  await dueRequests({ control, log: createLog('error', { write: (line) => writeSync(2, line) }) }).run();
}
await control.store.close();
