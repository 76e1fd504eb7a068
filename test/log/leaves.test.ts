import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CAST } from '../../fixtures/identity/people.ts';
import type { PolicyInput } from '../../src/policy/input.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, approve, createFlag, propose } from '../support/flags.ts';
import { canonical } from '../support/log-oracle.ts';
import { readHead, readLeavesAndDetails, readOutbox, readPseudonyms } from '../support/sqlite/log.ts';
import { readBundles, readFreezes, readVersions } from '../support/sqlite/rows.ts';
import { playStory } from '../support/story.ts';
import { addAgents, agentToken } from '../tokens/agents.ts';

/*
 * What is hashed for ever holds nothing that must one day be erased, and still says everything that evidence needs. The
 * leaves are judged here by the documents beside them and by the tables, with none of the code that made them.
 */

interface Row {
  place: number;
  leaf: string;
  // biome-ignore lint/suspicious/noExplicitAny: the document under test
  record: any;
  // biome-ignore lint/suspicious/noExplicitAny: the document beside it
  said: any;
  details: string;
  input: string;
  result: string;
  salt: string;
  document: PolicyInput;
}

let t: TestBroker;
let rows: Row[];
let names: Map<string, { kind: string; name: string }>;

const INCIDENT = { incident: 'INC-4711', reason: 'the lights went out' };
const USER = 'jo.bloggs@example.com';

beforeAll(async () => {
  t = await startTestBroker({ editData: (data, { ci }) => addAgents(data, ci) });
  await tell();
  await playStory(t, { seed: 7, steps: 700 });
  rows = readLeavesAndDetails(t.file).map(({ place, leaf, details, input, result, salt }) => ({
    place,
    leaf,
    record: JSON.parse(leaf),
    said: JSON.parse(details),
    details,
    input,
    result,
    salt,
    document: JSON.parse(input) as PolicyInput,
  }));
  names = new Map(readPseudonyms(t.file).map(({ pseudonym, kind, name }) => [pseudonym, { kind, name }]));
});

afterAll(() => t.close());

/** What the random story seldom has: exceptions for users, freezes that let something pass, agents, comments. */
async function tell(): Promise<void> {
  await createFlag(t, 'leafy');
  const users = [
    { id: USER, exception: { reason: 'a friend of the house', until_ms: t.clock() + 86_400_000 } },
  ];
  await applyChanges(t, [
    { action: 'enable', flag: 'leafy' },
    { action: 'set_audience', flag: 'leafy', audience: { kind: 'some', organizations: ['acme'], users } },
  ]);
  await t.call('riley', 'POST', '/v1/freezes', { scope: 'flag', flag: 'leafy', ...INCIDENT });
  await propose(t, [{ action: 'enable', flag: 'leafy' }]);
  await applyChanges(t, [{ action: 'disable', flag: 'leafy' }]);
  await propose(t, [{ action: 'enable', flag: 'leafy' }], { environment: 'staging' }, await agentToken(t));
  await propose(t, [{ action: 'disable', flag: 'leafy' }], {}, await t.workloadToken());
  // A guardrail is met only where policy would have let something pass, so not here.
  const { body } = await propose(t, [{ action: 'enable', flag: 'leafy' }], { environment: 'staging' });
  const comment = 'as we said on the phone';
  await t.call('alex', 'POST', `/v1/requests/${body.id}/approve`, { digest: body.digest, comment });
  await approve(t, 'dana', body);
}

function sha256(...parts: (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return `sha256:${hash.digest('hex')}`;
}

const salted = ({ salt }: Row, label: string, text: string) => sha256(salt, '\0', label, '\0', text);

/** Every text in a document. */
function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(textsIn);
}

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';

