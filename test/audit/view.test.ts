import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, expectTypeOf, it } from 'vitest';
import { type RecordView, recordViewSchema } from '../../src/audit/view.ts';
import type { DecisionRecord } from '../../src/log/details.ts';
import type { RecordV1 } from '../../src/log/record.ts';
import { formerDatabase, readFormerRecords } from '../support/sqlite/former.ts';

/** The names of all members, at every depth. */
type MembersOf<T> = T extends readonly (infer Item)[]
  ? MembersOf<Item>
  : T extends object
    ? {
        [Name in keyof T]-?: `${Name & string}` | `${Name & string}.${MembersOf<NonNullable<T[Name]>>}`;
      }[keyof T]
    : never;

it('answers describe exactly the members that the log records', () => {
  expectTypeOf<MembersOf<RecordV1>>().toEqualTypeOf<MembersOf<NonNullable<RecordView['record']>>>();
  type Details = Omit<RecordView, 'place' | 'record'>;
  expectTypeOf<MembersOf<Omit<DecisionRecord, 'outcome'>>>().toEqualTypeOf<
    MembersOf<Omit<Details, 'outcome'>>
  >();
  expectTypeOf<keyof DecisionRecord['outcome']>().toEqualTypeOf<keyof Details['outcome']>();
});

it('the schema accepts the records of the former version', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-view-'));
  const file = join(folder, 'former.db');
  await writeFile(file, formerDatabase());
  const records = readFormerRecords(file);
  await rm(folder, { recursive: true, force: true });
  expect(records.length).toBeGreaterThan(20);
  for (const { seq, record } of records) {
    const view = { ...(JSON.parse(record) as object), place: seq, record: null };
    expect(recordViewSchema.parse(view)).toEqual(view);
  }
});
