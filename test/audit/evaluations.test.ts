import { createHash } from 'node:crypto';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTerminal, type Terminal } from '../cli/support.ts';
import { exchange, type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { erasePerson, withoutRetention } from '../support/erasures.ts';
import { createFlag } from '../support/flags.ts';
import { canonical } from '../support/log-oracle.ts';
import { forgeCount, readEvaluations, readRecords, refuseInserts } from '../support/sqlite/rows.ts';

/* Who evaluated what, from the call of an application to what a stranger verifies. */

const INTERVAL_MS = 60_000;
const ALL = '/ofrep/v1/evaluate/flags';

let t: TestBroker;
let terminal: Terminal;
let service: string;
let dana: string;

beforeAll(async () => {
  t = await startTestBroker({
    config: {
      public_url: 'https://flags.example',
      evaluations: { interval_seconds: 60, in_full: { flags: ['watched'] } },
    },
    editData: withoutRetention,
  });
  terminal = createTerminal(t);
  for (const key of ['plain', 'watched']) await createFlag(t, key, { tier: 'informational' });
  await renewTokens();
});
afterAll(() => t.close());

async function renewTokens(): Promise<void> {
  const audience = 'data:production';
  service = (await exchange(t.url, await t.ci.checkoutToken(), { audience })).body.access_token;
  const subject_token_type = 'urn:ietf:params:oauth:token-type:id_token';
  dana = (await exchange(t.url, await t.people.idToken('dana'), { audience, subject_token_type })).body
    .access_token;
}

const evaluate = (token: string, path = '', headers: Record<string, string> = {}) =>
  t.call(token, 'POST', `${ALL}${path}`, {}, headers);

/** Lets an interval pass. */
async function passInterval(): Promise<void> {
  t.clock.advance(INTERVAL_MS);
  await t.broker.scheduler.tick();
}

async function list(query = ''): Promise<Reply['body'][]> {
  const { status, body } = await t.call('avery', 'GET', `/v1/evaluations?limit=200${query}`);
  expect(status).toBe(200);
  return body.items;
}

const countsOf = (rows: Reply['body'][]) =>
  rows.map(({ workload, flag, variant, count }) => [workload, flag, variant, count]).toSorted();

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${t.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
}

const digest = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;

describe('evaluations', () => {
  it('are counted by who evaluated which flag to which variant, and nobody is counted for an unknown flag', async () => {
    const startMs = t.clock();
    await evaluate(service, '/plain');
    t.clock.advance(10);
    await evaluate(service, '/plain');
    await evaluate(service, '/watched');
    expect((await evaluate(service, '/unknown')).status).toBe(404);
    const all = await evaluate(dana);
    expect(all.body.flags).toHaveLength(2);
    const tag = { 'if-none-match': all.headers.get('etag') ?? '' };
    t.clock.advance(10);
    expect((await evaluate(dana, '', tag)).status).toBe(304);
    expect(await list()).toEqual([]);
    expect(await metric('countersign_evaluations_unrecorded')).toBe(7);

    await passInterval();
    expect(await metric('countersign_evaluations_unrecorded')).toBe(0);
    const rows = await list();
    const [id, person] = [expect.stringMatching(/^workload:/), 'person:demo:dana'];
    expect(rows).toHaveLength(5);
    expect(rows).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          workload: id,
          environment: 'production',
          flag: 'plain',
          variant: 'off',
          count: 2,
          first_ms: startMs,
          last_ms: startMs + 10,
        }),
        expect.objectContaining({ workload: id, flag: 'watched', count: 1 }),
        expect.objectContaining({
          workload: person,
          flag: 'plain',
          count: 2,
          first_ms: startMs + 10,
          last_ms: startMs + 20,
        }),
        expect.objectContaining({ workload: person, flag: 'watched', count: 1, last_ms: startMs + 10 }),
        expect.objectContaining({ workload: person, flag: 'watched', count: 1, first_ms: startMs + 20 }),
      ]),
    );
  });

  it('are found by flag, environment, principal and time, in pages, by those who may read the log', async () => {
    expect(countsOf(await list('&flag=plain'))).toHaveLength(2);
    expect(await list('&flag=plain&workload=person:demo:dana')).toHaveLength(1);
    expect(await list('&workload=person:demo:dana')).toHaveLength(3);
    expect(await list('&environment=staging')).toEqual([]);
    expect(await list(`&from=${t.clock() - 1000}`)).toEqual([]);
    const first = (await t.call('avery', 'GET', '/v1/evaluations?limit=3')).body;
    const rest = await list(`&cursor=${first.next_cursor}`);
    expect([...first.items, ...rest]).toEqual(await list());
    for (const [query, name] of [
      ['flag=plian', 'plain'],
      ['environment=prodction', 'production'],
      ['workload=person:demo:dona', 'person:demo:dana'],
    ]) {
      const { status, body } = await t.call('avery', 'GET', `/v1/evaluations?${query}`);
      expect([query, status, body.detail]).toEqual([query, 404, expect.stringContaining(`mean ${name}`)]);
    }
    expect((await t.call('dana', 'GET', '/v1/evaluations')).status).toBe(403);
    const printed = await terminal.as('avery', 'audit', 'evaluations', '--flag', 'plain');
    expect([printed.code, printed.out]).toEqual([0, expect.stringContaining('person:demo:dana')]);
    const json = await terminal.as('avery', 'audit', 'evaluations', '--flag', 'plain', '--json');
    expect(json.json.items).toHaveLength(2);
  });

  it('have the digest of their rows in a leaf, and no name beside it', async () => {
    const rows = readEvaluations(t.file);
    const place = Math.floor(Number(rows[0]?.id) / 1000);
    const record = readRecords(t.file).find((each) => each.place === place);
    const { digests, principal, operation } = JSON.parse(record?.leaf ?? '');
    expect([operation, principal.kind]).toEqual(['evaluations.counted', 'workload']);
    const { body } = await t.call('avery', 'GET', `/v1/log/inputs?from_place=${place}&limit=1`);
    const [{ salt, input, evaluations }] = body.items;
    expect(digests.input).toBe(digest(`${salt}\0input\0${input}`));
    expect(JSON.parse(input)).toMatchObject({ evaluations: 7, rows: rows.length });
    expect(JSON.parse(input).digest).toBe(digest(canonical(rows.map(({ id: _, ...row }) => row))));
    expect(evaluations).toEqual(rows.map(({ id: _, ...row }) => row));
    expect(JSON.stringify([body, rows])).not.toContain('dana');
  });

  it('that nobody made leave no record', async () => {
    const before = readRecords(t.file).length;
    await passInterval();
    expect(readRecords(t.file)).toHaveLength(before);
  });
});