describe('a leaf', () => {
  it('is canonical, fits, and is at its place', () => {
    expect(rows.length).toBeGreaterThan(300);
    for (const [index, { place, leaf, record }] of rows.entries()) {
      expect(place).toBe(index + 1);
      expect(leaf).toBe(canonical(record));
      expect(Buffer.byteLength(leaf)).toBeLessThanOrEqual(65_535);
      expect(record.schema).toEqual(
        record.operation === 'policy.activate'
          ? { record: 1, input: null, result: 1, guardrails: null }
          : { record: 1, input: 2, result: 1, guardrails: 3 },
      );
      expect(record.stage).toBeNull();
    }
    const moments = rows.map(({ record }) => record.at_ms);
    expect(moments).toEqual(moments.toSorted((one, other) => one - other));
  });

  it('holds no name, group, claim, organization, token or free text', () => {
    const personal = new Set<string>(['example.com', USER, 'acme', 'globex', 'INC-', 'PAY-17', 'github:']);
    for (const { sub, employee_id, email } of CAST)
      for (const text of [sub, employee_id, email]) personal.add(text);
    const whole = new Set<string>(CAST.flatMap(({ groups }) => groups));
    for (const { said, document } of rows) {
      const { principal, request, emergency, revocation } = document;
      const said_ = [said.outcome.reasons, said.outcome.note]
        .flatMap(textsIn)
        .filter((text) => text.includes(' '));
      for (const text of said_) personal.add(text);
      const { token, origins = [], session, ticket } = said.correlation;
      for (const text of [token, ...origins, session, ticket]) if (text) personal.add(text);
      personal.add(principal.id);
      for (const text of principal.act ?? []) personal.add(text);
      for (const text of textsIn(principal.claims ?? {})) whole.add(text);
      for (const { incident, reason } of [...(emergency?.freezes ?? []), ...(revocation ? [revocation] : [])])
        for (const text of [incident, reason]) personal.add(text);
      if (!request) continue;
      for (const text of [request.reason, request.proposer.id, ...request.authors]) personal.add(text);
      for (const { flag } of request.changes) personal.add(flag.owner);
    }
    expect(personal.size).toBeGreaterThan(100);
    // What is short may stand in another word.
    for (const text of personal) {
      if (text.length > 5 || text === 'acme' || CAST.some(({ sub }) => sub === text)) continue;
      personal.delete(text);
      whole.add(text);
    }
    // The runs of pipelines stand there, as what ties a record to them.
    whole.delete('987654321');
    const random = new RegExp(`"[\\w-]{22}"|sha256:[0-9a-f]{64}|${UUID}`, 'g');
    for (const { leaf, record, place } of rows) {
      for (const found of leaf.match(/"[\w-]{22}"/g) ?? []) expect(names.has(found.slice(1, -1))).toBe(true);
      const rest = leaf.replaceAll(random, '');
      for (const text of personal) if (rest.includes(text)) expect.fail(`${place} holds ${text}: ${leaf}`);
      const texts = new Set(textsIn(record));
      for (const text of whole) if (texts.has(text)) expect.fail(`${place} holds ${text}: ${leaf}`);
    }
  });

  it('has salted digests that whoever has the readable side can check, each with a salt of its own', () => {
    for (const row of rows) {
      const { record, said, details, input, result, document } = row;
      expect(record.digests).toEqual({
        details: salted(row, 'details', details),
        reasons: salted(row, 'reasons', canonical(said.outcome.reasons)),
        note: said.outcome.note && salted(row, 'note', said.outcome.note.detail),
        ticket: said.correlation.ticket && salted(row, 'ticket', said.correlation.ticket),
        reason: record.request && salted(row, 'reason', document.request?.reason ?? ''),
        input: salted(row, 'input', input),
        result: salted(row, 'result', result),
      });
    }
    expect(new Set(rows.map(({ salt }) => salt)).size).toBe(rows.length);
    for (const { salt } of rows) expect(Buffer.from(salt, 'base64url')).toHaveLength(32);
    expect(rows.filter(({ record }) => record.digests.ticket !== null).length).toBeGreaterThan(20);
  });

  it('names by pseudonym exactly whom the readable side names', () => {
    const nameOf = (kind: string, pseudonym: string | null) => {
      if (pseudonym === null) return null;
      const found = names.get(pseudonym);
      return found?.kind === kind ? found.name : `unknown ${kind} ${pseudonym}`;
    };
    for (const { record, said, document } of rows) {
      const { principal } = record;
      expect({
        id: nameOf('principal', principal.pseudonym),
        kind: principal.kind,
        person: nameOf('person', record.person),
        issuer: principal.issuer,
        trust_rule: principal.trust_rule,
        act: principal.act.map((actor: string) => nameOf('principal', actor)),
      }).toEqual({ ...said.principal, act: said.principal.act ?? [] });
      if (record.operation !== 'request.edit' && record.operation !== 'request.schedule')
        expect(record.authors.map((author: string) => nameOf('person', author))).toEqual(
          document.request?.authors ?? [],
        );
    }
    expect(rows.some(({ record }) => record.principal.act.length > 0)).toBe(true);
    const called = [...names.values()].map(({ kind, name }) => `${kind} ${name}`);
    expect(new Set(called).size).toBe(names.size);
    for (const pseudonym of names.keys()) expect(Buffer.from(pseudonym, 'base64url')).toHaveLength(16);
  });

  it('says the same as the readable side of all else', () => {
    for (const { record, said, document } of rows) {
      const { id, at_ms, operation, environment, policy_hash } = said;
      expect(record).toMatchObject({ id, at_ms, operation, environment, policy_hash });
      expect(record.outcome).toEqual({
        effect: said.outcome.effect,
        codes: said.outcome.reasons.map(({ code }: { code: string }) => code),
        obligations: said.outcome.obligations.map(
          ({ kind, role, count }: { kind: string; role?: string; count?: number }) =>
            JSON.parse(JSON.stringify({ kind, role, count })),
        ),
        note: said.outcome.note?.code ?? null,
      });
      const { digest: _, namespace, ...moved } = { digest: null, ...record.flags[0] };
      const isDefined = moved.environment === null && moved.version_after !== moved.version_before;
      expect(namespace).toBe(isDefined ? 'payments' : undefined);
      expect(record.flags.length === 0 ? said.flags : [moved]).toEqual(said.flags.slice(0, 1));
      expect(record.flags).toHaveLength(said.flags.length);
      const { http_request_id, ci_run } = said.correlation;
      expect(record.correlation).toEqual({ http_request_id, ci_run });
      if (said.request === null) {
        expect(record.request).toBeNull();
        continue;
      }
      const { object: about = null, kind } = document.request ?? {};
      const object = about && { type: about.type, id: about.id };
      expect(record.request).toEqual({ ...said.request, kind, object });
      expect(object === null).toBe(kind === 'flag.change');
    }
    const kinds = new Set(rows.map(({ record }) => record.request?.kind));
    expect(kinds).toEqual(new Set([undefined, 'flag.change', 'freeze.lift', 'revocation.lift']));
    expect(rows.some(({ record }) => record.correlation.ci_run === '987654321')).toBe(true);
  });

  it('names the votes that counted by their records, in their order', () => {
    const byId = new Map(rows.map((row) => [row.record.id, row]));
    let counted = 0;
    for (const { record, document, place } of rows) {
      const votes: Row[] = record.votes.map((id: string) => byId.get(id));
      const shown = [...(document.approvals ?? []), ...(document.rejections ?? [])];
      expect(votes.map(({ said }) => said.principal.person).toSorted()).toEqual(
        shown.map(({ principal }) => principal.person).toSorted(),
      );
      const places = votes.map((vote) => vote.place);
      expect(places).toEqual(places.toSorted((one, other) => one - other));
      for (const vote of votes) {
        expect(vote.place).toBeLessThan(place);
        expect(vote.record).toMatchObject({
          operation: expect.stringMatching(/^request\.(approve|reject)$/),
          outcome: { effect: 'allow' },
          request: { id: record.request.id, digest: record.request.digest },
        });
        counted += 1;
      }
    }
    expect(counted).toBeGreaterThan(20);
  });

  it('has the digest of each new definition and state, and of nothing that did not move', () => {
    const stored = new Map<string, string>(
      readVersions(t.file).map((row) => [`${row.flag} ${row.environment} ${row.version}`, row.document]),
    );
    const said: string[] = [];
    for (const { record } of rows) {
      for (const { flag, environment, version_before, version_after, digest } of record.flags) {
        if (version_before === version_after) {
          expect(digest).toBeNull();
          continue;
        }
        const key = `${flag} ${environment} ${version_after}`;
        expect(digest).toBe(sha256(canonical(JSON.parse(stored.get(key) ?? 'null'))));
        said.push(key);
      }
    }
    expect(said.sort()).toEqual([...stored.keys()].sort());
  });

  it('says which freeze it engages or lifts, and which it passed by', () => {
    const freezes = readFreezes(t.file);
    const changed = rows.filter(({ record }) => record.freeze !== null);
    const engaged = changed.filter(({ record }) => record.freeze.change === 'engaged');
    const lifted = changed.filter(({ record }) => record.freeze.change === 'lifted');
    const scopeOf = ({ id, scope, environment, namespace, flag }: (typeof freezes)[number]) => ({
      id,
      scope,
      environment,
      namespace,
      flag,
    });
    const by = (one: { id: string }, other: { id: string }) => (one.id < other.id ? -1 : 1);
    expect(engaged.map(({ record: { freeze } }) => freeze).sort(by)).toEqual(
      freezes.map((row) => ({ change: 'engaged', ...scopeOf(row) })).sort(by),
    );
    expect(lifted.map(({ record: { freeze } }) => freeze).sort(by)).toEqual(
      freezes
        .filter(({ lifted_ms }) => lifted_ms !== null)
        .map((row) => ({ change: 'lifted', ...scopeOf(row) }))
        .sort(by),
    );
    expect(lifted.length).toBeGreaterThan(0);
    const passing = rows.filter(({ record }) => record.passed.freezes.length > 0);
    for (const { record, document } of passing) {
      expect(record.request.to).toBe('applied');
      expect(record.passed.freezes).toEqual(document.emergency.freezes.map(({ id }) => id));
    }
    const underFreeze = rows.filter(
      ({ record, document }) =>
        record.request?.kind === 'flag.change' &&
        record.request.to === 'applied' &&
        document.emergency.frozen,
    );
    expect(passing.map(({ place }) => place)).toEqual(underFreeze.map(({ place }) => place));
    expect(passing.length).toBeGreaterThan(0);
  });

  it('says by exception only where flags moved by one', () => {
    const excepted = rows.filter(({ record }) => record.passed.exception);
    expect(excepted.length).toBeGreaterThan(0);
    for (const { record, document } of excepted) {
      expect(record.request.to).toBe('applied');
      expect(document.request?.changes.some(({ facts }) => facts.exception_used)).toBe(true);
    }
  });

  it('of an activated policy has its hash, and that of what approvers of a bundle see', () => {
    const activations = rows.filter(({ record }) => record.activates !== null);
    expect(activations.map(({ record }) => record.activates)).toEqual(
      readBundles(t.file).map(({ policy_hash, archive }) => ({
        hash: policy_hash,
        archive: sha256(archive),
        stages: [],
      })),
    );
  });
});

