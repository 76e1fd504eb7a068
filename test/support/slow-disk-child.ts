import { startTestBroker } from './broker.ts';
import { approve, creation, propose, readFlag, TICKET } from './flags.ts';

/*
 * A broker whose disk is slow: switches a flag on, and reads it again and again until that is answered. Prints what was
 * read before the answer and after it.
 *
 *     strace … node slow-disk-child.ts
 */

const t = await startTestBroker();
const proposed = await propose(t, [creation('plain', { tier: 'informational' })], { ticket: TICKET });
if (proposed.body.state !== 'applied') await approve(t, 'alex+mfa', proposed.body);
const service = await t.workloadToken('checkout', { audience: 'data:production' });

/** The flag as an application gets it, and as a person sees it. */
async function read(): Promise<unknown> {
  const path = '/ofrep/v1/evaluate/flags/plain';
  const { body } = await t.call(service, 'POST', path, { context: {} });
  return { evaluated: body.value, shown: (await readFlag(t, 'plain')).states.production.enabled };
}

let state: unknown = null;
const write = propose(t, [{ action: 'enable', flag: 'plain' }]).then(({ body }) => {
  state = body.state;
});
const before: unknown[] = [];
for (;;) {
  const seen = await read();
  if (state !== null) break;
  before.push(seen);
}
await write;
process.stdout.write(`${JSON.stringify({ before, state, after: await read() })}\n`);
await t.close();