describe('a store that takes no record', () => {
  it('stops no evaluation, and gets the counts when it takes records again', async () => {
    await renewTokens();
    const before = readEvaluations(t.file).length;
    const heal = refuseInserts(t.file, 'records');
    try {
      expect((await evaluate(service, '/plain')).status).toBe(200);
      await passInterval();
      expect((await evaluate(service, '/plain')).status).toBe(200);
      await passInterval();
      expect(await metric('countersign_evaluations_unrecorded')).toBe(2);
      expect(readEvaluations(t.file)).toHaveLength(before);
    } finally {
      heal();
    }
    await passInterval();
    expect(await metric('countersign_evaluations_unrecorded')).toBe(0);
    const fresh = readEvaluations(t.file).slice(before);
    expect(fresh.reduce((sum, { count }) => sum + Number(count), 0)).toBe(2);
  });
});

describe('a stranger', () => {
  let key: string;
  let log: string;
  const inputs = () => join(t.folder, 'evidence', 'inputs.jsonl');

  async function verify(): Promise<Reply['body']> {
    expect((await terminal.as('avery', 'audit', 'inputs', '--out', join(t.folder, 'evidence'))).code).toBe(0);
    t.clock.advance(1000);
    expect((await terminal.as('avery', 'publish', '--log', log)).code).toBe(0);
    const { code, json } = await terminal.run('verify', log, '--key', key, '--inputs', inputs(), '--json');
    return { ...json, code };
  }

  beforeAll(async () => {
    key = join(t.folder, 'log.key');
    await writeFile(key, (await terminal.as('avery', 'audit', 'key')).out);
    log = await mkdtemp(join(t.folder, 'log-'));
  });

  it('counts the records of evaluations, and verifies their rows', async () => {
    const report = await verify();
    expect([report.code, report.evaluation_counts]).toEqual([0, 3]);
  });

  it('finds a row that was changed in the database', async () => {
    const [row] = readEvaluations(t.file);
    forgeCount(t.file, 1_000_000);
    const { code, fault } = await verify();
    forgeCount(t.file, Number(row?.count));
    expect([code, fault]).toEqual([6, 'evaluations_other']);
  });

  it('finds rows that are missing, added or exchanged in what is given', async () => {
    await verify();
    const text = await readFile(inputs(), 'utf8');
    const given = async (change: (rows: object[]) => object[] | undefined) => {
      const lines = text.trimEnd().split('\n');
      const at = lines.findIndex((line) => line.includes('"evaluations":['));
      const line = JSON.parse(lines[at] ?? '');
      await writeFile(
        inputs(),
        lines.with(at, JSON.stringify({ ...line, evaluations: change(line.evaluations) })).join('\n'),
      );
      const { code, json } = await terminal.run('verify', log, '--key', key, '--inputs', inputs(), '--json');
      return [code, json.fault ?? json.gaps.map((gap: { code: string }) => gap.code)];
    };
    expect(await given((rows) => rows.slice(1))).toEqual([6, 'evaluations_other']);
    expect(await given((rows) => [...rows, ...rows.slice(0, 1)])).toEqual([6, 'evaluations_other']);
    expect(await given((rows) => rows.toReversed())).toEqual([6, 'evaluations_other']);
    expect(await given(() => undefined)).toEqual([5, expect.arrayContaining(['evaluations_missing'])]);
  });

  it('verifies the rows of a person whose name was erased, and nobody can tell whose they are', async () => {
    expect(await erasePerson(t, 'emp-1001')).toMatchObject({ state: 'applied' });
    const rows = (await list('&flag=plain')).filter(({ workload }) => workload === null);
    expect(rows).toEqual([expect.objectContaining({ pseudonym: expect.any(String), count: 2 })]);
    expect((await verify()).code).toBe(0);
  });
});

