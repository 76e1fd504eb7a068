import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CompiledQuery } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DAY_MS } from '../../src/moment.ts';
import { seal, unseal } from '../../src/store/archive-file.ts';
import { createTerminal, type Terminal } from '../cli/support.ts';
import { exchange, type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, approve, createFlag, creation, propose } from '../support/flags.ts';

/* Old inputs and counts leave the database, on each engine, and everything that reads them goes on. */

type Kinds = Record<string, { retention?: { min_age_s: number } }>;

let t: TestBroker;
let terminal: Terminal;
/** The decision to propose, and the one to approve: the second names dana in its input only. */
let proposed: Reply['body'];
let approved: Reply['body'];
let before: Reply['body'];

beforeAll(async () => {
  t = await startTestBroker({
    config: {
      public_url: 'https://flags.example',
      retention: { archive_folder: 'archives', inputs_days: 1, evaluations_days: 1 },
      signing_key_days: 0,
    },
    editData: (data) => {
      const { config } = data as { config: { request_kinds: Kinds } };
      Object.assign(config.request_kinds['person.erase'] ?? {}, { retention: { min_age_s: 0 } });
      return data;
    },
  });
  terminal = createTerminal(t);
  await createFlag(t, 'checkout', { tier: 'informational' });
  await applyChanges(t, [{ action: 'enable', flag: 'checkout' }]);
  await createFlag(t, 'guarded', { tier: 'sensitive' });
  await applyChanges(t, [{ action: 'enable', flag: 'guarded' }]);
  const service = (await exchange(t.url, await t.ci.checkoutToken(), { audience: 'data:production' })).body;
  await t.call(service.access_token, 'POST', '/ofrep/v1/evaluate/flags/checkout', {});
  t.clock.advance(60_000);
  await t.broker.scheduler.tick();
  await propose(t, [creation('waits')], { apply: 'manual' });
  const { items } = await get('/v1/decisions?limit=200');
  const find = (operation: string) =>
    items.find((item: Reply['body']) => item.operation === operation && item.outcome.effect === 'allow');
  proposed = await get(`/v1/decisions/${find('request.propose').id}`);
  approved = await get(`/v1/decisions/${find('request.approve').id}`);
  before = (await t.call('avery', 'POST', '/v1/erasures/preview', { person: 'emp-1001' })).body;
});
afterAll(() => t.close());

const folder = () => join(t.folder, 'archives');
const get = async (path: string, who = 'avery') => (await t.call(who, 'GET', path)).body;
const replay = async ({ id }: { id: string }) =>
  (await t.call('avery', 'POST', `/v1/decisions/${id}/replay`)).body;

async function query(text: string): Promise<Record<string, unknown>[]> {
  return (await t.broker.store.read.executeQuery<Record<string, unknown>>(CompiledQuery.raw(text))).rows;
}

const attempt = (...texts: string[]) =>
  t.broker.store.writer
    .write(async (tx) => {
      for (const text of texts) await tx.executeQuery(CompiledQuery.raw(text));
    })
    .then(
      () => 'done',
      (error: Error) => `${error.message} ${(error.cause as Error | undefined)?.message}`,
    );

/** Lets days pass, and everything that is due happen. */
async function passDays(days: number): Promise<void> {
  t.clock.advance(days * DAY_MS);
  for (let round = 0; round < 4; round += 1) await t.broker.scheduler.tick();
}

async function recordsOf(operation: string): Promise<Reply['body'][]> {
  return (await get(`/v1/decisions?limit=200&operation=${operation}`)).items;
}

const withFile = async (
  change: (file: string) => Promise<() => Promise<void>>,
  work: () => Promise<void>,
) => {
  const [name = ''] = await readdir(folder());
  const restore = await change(join(folder(), name));
  await work();
  await restore();
};

