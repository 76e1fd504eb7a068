import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, answerOf, PLACES, type PlaceName } from '../support/hostile-places.ts';
import {
  type HostileBench,
  type KindName,
  type Line,
  type Members,
  mint,
  startHostileBench,
} from '../support/hostile-tokens.ts';
import { countsOf } from '../support/sqlite/rows.ts';
import { CLAIM_ROWS } from './hostile/claims.ts';
import { FORM_ROWS } from './hostile/form.ts';
import { MISPLACED_ROWS } from './hostile/misplaced.ts';
import { PROFILE_ROWS } from './hostile/profiles.ts';
import type { Row } from './hostile/row.ts';

/*
 * Hostile tokens, through the real broker: each is refused for a reason of its own, which only the log has, and with the one
 * answer of the place where it is shown.
 */

const ROWS: readonly Row[] = [...FORM_ROWS, ...CLAIM_ROWS, ...MISPLACED_ROWS, ...PROFILE_ROWS];

let bench: HostileBench;
const oneAnswer = new Map<PlaceName, Answer>();
/** All that was shown, and all that was answered. */
const shown: string[] = [];
const answered: string[] = [];
let log = '';

beforeAll(async () => {
  bench = await startHostileBench();
  for (const place of Object.keys(PLACES) as PlaceName[]) {
    oneAnswer.set(place, await answerOf(await PLACES[place].show(bench, 'garbage')));
  }
});
afterAll(() => bench.close());

/** Takes the lines that the broker has logged since the last time. */
function takeLines(): Line[] {
  const taken = bench.lines.splice(0);
  log += JSON.stringify(taken);
  return taken;
}

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

/** What the log gives as reasons under the id of an answer: with it, who runs the broker finds out why. */
function reasonsUnder(id: string, lines: readonly Line[]): unknown[] {
  return lines
    .filter(({ request_id, reference }) => request_id === id || reference === id)
    .map(({ reason }) => reason)
    .filter((reason) => reason !== undefined);
}

const REFUSALS = ['token refused', 'token exchange refused', 'token is not active', 'logout token refused'];

/** What the log says of the one refusal, but for what differs each time. */
function refusalIn(lines: readonly Line[]): Record<string, unknown> {
  const refusals = lines.filter(({ msg }) => REFUSALS.includes(msg));
  expect(refusals).toHaveLength(1);
  const [{ reason, note } = {} as Line] = refusals;
  const unmatched = lines.find(({ msg }) => msg === 'no trust rule matches')?.missed as
    | { rule: string; claim: string }[]
    | undefined;
  return { reason, note, missed: unmatched?.map(({ claim }) => claim) };
}

function countOf(subject: 'records' | 'revocations' | 'sessions'): number {
  return countsOf(bench.t.file, [subject])[subject];
}

async function metrics(): Promise<(name: string) => number> {
  const text = await (await fetch(`${bench.t.url}/metrics`)).text();
  return (name) =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ')[1] ?? 0,
    );
}

interface Showing {
  token: string;
  answer: Answer;
  /** What names the refusal in the answer, where there is such a thing. */
  id: string | undefined;
  lines: Line[];
}

async function show(row: Row): Promise<Showing> {
  const token = await row.token(bench);
  takeLines();
  const response = await (row.show ?? PLACES[row.at].show)(bench, token);
  const [id] = UUID.exec(await response.clone().text()) ?? [];
  return { token, answer: await answerOf(response), id, lines: takeLines() };
}

describe('a good token', () => {
  const ACCEPTED: [kind: KindName, at: PlaceName, status: number, claims?: (nowS: number) => Members][] = [
    ['id_token', 'control', 201],
    ['id_token', 'control', 201, (nowS) => ({ exp: nowS - 29 })],
    ['id_token', 'control', 201, (nowS) => ({ iat: nowS + 30, nbf: nowS + 30 })],
    ['access_token', 'control', 201],
    ['issued', 'control', 201],
    ['bound', 'control_dpop', 201],
    ['data', 'flags', 200],
    ['data', 'flags_key', 200],
    ['bound_data', 'flags_dpop', 200],
    ['platform', 'subject', 200],
    ['svid', 'subject', 200],
    ['sponsor', 'sponsor', 200],
    ['delegation', 'sponsor', 200],
    ['agent_job', 'actor', 200],
    ['issued', 'introspect', 200],
    ['delegation', 'introspect', 200],
    ['bound', 'introspect', 200],
    ['id_token', 'introspect_caller', 200],
    ['issued', 'introspect_caller', 200],
    ['logout_token', 'logout', 200],
  ];

  it.each(ACCEPTED)('(%s) is accepted at %s', async (kind, at, status, claims) => {
    takeLines();
    const response = await PLACES[at].show(bench, mint(bench.kinds[kind], claims?.(bench.nowS())));
    const body = await response.text();
    expect({ status: response.status, body }).toMatchObject({ status });
    if (at === 'introspect') expect(body).toContain('"active":true');
    expect(takeLines().filter(({ msg }) => REFUSALS.includes(msg))).toEqual([]);
  });

  it('is given up where its holder revokes it', async () => {
    const before = countOf('revocations');
    expect((await PLACES.revoke.show(bench, mint(bench.kinds.issued))).status).toBe(200);
    expect(countOf('revocations')).toBe(before + 1);
  });

  it('of the wrong plane is not unknown: policy denies it, and that is recorded', async () => {
    for (const kind of ['data', 'audit'] as const) {
      const before = countOf('records');
      expect((await PLACES.control.show(bench, mint(bench.kinds[kind]))).status).toBe(403);
      expect(countOf('records')).toBe(before + 1);
    }
  });

  it('of two issuers is of two people', async () => {
    const ids: unknown[] = [];
    for (const issuer of [bench.people, bench.others]) {
      const kind = { ...bench.kinds.id_token, key: issuer.key };
      const token = mint(kind, { iss: issuer.config.issuer }, { kid: issuer.key.kid });
      const { body } = await bench.t.call(token, 'GET', '/v1/whoami');
      ids.push(body.principal.id);
    }
    expect(ids).toEqual(['person:idp:dana', 'person:others:dana']);
  });
});

