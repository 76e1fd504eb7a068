import { writeSync } from 'node:fs';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { setMeta } from '../../src/store/installation.ts';
import { RunAgain } from '../../src/store/run-again.ts';

/*
 * A process to be killed while a write waits for a preparation that never ends: says on its standard output when the
 * writes around it are acknowledged.
 *
 *     node waiting-child.ts <file>
 */

const [file = ''] = process.argv.slice(2);
const { writer } = await openStore({ file, clock: systemClock });
const around = [
  writer.write((tx) => setMeta(tx, 'before', 'x')),
  writer.write(async (tx) => {
    await setMeta(tx, 'half', 'x');
    throw new RunAgain('what never comes', () => new Promise(() => undefined));
  }),
  writer.write((tx) => setMeta(tx, 'after', 'x')),
] as const;
await Promise.all([around[0], around[2]]);
writeSync(1, 'acknowledged\n');
// Until it is killed.
setInterval(() => undefined, 1000);
