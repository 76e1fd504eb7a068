import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { authorize } from '../../src/decide/authorize.ts';
import { write } from '../../src/decide/write.ts';
import { append } from '../../src/log/append.ts';
import type { Entry, FlagMove } from '../../src/log/entry.ts';
import { erase } from '../../src/log/erase.ts';
import type { Principal } from '../../src/principal.ts';
import { toContent } from '../../src/requests/content.ts';
import { flagChangeContentSchema } from '../../src/requests/kinds/flag-change.ts';
import { propose } from '../../src/requests/propose.ts';
import { loadVotes } from '../../src/requests/request.ts';
import { approve, reject } from '../../src/requests/vote.ts';
import { withdraw } from '../../src/requests/withdraw.ts';
import { openStore } from '../../src/store/database.ts';
import { listRecords } from '../../src/store/record-list.ts';
import { findRecord } from '../../src/store/records.ts';
import type { Store } from '../../src/store/store.ts';
import { readFixtureBundle } from '../support/bundles.ts';
import { appendTo, entryOf } from '../support/entries.ts';
import { creation } from '../support/flags.ts';
import { openControl, personOf } from '../support/local-control.ts';
import { forgeBeyondErasure } from '../support/sqlite/evidence.ts';
import { everyRow } from '../support/sqlite/file.ts';
import { readDetails, readLeaves, readPseudonyms } from '../support/sqlite/log.ts';

const NOW_MS = 1_795_000_000_000;

let folder: string;
let file: string;
let store: Store;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-append-'));
  file = join(folder, 'append.db');
  store = await openStore({ file, clock: () => NOW_MS });
});

afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

function salted(salt: string, label: string, text: string): string {
  const hash = createHash('sha256').update(salt).update(`\0${label}\0${text}`);
  return `sha256:${hash.digest('hex')}`;
}

function readAt(place: number) {
  const leaf = readLeaves(file).find((row) => row.place === place)?.leaf;
  if (leaf === undefined) throw new Error(`no leaf at ${place}`);
  const beside = readDetails(file).find((row) => row.place === place);
  return { leaf, salt: beside?.salt ?? '', details: beside?.details ?? null, record: JSON.parse(leaf) };
}

describe('a record that is too large for a leaf', () => {
  const moves = (count: number): FlagMove[] =>
    Array.from({ length: count }, (_, index) => ({
      flag: `a-flag-${index}`,
      environment: 'production',
      version_before: 1,
      version_after: 2,
      digest: `sha256:${String(index).padStart(64, '0')}`,
    }));

  it('keeps digests in place of its lists, which are beside it, and fits', async () => {
    const flags = moves(3000);
    const votes = ['0190b6ac-0000-7000-8000-000000000001'];
    const place = await appendTo(store, { flags, votes });
    const { leaf, record, salt, details } = readAt(place);
    expect(Buffer.byteLength(leaf)).toBeLessThan(4000);
    const { lists } = JSON.parse(details ?? '');
    expect(lists.flags).toEqual(flags);
    expect(lists.votes).toEqual(votes);
    const digestOf = (label: string) => {
      // Members of moves are in canonical order when sorted.
      const list = lists[label].map((member: unknown) =>
        typeof member === 'object' && member !== null
          ? Object.fromEntries(Object.entries(member).sort(([one], [other]) => (one < other ? -1 : 1)))
          : member,
      );
      return { count: list.length, digest: salted(salt, label, JSON.stringify(list)) };
    };
    expect(record).toMatchObject({
      flags: digestOf('flags'),
      votes: digestOf('votes'),
      authors: digestOf('authors'),
      passed: { freezes: digestOf('passed.freezes') },
      outcome: { codes: digestOf('outcome.codes'), obligations: digestOf('outcome.obligations') },
      digests: { details: salted(salt, 'details', details ?? '') },
    });
    expect(record.flags.count).toBe(3000);
    const found = await listRecords(store.read, {
      filter: { flag: 'a-flag-2999' },
      beforePlace: null,
      limit: 2,
    });
    expect(found.rows.map((row) => row.place)).toEqual([place]);
  });

  it('is one by a single byte more than 65,535', async () => {
    const flags = moves(300);
    const { leaf: bare } = readAt(await appendTo(store, { flags, environment: '' }));
    // The environment is no list: it makes the record larger by one byte at a time.
    const room = 65_535 - Buffer.byteLength(bare);
    const fits = readAt(await appendTo(store, { flags, environment: 'x'.repeat(room) }));
    expect(Buffer.byteLength(fits.leaf)).toBe(65_535);
    expect(fits.record.flags).toEqual(flags);
    const short = readAt(await appendTo(store, { flags, environment: 'x'.repeat(room + 1) }));
    expect(short.record.flags).toMatchObject({ count: 300 });
  });
});