describe('old inputs', () => {
  it('wait for their folder, and no crash is made of it', async () => {
    await passDays(2);
    expect(await recordsOf('inputs.archived')).toEqual([]);
    await mkdir(folder());
  });

  it('stay in the database while a request of theirs is open', async () => {
    await passDays(1);
    const [open] = await query(
      `select min(place) as place from record_details where request_id in (select id from requests where state in ('pending', 'ready'))`,
    );
    for (const { record } of await recordsOf('inputs.archived'))
      expect(record.retention.to_place).toBeLessThan(Number(open?.place));
    await t.call(
      'dana',
      'POST',
      `/v1/requests/${(await get('/v1/requests?state=open', 'dana')).items[0].id}/withdraw`,
      {},
    );
  });

  it('move to files with the record that says so, and nothing of them is left', async () => {
    await passDays(2);
    const records = (await recordsOf('inputs.archived')).toReversed();
    expect(records.length).toBeGreaterThan(0);
    let last = 0;
    for (const { place, record, principal } of records) {
      const { from_place, to_place, count, what, digest } = record.retention;
      expect([what, from_place, principal.id]).toEqual([
        'inputs',
        last + 1,
        'workload:countersign:scheduler',
      ]);
      expect(to_place).toBeLessThan(place);
      expect(count).toBe(to_place - from_place + 1);
      last = to_place;
      const [row] = await query(`select file from archives where place = ${place}`);
      const content = await readFile(join(folder(), String(row?.file)));
      expect(digest).toBe(`sha256:${createHash('sha256').update(content).digest('hex')}`);
      expect(content.toString('latin1')).toMatch(
        new RegExp(`^countersign-archive/1 installation \\S+ records ${from_place}-${to_place}\\n`),
      );
    }
    expect(await query(`select place from record_details where input <> '' and place <= ${last}`)).toEqual(
      [],
    );
    expect(await readdir(folder())).toHaveLength(records.length);
    expect(await query(`select value from meta where key = 'announced_archives'`)).toEqual([]);
  });

  it('are read from there by whatever needs them', async () => {
    for (const decision of [proposed, approved]) {
      expect(await get(`/v1/decisions/${decision.id}`)).toEqual(decision);
      expect(await replay(decision)).toMatchObject({ outcome: 'same' });
    }
    const explained = await terminal.as('avery', 'explain', proposed.id, '--json');
    expect([explained.code, explained.json.about?.id]).toEqual([0, proposed.id]);
  });

  it('name whom they named', async () => {
    const { body: now } = await t.call('avery', 'POST', '/v1/erasures/preview', { person: 'emp-1001' });
    expect(now.places.filter((place: number) => place <= before.places.at(-1))).toEqual(before.places);
    expect(now.places).toContain(approved.place);
  });

  it('in a file that is not there are not taken for erased', async () => {
    const absent = async (file: string) => {
      await rename(file, `${file}.away`);
      return () => rename(`${file}.away`, file);
    };
    await withFile(absent, async () => {
      const { outcome, why } = await replay(proposed);
      expect([outcome, why.code, why.erased_by]).toEqual(['not_replayable', 'archive_missing', null]);
      expect(why.detail).toMatch(
        new RegExp(`decision ${proposed.id} is in archive inputs-\\S+, which is not there: put it back`),
      );
      const shown = await t.call('avery', 'GET', `/v1/decisions/${proposed.id}`);
      expect([shown.status, shown.body.code, shown.body.why]).toEqual([
        409,
        'state_conflict',
        'archive_missing',
      ]);
      expect((await terminal.as('avery', 'explain', proposed.id, '--json')).json.detail).toContain(
        'not there',
      );
      const { items } = await get('/v1/log/inputs');
      expect(items[proposed.place - 1].archive.code).toBe('archive_missing');
    });
    expect(await replay(proposed)).toMatchObject({ outcome: 'same' });
  });

  it('with a changed byte are not taken for anything else', async () => {
    const [row] = await query(
      `select file_offset, file_length from archived_inputs where place = ${proposed.place}`,
    );
    const { file_offset: offset, file_length: length } = row as { file_offset: number; file_length: number };
    for (const at of [0, 12, Math.floor(length / 2), length - 1]) {
      const changed = async (file: string) => {
        const content = await readFile(file);
        const other = Buffer.from(content);
        other[offset + at] = (other[offset + at] ?? 0) ^ 1;
        await writeFile(file, other);
        return () => writeFile(file, content);
      };
      await withFile(changed, async () => {
        const { outcome, why } = await replay(proposed);
        expect([outcome, why.code]).toEqual(['not_replayable', 'archive_damaged']);
        expect(why.detail).toContain(`bytes from ${offset} on`);
      });
    }
    const cut = async (file: string) => {
      const content = await readFile(file);
      await writeFile(file, content.subarray(0, offset + 3));
      return () => writeFile(file, content);
    };
    await withFile(cut, async () => expect((await replay(proposed)).why.code).toBe('archive_damaged'));
  });
});

