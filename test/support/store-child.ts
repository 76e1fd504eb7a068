import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { systemClock } from '../../src/clock.ts';
import { append } from '../../src/log/append.ts';
import { openStore } from '../../src/store/database.ts';
import { findMeta, setMeta } from '../../src/store/installation.ts';
import { entryOf } from './entries.ts';

/*
 * A process with a store of its own, for faults of disks and locks: does what each line of its standard input says, and
 * answers each with a line.
 *
 *     node store-child.ts <file>
 *
 * CHECKPOINT_AT is the size of the write-ahead log, in pages, at which a checkpoint begins.
 */

const [file = ''] = process.argv.slice(2);
const say = (text: string) => writeSync(1, `${text.replaceAll('\n', ' ')}\n`);
const told = (error: unknown) => {
  const { code, message } = error as { code?: string; message: string };
  return `${code ?? 'error'}: ${message}`;
};

const checkpointAt = Number(process.env.CHECKPOINT_AT ?? 0);
const store = await openStore({
  file,
  clock: systemClock,
  ...(checkpointAt === 0 ? {} : { walLimits: { checkpointAt, refuseAt: 1_000_000 } }),
}).catch((error: unknown) => {
  say(told(error));
  process.exit(1);
});
say('opened');

/** Large, so that some of them fill what is left of a small disk. */
async function write(): Promise<string> {
  await store.writer.write(async (tx) => {
    const place = await append(tx, entryOf(tx));
    await setMeta(tx, `written-${place % 5}`, randomBytes(25_000).toString('hex'));
    await setMeta(tx, 'last', String(place));
  });
  return `written ${await findMeta(store.read, 'last')}`;
}

const orders: Readonly<Record<string, () => Promise<string>>> = {
  write,
  read: async () => `last ${await findMeta(store.read, 'last')}`,
  refusal: async () => {
    const refusal = await store.writeRefusal();
    return refusal === null ? 'none' : told(refusal);
  },
  /** Stops itself after what it has written, before the commit. */
  stop: async () => {
    await store.writer.write(async (tx) => {
      await setMeta(tx, 'last', String(await append(tx, entryOf(tx))));
      process.kill(process.pid, 'SIGSTOP');
    });
    return `written ${await findMeta(store.read, 'last')}`;
  },
  close: async () => {
    await store.close();
    return 'closed';
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  say(await (orders[line]?.() ?? Promise.reject(new Error(line))).catch(told));
}