describe('a broker that ends', () => {
  it('records what was counted if it closes, and loses what an interval had if it is killed', async () => {
    await renewTokens();
    const before = readEvaluations(t.file).length;
    await evaluate(service, '/plain');
    await t.restart();
    expect(readEvaluations(t.file)).toHaveLength(before + 1);
    await evaluate(service, '/plain');
    // Nothing that the process has in memory reaches the store any more.
    await t.broker.store.close();
    await t.restart();
    expect(readEvaluations(t.file)).toHaveLength(before + 1);
    await evaluate(service, '/plain');
    await passInterval();
    expect(readEvaluations(t.file)).toHaveLength(before + 2);
  });
});

it('evaluations elsewhere are counted by who reads the definitions', async () => {
  await renewTokens();
  const read = (token: string | null) => t.call(token, 'GET', '/flagd/v1/production.json');
  await read(service);
  await read(service);
  expect((await read(null)).status).toBe(401);
  await passInterval();
  const [row] = await list();
  expect(row).toMatchObject({ flag: null, variant: null, count: 2, workload: expect.any(String) });
  expect(row.pseudonym).not.toBeNull();
  const [, latest] = (await terminal.as('avery', 'audit', 'evaluations')).out.split('\n');
  expect(latest).toMatch(/ 2 +production +definitions +- +workload:/);
});
