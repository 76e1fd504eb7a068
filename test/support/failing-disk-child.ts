import { openStore } from '../../src/store/database.ts';
import { findMeta, setMeta } from '../../src/store/installation.ts';

/*
 * A store whose disk fails once and is well afterwards: writes until a write is refused, and then once more. Prints what
 * became of each write, and what reads answer.
 *
 *     strace … node failing-disk-child.ts <file>
 */

const [file = ''] = process.argv.slice(2);
const failures: string[] = [];
const store = await openStore({
  file,
  clock: () => 1_795_000_000_000,
  onFailure: (error) => failures.push((error as Error & { cause: { code: string } }).cause.code),
});

const outcomes: string[] = [];
for (let turn = 1; outcomes.filter((outcome) => outcome !== 'written').length < 2; turn += 1) {
  await store.writer
    .write((tx) => setMeta(tx, 'turn', String(turn)))
    .then(
      () => outcomes.push('written'),
      (error: { code: string }) => outcomes.push(error.code),
    );
}
const seen = await findMeta(store.read, 'turn');
await store.close();
process.stdout.write(`${JSON.stringify({ outcomes, failures, seen })}\n`);
// As `serve` ends: SQLite does not close the database.
process.exit(0);