describe('a record', () => {
  it.each([
    ['987654321', '987654321'],
    ['0190b6ac-0000-7000', '0190b6ac-0000-7000'],
    ['run of dana', null],
    ['dana@example.com', null],
    ['x'.repeat(101), null],
    ['', null],
  ])('has a CI run only where it matches the pattern of one: %s', async (ci_run, kept) => {
    const correlation = { http_request_id: null, ticket: null, ci_run, token: null };
    const { record, details } = readAt(await appendTo(store, { correlation }));
    expect(record.correlation.ci_run).toBe(kept);
    expect(JSON.parse(details ?? '').correlation.ci_run).toBe(ci_run);
  });

  it('drops what else an obligation says: it may name whom it is about', async () => {
    const obligations = [
      { kind: 'approval', role: 'account-approver', count: 1, organization: 'acme' },
      { kind: 'window', windows: ['when dana is back'] },
    ];
    const base = await store.writer.write(async (tx) => entryOf(tx));
    const decision = { ...base.decision, effect: 'hold', obligations };
    const { record } = readAt(await appendTo(store, { decision }));
    expect(record.outcome.obligations).toEqual([
      { kind: 'approval', role: 'account-approver', count: 1 },
      { kind: 'window' },
    ]);
  });

  it('of equal entries is never equal: nobody can tell by comparing', async () => {
    const [one, other] = [readAt(await appendTo(store)), readAt(await appendTo(store))];
    for (const member of ['details', 'reasons', 'input', 'result'])
      expect(one.record.digests[member]).not.toBe(other.record.digests[member]);
  });

  it('says which guardrail overruled a policy that would have allowed, and is null where none did', async () => {
    const control = await openControl({
      file: join(folder, 'own.db'),
      archive: await readFixtureBundle('anybody'),
      clock: () => NOW_MS,
    });
    const dana = personOf('dana', ['anybody']);
    const content = {
      kind: 'flag.change',
      environment: 'production',
      changes: [creation('own')],
      reason: 'x',
    };
    const rest = { ticket: null, apply: 'manual', start_ms: null };
    const call = { principal: dana, credential: null, http_request_id: null };
    const { request } = await write(control, call, (writing) =>
      propose(writing, { ...content, ...rest } as never),
    );
    const word = { request_id: request.id, digest: request.digest, comment: null };
    await expect(write(control, call, (writing) => approve(writing, word))).rejects.toMatchObject({
      code: 'policy_denied',
    });
    const records = readLeaves(join(folder, 'own.db')).map(({ leaf }) => JSON.parse(leaf));
    expect(records.at(-1)).toMatchObject({
      operation: 'request.approve',
      guardrail: 'self_approval',
      outcome: { effect: 'deny', codes: ['self_approval'] },
    });
    expect(records.slice(0, -1).every(({ guardrail }) => guardrail === null)).toBe(true);
    await control.store.close();
  });
});

describe('the environment of a record', () => {
  it('is in the leaf only where the policy knows it: any other may be any text', async () => {
    const control = await openControl({
      file: join(folder, 'own.db'),
      archive: await readFixtureBundle('anybody'),
      clock: () => NOW_MS,
    });
    const call = { principal: personOf('dana', ['nobody']), credential: null, http_request_id: null };
    for (const environment of ['production', 'erika.mustermann-1970'])
      await write(control, call, (writing) =>
        authorize(writing, { operation: 'decision.read', environment }),
      ).catch(() => undefined);
    const leaves = readLeaves(join(folder, 'own.db'));
    expect(leaves.slice(-2).map(({ leaf }) => JSON.parse(leaf).environment)).toEqual(['production', null]);
    expect(leaves.at(-1)?.leaf).not.toContain('erika');
    expect(readDetails(join(folder, 'own.db')).at(-1)?.details).toContain('erika.mustermann-1970');
    await control.store.close();
  });
});

describe('a vote that a policy allows to somebody who stands for no person', () => {
  it('is recorded, refused, and not counted', async () => {
    const own = join(folder, 'own.db');
    const control = await openControl({
      file: own,
      archive: await readFixtureBundle('anybody'),
      clock: () => NOW_MS,
    });
    const by = (principal: Principal) => ({ principal, credential: null, http_request_id: null });
    const content = flagChangeContentSchema.parse({
      environment: 'production',
      reason: 'x',
      changes: [creation('own')],
    });
    const { request } = await write(control, by(personOf('dana', ['anybody'])), (writing) =>
      propose(writing, toContent(content)),
    );
    const job: Principal = { ...personOf('ci', ['anybody']), kind: 'workload', person: null };
    const vote = { request_id: request.id, digest: request.digest, comment: null };
    const before = readLeaves(own).length;
    await expect(write(control, by(job), (writing) => reject(writing, vote))).rejects.toMatchObject({
      code: 'policy_denied',
      message: expect.stringContaining('Only a person can vote'),
    });
    const records = readLeaves(own).map(({ leaf }) => JSON.parse(leaf));
    expect(records).toHaveLength(before + 1);
    expect(records.at(-1)).toMatchObject({
      operation: 'request.reject',
      request: { from: 'pending', to: 'pending' },
      outcome: { effect: 'allow', note: 'policy_denied' },
    });
    expect(await loadVotes(control.store.read, request.id)).toEqual([]);
    await control.store.close();
  });
});

