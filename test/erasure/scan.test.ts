import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type Found, findMentions } from '../../src/erasure/scan.ts';
import { append } from '../../src/log/append.ts';
import type { Store } from '../../src/store/store.ts';
import { erasureEntry, undecidedEntry } from '../support/entries.ts';
import { openControl } from '../support/local-control.ts';

/* More records than one write may read. */

const SUBJECT = { pseudonym: 'p', persons: ['emp-1001'], accounts: [], mappings: [] };
const FORMS = [
  'emp-1001 asked for it',
  'for ＥＭＰ-１００１',
  'for emp\u00ad-10\u00ad01',
  'for EMP-1001, and Müller',
  'for ｅmp-1001',
];
const OTHERS = ['for emp-10011', 'für Müller', 'for ＥＭＰ-１００２', 'for temp-1001'];
/** One record in so many says something. */
const EVERY = 300;

let folder: string;
let store: Store;
/** The places of the records that name the person. */
const naming: number[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-'));
  const archive = await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
  ({ store } = await openControl({ file: join(folder, 'scan.db'), archive, clock: systemClock }));
  const texts = [...FORMS, ...OTHERS].flatMap((text) => [...Array<string>(EVERY - 1).fill('nothing'), text]);
  for (let from = 0; from < texts.length; from += EVERY)
    await store.writer.write(async (tx) => {
      for (const detail of texts.slice(from, from + EVERY)) {
        const place = await append(tx, await undecidedEntry(tx, { note: { code: 'a_note', detail } }));
        if (FORMS.includes(detail)) naming.push(place);
      }
    });
});
afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

let looks = 0;
const find = (): Promise<Found> =>
  store.writer.write((tx) => {
    looks += 1;
    return findMentions(tx, SUBJECT, { read: store.read });
  });

describe('a scan of more records than a write may read', () => {
  it('finds the person in each form of the name, and nobody else', async () => {
    expect((await find()).places).toEqual(naming);
    // The first look only said that there is too much to read.
    expect(looks).toBe(2);
    expect((await find()).places).toEqual(naming);
    expect(looks).toBe(3);
  });

  it('finds what was recorded since', async () => {
    const place = await store.writer.write(async (tx) =>
      append(tx, await undecidedEntry(tx, { note: { code: 'a_note', detail: FORMS[0] ?? '' } })),
    );
    naming.push(place);
    expect((await find()).places).toEqual(naming);
  });

  it('forgets what was erased since, whoever erased it', async () => {
    const [erased = 0, ...left] = naming;
    await store.writer.write(async (tx) => {
      const entry = await erasureEntry(tx);
      await append(tx, { ...entry, erases: { places: [erased], pseudonyms: [] } });
    });
    expect((await find()).places).toEqual(left);
  });
});