describe('a hostile token', () => {
  let counted: (name: string) => number;
  let before: Record<string, number>;
  let revocations = 0;

  beforeAll(async () => {
    counted = await metrics();
    revocations = countOf('revocations');
    before = { records: countOf('records'), sessions: countOf('sessions') };
  });

  it.each(ROWS.map((row): [string, string, string, Row] => [row.at, row.attack, row.variant, row]))(
    'at %s: %s (%s)',
    async (_at, _attack, _variant, row) => {
      const { token, answer, id, lines } = await show(row);
      shown.push(token);
      answered.push(answer.text);
      const missed = row.missed === undefined ? undefined : expect.arrayContaining([row.missed]);
      expect(refusalIn(lines)).toEqual({ reason: row.reason, note: row.note, missed });
      expect(answer).toEqual(oneAnswer.get(row.answersAs ?? row.at));
      if (id !== undefined) expect(reasonsUnder(id, lines)).toContainEqual(expect.stringMatching(row.reason));
    },
  );

  it('is tried in more than eighty ways', () => {
    expect(new Set(ROWS.map(({ attack }) => attack)).size).toBeGreaterThan(80);
    expect(shown).toHaveLength(ROWS.length);
  });

  it('never shares with another attack what the log says', () => {
    const attacks = new Map<string, Set<string>>();
    for (const { at, attack, reason, note, missed } of ROWS) {
      const said = [at, reason, note, missed].join(' ');
      attacks.set(said, (attacks.get(said) ?? new Set()).add(attack));
    }
    expect(
      [...attacks].filter(([, names]) => names.size > 1).map(([said, names]) => [said, ...names]),
    ).toEqual([]);
  });

  it('leaves no record, but is counted', async () => {
    const replays = ROWS.filter(({ reason }) => reason === 'replayed').length;
    // Each replay comes after a first use, which is recorded.
    expect(countOf('records')).toBe((before.records ?? 0) + replays);
    expect(countOf('sessions')).toBe(before.sessions);
    expect(countOf('revocations')).toBe(revocations);
    const now = await metrics();
    const grown = (name: string): number => now(name) - counted(name);
    const shownAt = (...places: PlaceName[]): number => ROWS.filter(({ at }) => places.includes(at)).length;
    expect(grown('countersign_unauthenticated_total{code="token_invalid"}')).toBe(
      ROWS.length - shownAt('flags', 'flags_key', 'flags_dpop', 'introspect', 'revoke'),
    );
    expect(grown('countersign_evaluations_total{kind="bulk",status="4xx"}')).toBe(
      shownAt('flags', 'flags_key', 'flags_dpop'),
    );
    const refused = grown('countersign_http_request_duration_seconds_count{status="4xx"}');
    expect(refused).toBe(ROWS.length - shownAt('flags', 'flags_key', 'flags_dpop', 'introspect', 'revoke'));
    const failed = grown('countersign_http_request_duration_seconds_count{status="5xx"}');
    expect(failed).toBe(0);
  });

  it('makes the broker ask nobody whom it does not trust', () => {
    expect(shown.some((token) => token.includes('.'))).toBe(true);
    expect(bench.canary.requests()).toBe(0);
  });

  it('is kept nowhere: not in the log, not in a file, not in an answer', async () => {
    takeLines();
    const signatures = shown
      .flatMap((token) => token.split('.').slice(2))
      .filter((part) => part.length >= 40);
    const keys = Object.values(bench.kinds).map(({ key }) =>
      String(key.privateKey.export({ format: 'jwk' }).d),
    );
    const secrets = [...new Set([...shown.filter((token) => token.length >= 40), ...signatures, ...keys])];
    expect(secrets.length).toBeGreaterThan(ROWS.length);
    const names = await readdir(bench.t.folder);
    expect(names).toEqual(expect.arrayContaining(['countersign.db', 'countersign.db-wal']));
    const files = await Promise.all(names.map((name) => readFile(join(bench.t.folder, name), 'latin1')));
    const places = [log, answered.join('\n'), ...files];
    expect(log.length).toBeGreaterThan(100_000);
    expect(secrets.filter((secret) => places.some((place) => place.includes(secret)))).toEqual([]);
  });
});
