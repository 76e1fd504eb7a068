import { countWrites, WRITE_KINDS, type WriteKind } from '../test/support/write-counts.ts';
import type { Bench } from './bench.ts';
import { whole } from './figures.ts';

/** The writes whose bytes are shown table by table. */
const SHOWN = ['toggle', 'propose', 'approve', 'apply'] as const satisfies WriteKind[];

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
  report.heading(
    'Where a write is kept',
    'Bytes in use of each table and index, without what is free in their pages, so the file grows by about half as much again: a page that a row does not fill is kept with the rest of it empty. Most is the input of each decision, in full, so that it can be replayed (`record_details`; an approval that applies its request makes two decisions). `leaves` is the record that is hashed for ever, and what is left says what flags and requests are now. Old inputs can move to archives, which are compressed ([docs/operations.md](../docs/operations.md#old-inputs-and-counts)).',
  );
  report.header(['', ...SHOWN]);
  const names = new Set(SHOWN.flatMap((kind) => [...counts[kind].keptIn.keys()]));
  const bytesIn = (name: string, kind: WriteKind) => counts[kind].keptIn.get(name) ?? 0;
  const total = (name: string) => SHOWN.reduce((sum, kind) => sum + bytesIn(name, kind), 0);
  for (const name of [...names].toSorted((one, other) => total(other) - total(one)))
    report.row([name, ...SHOWN.map((kind) => whole(bytesIn(name, kind)))]);
}