describe('an erasure', () => {
  const byDana: Partial<Entry> = { principal: personOf('dana', [], 'emp-1001') };
  const byAlex: Partial<Entry> = { principal: personOf('alex', [], 'emp-1002') };
  const DANA = [
    { kind: 'person', name: 'emp-1001' },
    { kind: 'principal', name: 'person:demo:dana' },
  ] as const;

  function eraseIn(what: Parameters<typeof erase>[1]) {
    return store.writer.write((tx) => erase(tx, what, entryOf(tx, byAlex)));
  }

  function everything(): string {
    return JSON.stringify(everyRow(file));
  }

  it('leaves every leaf as it was, and nothing that names whom it was for', async () => {
    const places = [
      await appendTo(store, byDana),
      await appendTo(store, byAlex),
      await appendTo(store, byDana),
    ];
    const leaves = readLeaves(file);
    const pseudonyms = readPseudonyms(file);
    const of = (name: string) => pseudonyms.find((row) => row.name === name)?.pseudonym;
    expect(everything()).toMatch(/emp-1001.*person:demo:dana|person:demo:dana.*emp-1001/);

    const erased = await eraseIn({ places: [1, 3, 3, 99], names: DANA });
    expect(erased).toEqual({ places: [1, 3], pseudonyms: [of('emp-1001'), of('person:demo:dana')] });
    const after = readLeaves(file);
    expect(after.slice(0, 3)).toEqual(leaves);
    expect(after).toHaveLength(4);
    expect(JSON.parse(after[3]?.leaf ?? '')).toMatchObject({ erases: erased });
    expect(everything()).not.toMatch(/emp-1001|demo:dana/);
    expect(readDetails(file).map(({ place }) => place)).toEqual([places[1], 4]);
  });

  it('is no longer found by queries, and everything else is', async () => {
    const id = await store.writer.write(async (tx) => {
      const entry = entryOf(tx, byDana);
      await append(tx, entry);
      return entry.id;
    });
    await appendTo(store, byAlex);
    await eraseIn({ places: [1], names: [] });
    expect(await findRecord(store.read, id)).toBeUndefined();
    const found = await listRecords(store.read, { filter: {}, beforePlace: null, limit: 10 });
    expect(found.rows.map(({ place }) => place)).toEqual([3, 2]);
  });

  it('is refused for what is still needed to decide an open request, and not once that is closed', async () => {
    const own = join(folder, 'own.db');
    const control = await openControl({
      file: own,
      archive: await readFixtureBundle('anybody'),
      clock: () => NOW_MS,
    });
    const call = { principal: personOf('dana', ['anybody']), credential: null, http_request_id: null };
    const content = { environment: 'production', reason: 'x', changes: [creation('own')] };
    const { request } = await write(control, call, (writing) =>
      propose(writing, toContent(flagChangeContentSchema.parse(content))),
    );
    const place = readLeaves(own).length;
    const eraseIt = () =>
      control.store.writer.write((tx) => erase(tx, { places: [place], names: [] }, entryOf(tx, byAlex)));
    await expect(eraseIt()).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining(request.id),
    });
    expect(readLeaves(own)).toHaveLength(place);
    await write(control, call, (writing) => withdraw(writing, { request_id: request.id, digest: null }));
    expect(await eraseIt()).toMatchObject({ places: [place] });
    await control.store.close();
  });

  it('gives a returning person another pseudonym, at once', async () => {
    await appendTo(store, byDana);
    const before = readAt(1).record;
    const [, place] = await Promise.all([eraseIn({ places: [1], names: DANA }), appendTo(store, byDana)]);
    for (const later of [place, await appendTo(store, byDana)]) {
      const { record } = readAt(later);
      expect(record.person).not.toBe(before.person);
      expect(record.principal.pseudonym).not.toBe(before.principal.pseudonym);
      const row = readPseudonyms(file).find(({ pseudonym }) => pseudonym === record.person);
      expect(row?.name).toBe('emp-1001');
    }
  });

  it('that is rolled back with its write erased nothing', async () => {
    await appendTo(store, byDana);
    const before = everything();
    await expect(
      store.writer.write(async (tx) => {
        await erase(tx, { places: [1], names: DANA }, entryOf(tx, byAlex));
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(everything()).toBe(before);
    await appendTo(store, byDana);
    expect(readAt(2).record.person).toBe(readAt(1).record.person);
  });

  it('of what was erased before erases nothing more, and is recorded', async () => {
    await appendTo(store, byDana);
    await eraseIn({ places: [1], names: DANA });
    expect(await eraseIn({ places: [1], names: DANA })).toEqual({ places: [], pseudonyms: [] });
    expect(readAt(3).record.erases).toEqual({ places: [], pseudonyms: [] });
  });

  it('opens the database for what it names, and for nothing else', async () => {
    await Promise.all([appendTo(store, byDana), appendTo(store, byAlex)]);
    await eraseIn({ places: [1], names: DANA });
    const attempts = forgeBeyondErasure(file, 'emp-1002');
    expect(attempts.length).toBeGreaterThan(5);
    for (const { attempt, refusal } of attempts) expect(refusal, attempt).toMatch(/append-only/);
  });
});
