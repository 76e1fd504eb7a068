import { countWrites, WRITE_KINDS } from '../test/support/write-counts.ts';
import type { Bench } from './bench.ts';
import { whole } from './figures.ts';

/** What each kind of write takes, counted. `make test` holds these counts. */
export async function measureCounts({ report }: Bench): Promise<void> {
  const counts = await countWrites();
  report.heading(
    'What a write takes',
    'Counted, one call after another, so that each is a transaction of its own; toggles with others share one. Written is each page that goes into the write-ahead log, and from there once into the file; kept is what the file grows by.',
  );
  report.header(['', 'statements', 'around them', 'evaluations', 'bytes written', 'bytes kept']);
  for (const kind of WRITE_KINDS) {
    const { statements, around, evaluations, writtenBytes, keptBytes } = counts[kind];
    report.row([kind, ...[statements, around, evaluations, writtenBytes, keptBytes].map(whole)]);
  }
}
