import { systemClock } from '../../src/clock.ts';
import { append } from '../../src/log/append.ts';
import { newId } from '../../src/random.ts';
import { moveInputs } from '../../src/retention/archive-inputs.ts';
import { openStore } from '../../src/store/database.ts';
import { erasureEntry } from './entries.ts';

/*
 * A process that is killed while it takes something out of the database.
 *
 *     node retention-child.ts <file> <folder> archive announced|written|moved
 *     node retention-child.ts <file> <folder> erase <statement>|commit <place> …
 */

const [file = '', folder = '', task, when, ...places] = process.argv.slice(2);
const die = () => process.kill(process.pid, 'SIGKILL');
const store = await openStore({ file, clock: systemClock, archiveFolder: folder });

if (task === 'archive') {
  await moveInputs(
    { store, clock: systemClock, newId },
    {
      before_ms: Number.MAX_SAFE_INTEGER,
      folder,
      onStep: (step) => {
        if (step === when) die();
      },
    },
  );
} else {
  await store.writer.write(async (tx) => {
    const entry = await erasureEntry(tx);
    const executor = tx.getExecutor();
    const run = executor.executeQuery.bind(executor);
    let statements = 0;
    executor.executeQuery = (query, ...rest) => {
      statements += 1;
      if (String(statements) === when) die();
      return run(query, ...rest);
    };
    await append(tx, { ...entry, erases: { places: places.map(Number), pseudonyms: [] } });
    if (when === 'commit') die();
    process.stdout.write(`${statements} statements, and `);
  });
}
process.stdout.write(`${task} went on`);