describe('a sealed input', () => {
  it('is opened with its own key, for its own record, and for no other', () => {
    const of = { place: 7, leaf: '{"id":"seven"}' };
    const { sealed, key } = seal('{"some":"input"}', of);
    const other = seal('{"some":"input"}', of);
    expect(unseal(sealed, key, of)).toBe('{"some":"input"}');
    expect(other.sealed.equals(sealed)).toBe(false);
    expect(() => unseal(sealed, other.key, of)).toThrow();
    expect(() => unseal(sealed, key, { ...of, place: 8 })).toThrow();
    expect(() => unseal(sealed, key, { ...of, leaf: '{"id":"eight"}' })).toThrow();
  });
});

describe('old counts of evaluations', () => {
  it('are deleted with the record that says so', async () => {
    const [deletion, ...others] = await recordsOf('evaluations.deleted');
    expect(others).toEqual([]);
    expect(deletion.record.retention).toMatchObject({ what: 'evaluations', from_place: 1, digest: null });
    expect(await query('select id from evaluations')).toEqual([]);
  });
});

describe('the database', () => {
  it('lets nothing else go, and nothing without a record', async () => {
    const [last] = await query('select max(place) as place from leaves');
    const [archive] = await query(`select place from archives where what = 'inputs'`);
    const archivedBy = archive?.place;
    const refused = /append-only|no record says/;
    const attempts = [
      `update record_details set input = '' where place = ${last?.place}`,
      `update record_details set input = 'other' where place = 1`,
      `update record_details set input = '', details = '{}' where place = 1`,
      `update record_details set result = '{}' where place = 1`,
      'delete from record_details where place = 1',
      'delete from archives',
      'delete from archived_inputs where place = 1',
      "update archives set file = 'other'",
      'update archived_inputs set file_offset = 0',
      `insert into archives values (${Number(last?.place)}, 'inputs', 1, 2, 2, 'x', null)`,
      `insert into archives values (${Number(last?.place) + 1}, 'evaluations', 1, 2, 2, null, null)`,
      `insert into archives select place, what, from_place, to_place + 1, count, 'x', digest from archives where place = ${archivedBy}`,
    ];
    for (const text of attempts) expect(await attempt(text), text).toMatch(refused);
    // A key for a record that no archive has changes nothing either.
    const forged = `insert into archived_inputs select ${last?.place}, ${archivedBy}, 0, 0, key, words from archived_inputs where place = 1`;
    const update = `update record_details set input = '' where place = ${last?.place}`;
    expect(await attempt(forged, update)).toMatch(refused);
  });

  it('lets no other column of a record change with the input that moves, whichever columns there are', async () => {
    const rows = await query('select * from record_details order by place');
    const [first] = rows;
    const others = Object.keys(first ?? {}).filter((column) => column !== 'input');
    expect(others.length).toBeGreaterThan(10);
    const same = `update record_details set input = '' where place = 1`;
    expect(await attempt(same)).not.toMatch(/append-only|no record says/);
    for (const column of others) {
      const other = rows.find(
        (row) => row[column] !== null && String(row[column]) !== String(first?.[column]),
      );
      const value =
        other === undefined
          ? "'other'"
          : `(select ${column} from record_details where place = ${other.place})`;
      const changed = `update record_details set input = '', ${column} = ${value} where place = 1`;
      expect(await attempt(changed), column).toMatch(/append-only|no record says/);
    }
  });
});