describe('the head and the outbox', () => {
  it('are where the leaves are', () => {
    const size = rows.length;
    expect(readHead(t.file)).toMatchObject({ size, epoch: 1, last_ms: rows.at(-1)?.record.at_ms });
  });

  it('has one row for each environment that a record moved, each freeze and policy, and nothing else', () => {
    const outbox = readOutbox(t.file);
    const expected = rows.flatMap(({ place, record }) => {
      const environments = record.flags
        .filter((move: { digest: string | null }) => move.digest !== null)
        .map(({ environment }: { environment: string | null }) => environment);
      const reached = environments.includes(null) ? ['*'] : [...new Set(environments)];
      return [
        ...reached.map((environment) => `${place} environment:${environment}`),
        ...(record.freeze === null ? [] : [`${place} freeze:${record.freeze.id}`]),
        ...(record.activates === null ? [] : [`${place} policy:${record.activates.hash}`]),
      ];
    });
    expect(outbox.map(({ place, effect }) => `${place} ${effect}`).sort()).toEqual(expected.sort());
    expect(expected.length).toBeGreaterThan(30);
  });
});

describe('GET /v1/decisions', () => {
  it('answers each record with its place and its leaf', async () => {
    const { body } = await t.call('avery', 'GET', '/v1/decisions?limit=50');
    for (const { place, record, ...said } of body.items) {
      const row = rows[place - 1];
      if (row === undefined) continue;
      expect(record).toEqual(row.record);
      expect(said).toEqual(row.said);
    }
    const one = await t.call('avery', 'GET', `/v1/decisions/${rows[4]?.record.id}`);
    expect(one.body).toMatchObject({ place: 5, record: rows[4]?.record, input: rows[4]?.document });
  });
});