describe('an erasure', () => {
  it('reaches archives by the keys, and a stranger verifies the rest', async () => {
    const { body: found } = await t.call('avery', 'POST', '/v1/erasures/preview', { person: 'emp-1001' });
    expect(found.open_requests).toEqual([]);
    const files = await Promise.all((await readdir(folder())).map((name) => readFile(join(folder(), name))));
    const content = { kind: 'person.erase', subject: found.pseudonym, reason: 'gone' };
    const { body: request } = await t.call('morgan', 'POST', '/v1/requests', content);
    await approve(t, 'avery', request);
    expect((await approve(t, 'sam', request)).body.state).toBe('applied');
    const { outcome, why } = await replay(approved);
    expect([outcome, why.code]).toEqual(['not_replayable', 'erased']);
    expect(why.detail).toContain(`The record at place ${why.erased_by} says so.`);
    const left = (await query('select place from archived_inputs')).map(({ place }) => place);
    expect(left.filter((place) => found.places.includes(place))).toEqual([]);
    expect(left).toContain(1);
    // Not a byte of the files changed, and they may be gone: an erased input is not missing.
    const same = await Promise.all((await readdir(folder())).map((name) => readFile(join(folder(), name))));
    expect(same).toEqual(files);

    const [key, log, evidence] = ['log.key', 'log', 'evidence'].map((name) => join(t.folder, name)) as [
      string,
      string,
      string,
    ];
    await writeFile(key, (await terminal.as('avery', 'audit', 'key')).out);
    expect((await terminal.as('avery', 'audit', 'inputs', '--out', evidence)).code).toBe(0);
    t.clock.advance(1000);
    expect((await terminal.as('avery', 'publish', '--log', log)).code).toBe(0);
    const verify = () =>
      terminal.run('verify', log, '--key', key, '--inputs', join(evidence, 'inputs.jsonl'), '--json');
    const { code, json } = await verify();
    expect([code, json.deleted_evaluations]).toEqual([0, 1]);
    expect(json.archived_inputs).toBeGreaterThan(5);
    const codes = json.gaps.map((gap: { code: string }) => gap.code);
    expect(codes.toSorted()).toEqual(['erased', 'evaluations_deleted', 'no_policy']);
    expect(json.gaps.find((gap: { code: string }) => gap.code === 'erased').count).toBe(found.places.length);

    const [name = ''] = await readdir(folder());
    await rename(join(folder(), name), join(t.folder, 'away'));
    expect((await terminal.as('avery', 'audit', 'inputs', '--out', evidence)).code).toBe(0);
    const lacking = await verify();
    expect(lacking.code).toBe(5);
    expect(lacking.json.gaps.map((gap: { code: string }) => gap.code)).toContain('archive_missing');
    expect(await replay(approved)).toMatchObject({ why: { code: 'erased' } });
    await rename(join(t.folder, 'away'), join(folder(), name));
  });
});

describe('the command', () => {
  it('previews, moves with the broker stopped, and has nothing left to do then', async () => {
    await createFlag(t, 'later');
    t.clock.advance(10 * DAY_MS);
    await t.broker.close();
    const archive = (...words: string[]) =>
      terminal.run('archive', '--config', join(t.folder, 'countersign.yaml'), '--json', ...words);
    const preview = await archive('--older-than', '5d', '--dry-run');
    expect(preview.code).toBe(0);
    const done = await archive('--older-than', '5d');
    expect([done.code, done.json.inputs]).toEqual([0, preview.json.inputs]);
    expect(done.json.files[0].to_place).toBe(preview.json.up_to);
    expect(done.err).toContain(`moved ${preview.json.inputs} of ${preview.json.inputs} inputs`);
    expect((await archive('--older-than', '5d')).json.inputs).toBe(0);
    expect((await archive('--older-than', 'soon')).json.code).toBe('usage');
    await t.restart();
    const [record] = await recordsOf('inputs.archived');
    expect(record.principal.id).toBe('workload:countersign:operator');
  });
});
