import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { listRoutes } from '../../src/routes.ts';
import { type Reply, startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag, creation, proposal, propose } from '../support/flags.ts';
import { readRecords } from '../support/sqlite/rows.ts';

/*
 * Whoever has no grant in a place learns nothing about it, not even that it exists (design invariant 14): each call about
 * something hidden is answered like the same call about something that does not exist, byte for byte.
 */

let t: TestBroker;
/** Everything in the namespace `payments` that callers with roles in `growth` alone must not learn of. */
let hidden: Record<'flag' | 'request' | 'applied' | 'freeze' | 'lift' | 'session' | 'revocation', string>;
/** A pending request of the outsider, in `growth`. */
let own: Reply['body'];
const callers: Record<string, string> = {};

const MISSING_ID = '0190a1b2-0000-7000-8000-000000000000';

/** Names that exist nowhere, of the same length as the hidden ones. The flag is near the hidden one, which is never suggested. */
const missing: typeof hidden = {
  flag: 'zecret.flag',
  request: MISSING_ID,
  applied: MISSING_ID,
  freeze: MISSING_ID,
  lift: MISSING_ID,
  session: MISSING_ID,
  revocation: MISSING_ID,
};

interface Bindings {
  config: { role_bindings: { groups: Record<string, Record<string, unknown>> } };
}

function bindGrowth(data: unknown): unknown {
  const edited = structuredClone(data) as Bindings;
  const at = { namespaces: ['growth'], environments: ['*'] };
  for (const groups of Object.values(edited.config.role_bindings.groups)) {
    groups.growth = [{ roles: ['flag-deployer', 'flag-approver', 'flag-reader'], ...at }];
    groups['growth-responders'] = [{ roles: ['flag-emergency-override', 'flag-reader'], ...at }];
    groups['growth-developers'] = [{ roles: ['flag-reader'], ...at, environments: ['development'] }];
  }
  return edited;
}

async function tokenOf(person: string, groups: string[]): Promise<string> {
  const claims = { groups, sub: person, employee_id: `emp-${person}` };
  return t.people.idToken('casey', { mfa: true, claims });
}

beforeAll(async () => {
  t = await startTestBroker({ editData: bindGrowth });
  callers.outsider = await tokenOf('outsider', ['growth']);
  callers.responder = await tokenOf('responder', ['growth-responders']);
  callers.developer = await tokenOf('developer', ['growth-developers']);
  callers.stranger = await tokenOf('stranger', []);
  await createFlag(t, 'secret.flag');
  const applied = await applyChanges(t, [{ action: 'enable', flag: 'secret.flag' }]);
  const { body: request } = await propose(t, [{ action: 'disable', flag: 'secret.flag' }], {
    apply: 'manual',
  });
  const growth = creation('own.flag', { namespace: 'growth', tier: 'informational', owner: 'team-growth' });
  const outsider = callers.outsider;
  expect((await propose(t, [growth], {}, outsider)).body.state).toBe('applied');
  const change = [{ action: 'enable', flag: 'own.flag' }];
  own = (await propose(t, change, { apply: 'manual' }, outsider)).body;
  expect(own.state).toBe('ready');
  const emergency = { incident: 'INC-secret', reason: 'a secret reason' };
  const order = { scope: 'namespace', namespace: 'payments', ...emergency };
  const { body: freeze } = await t.call('riley', 'POST', '/v1/freezes', order);
  const lifting = { kind: 'freeze.lift', freeze: freeze.id, reason: 'over' };
  const { body: lift } = await t.call('riley', 'POST', '/v1/requests', lifting);
  const { body: session } = await t.call('riley+mfa', 'POST', '/v1/break-glass', emergency);
  const revoking = { kind: 'subject', value: 'person:secret', ...emergency };
  const { body: revocation } = await t.call('riley+mfa', 'POST', '/v1/revocations', revoking);
  hidden = {
    flag: 'secret.flag',
    request: request.id,
    applied: applied.id,
    freeze: freeze.id,
    lift: lift.id,
    session: session.id,
    revocation: revocation.id,
  };
  for (const id of Object.values(hidden)) expect(id).toEqual(expect.any(String));
});
afterAll(() => t.close());

type Names = typeof hidden;
interface Attempt {
  method: string;
  path: (names: Names) => string;
  body?: (names: Names) => unknown;
  headers?: Record<string, string>;
}

const anyTag = { 'If-Match': '*' };
const digest = `sha256:${'0'.repeat(64)}`;

/** The attempts on a request, by the end of their path. */
const ON_REQUEST: Record<string, Omit<Attempt, 'path'>> = {
  '': { method: 'GET' },
  '?': { method: 'PATCH', body: () => ({ reason: 'x' }), headers: anyTag },
  '??': { method: 'PATCH', body: () => ({ reason: 'x' }) },
  '/approve': { method: 'POST', body: () => ({ digest }) },
  '/reject': { method: 'POST', body: () => ({ digest }) },
  '/withdraw': { method: 'POST' },
  '/request-changes': { method: 'POST', body: () => ({ digest, text: 'x' }) },
  '/comments': { method: 'GET' },
  '/comments?': { method: 'POST', body: () => ({ text: 'x' }) },
  '/comments/0190a1b2-0000-7000-8000-000000000000/withdraw': { method: 'POST' },
  '/preview': { method: 'POST', body: () => ({ contexts: [{}] }) },
  '/apply': { method: 'POST' },
  '/rebase': { method: 'POST', headers: anyTag },
  '/schedule': { method: 'POST', body: () => ({ at: 'next_window', digest }) },
};

const CHANGES: Record<string, Record<string, unknown>> = {
  enable: {},
  disable: {},
  set_audience: { audience: { kind: 'none' } },
  set_rollout: { default_variant: 'zz' },
  return_to_version: { version: 1 },
  update: { set: { owner: 'x' } },
  retire: {},
};

const changed = (action: string, flag: string) => [{ action, flag, ...CHANGES[action] }];

const ATTEMPTS: Record<string, Attempt> = {
  'GET a flag': { method: 'GET', path: ({ flag }) => `/v1/flags/${flag}` },
  'GET the versions of a flag': {
    method: 'GET',
    path: ({ flag }) => `/v1/flags/${flag}/versions?environment=production`,
  },
  'list the requests of a flag': { method: 'GET', path: ({ flag }) => `/v1/requests?flag=${flag}` },
  'GET a decision': { method: 'GET', path: ({ request }) => `/v1/decisions/${request}` },
  'replay a decision': { method: 'POST', path: ({ request }) => `/v1/decisions/${request}/replay` },
  'explain a request': {
    method: 'POST',
    path: () => '/v1/policy/explain',
    body: ({ request }) => ({ request }),
  },
  'ask what would become of a change': {
    method: 'POST',
    path: () => '/v1/policy/explain',
    body: ({ flag }) => ({
      what_if: { content: { environment: 'production', changes: changed('disable', flag), reason: 'x' } },
    }),
  },
  'GET a revocation': { method: 'GET', path: ({ revocation }) => `/v1/revocations/${revocation}` },
  'end a browser session': { method: 'DELETE', path: ({ session }) => `/v1/sessions/${session}` },
  'close a break-glass session': {
    method: 'POST',
    path: ({ session }) => `/v1/break-glass/${session}/close`,
  },
  'apply in the break-glass session of somebody else': {
    method: 'POST',
    path: ({ session }) => `/v1/break-glass/${session}/apply`,
    body: ({ flag }) => ({ environment: 'production', changes: changed('disable', flag) }),
  },
  'propose to lift a freeze': {
    method: 'POST',
    path: () => '/v1/requests',
    body: ({ freeze }) => ({ kind: 'freeze.lift', freeze, reason: 'x' }),
  },
  'propose to lift a revocation': {
    method: 'POST',
    path: () => '/v1/requests',
    body: ({ revocation }) => ({ kind: 'revocation.lift', revocation, reason: 'x' }),
  },
  'freeze a flag': {
    method: 'POST',
    path: () => '/v1/freezes',
    body: ({ flag }) => ({ scope: 'flag', flag, incident: 'i', reason: 'x' }),
  },
  'edit one’s own request to change a flag': {
    method: 'PATCH',
    path: () => `/v1/requests/${own.id}`,
    body: ({ flag }) => ({ changes: changed('enable', flag) }),
    headers: anyTag,
  },
  'propose two changes, one of them of one’s own flag': {
    method: 'POST',
    path: () => '/v1/requests',
    body: ({ flag }) => ({
      environment: 'production',
      reason: 'x',
      changes: [...changed('set_rollout', 'own.flag'), ...changed('enable', flag)],
    }),
  },
  ...Object.fromEntries(
    Object.keys(CHANGES).map((action) => [
      `propose to ${action} a flag`,
      {
        method: 'POST',
        path: () => '/v1/requests',
        body: ({ flag }: Names) => ({
          environment: 'production',
          reason: 'x',
          changes: changed(action, flag),
        }),
      },
    ]),
  ),
  ...Object.fromEntries(
    (['request', 'applied', 'lift'] as const).flatMap((name) =>
      Object.entries(ON_REQUEST).map(([end, attempt]) => [
        `${attempt.method} …${end} of ${name}`,
        { ...attempt, path: (names: Names) => `/v1/requests/${names[name]}${end.replaceAll('?', '')}` },
      ]),
    ),
  ),
};

/** An answer without what differs from call to call, and without what the caller named. */
function comparable({ status, body, headers }: Reply, names: Names): unknown {
  const { instance: _, decision_id: __, ...rest } = body ?? {};
  let text = JSON.stringify(rest);
  for (const name of new Set(Object.values(names))) text = text.replaceAll(name, '<named>');
  // Each call has a place of its own in the log; whether it has one must not tell anything.
  const sent = [...headers]
    .filter(([name]) => !['date', 'x-request-id'].includes(name))
    .map(([name, value]) => [name, name === 'countersign-log-place' ? 'a place' : value]);
  return { status, text, headers: sent, members: Object.keys(body ?? {}) };
}

async function answers(caller: string, { method, path, body, headers }: Attempt) {
  const ask = async (names: Names) => {
    const answer = await t.call(callers[caller] ?? null, method, path(names), body?.(names), headers);
    return comparable(answer, names) as { status: number; text: string };
  };
  return { hidden: await ask(hidden), missing: await ask(missing) };
}

describe.each(['outsider', 'responder', 'developer', 'stranger'])('for the caller %s', (caller) => {
  it.each(Object.keys(ATTEMPTS))('%s: what is hidden answers like what does not exist', async (name) => {
    const attempt = ATTEMPTS[name];
    if (attempt === undefined) throw new Error(name);
    // Revocations have no place: whoever may read some may read all.
    if (caller === 'responder' && name.includes('revocation')) return;
    const found = await answers(caller, attempt);
    expect(found.hidden).toEqual(found.missing);
    // The missing names are near the hidden ones.
    for (const { text } of Object.values(found)) expect(text).not.toMatch(/secret|payments/);
    if (!name.startsWith('list ')) expect([403, 404]).toContain(found.hidden.status);
    if (caller === 'stranger' || /freeze a flag|revocation|decision/.test(name)) return;
    if (!name.startsWith('list ') && caller !== 'developer') expect(found.hidden.status).toBe(404);
  });

  it('a key that is taken is told to nobody who may not create the flag, nor by an edit of their own request', async () => {
    const edited = async (flag: string) => {
      const body = { digest: own.digest, changes: [creation(flag, { namespace: 'other' })] };
      const { status, body: told } = await t.call(
        callers.outsider ?? '',
        'PATCH',
        `/v1/requests/${own.id}`,
        body,
      );
      return [status, told.code, told.detail, told.reasons];
    };
    expect(await edited(hidden.flag)).toEqual(await edited(missing.flag));
    expect((await edited(hidden.flag))[0]).toBe(403);
  });

  it('a freeze is told to nobody without a role in the place, by no refusal', async () => {
    for (const who of ['outsider', 'stranger']) {
      const created = async (namespace: string) => {
        const order = proposal([creation('new.flag', { namespace })]);
        const { status, body } = await t.call(callers[who] ?? '', 'POST', '/v1/requests', order);
        return [status, body.detail, body.reasons, body.gates];
      };
      expect(await created('payments')).toEqual(await created('nowhere'));
    }
  });

  it('the environments are told to no stranger', async () => {
    const proposed = async (environment: string) => {
      const order = { ...proposal([creation('new.flag')]), environment };
      const { status, body } = await t.call(callers.stranger ?? '', 'POST', '/v1/requests', order);
      return [status, body.detail, body.reasons];
    };
    expect(await proposed('nowhere')).toEqual(await proposed('production'));
    expect((await proposed('nowhere'))[0]).toBe(403);
  });

  it('no list and no header tells of what is hidden', async () => {
    for (const path of [
      '/v1/flags?environment=production&limit=1',
      '/v1/flags?environment=development&limit=1',
      '/v1/requests?limit=1',
      '/v1/requests?state=open&limit=1',
      '/v1/freezes?state=all',
      '/v1/break-glass',
    ]) {
      const { body, headers } = await t.call(callers[caller] ?? null, 'GET', path);
      expect(headers.get('countersign-freeze'), path).toBeNull();
      for (const item of body.items ?? []) expect(JSON.stringify(item), path).not.toMatch(/secret|payments/);
      const next = body.next_cursor;
      if (typeof next !== 'string') continue;
      // A page follows only where it has rows.
      const page = await t.call(callers[caller] ?? null, 'GET', `${path}&cursor=${next}`);
      expect(page.body.items.length, path).toBeGreaterThan(0);
    }
  });
});

describe('a key that a hidden flag has', () => {
  it.each([
    ['outsider', 'payments', 403],
    ['developer', 'growth', 403],
    ['stranger', 'growth', 403],
    // Keys are unique over all namespaces, so whoever may create flags meets the ones that are taken.
    ['outsider', 'growth', 422],
  ])('is told to the %s who creates a flag in %s only by status %i', async (caller, namespace, status) => {
    const create = async (key: string) => {
      const change = creation(key, { namespace, tier: 'informational' });
      const answer = await propose(t, [change], {}, callers[caller] ?? '');
      return comparable(answer, { ...missing, flag: key }) as { status: number; text: string };
    };
    const [taken, free] = [await create('secret.flag'), await create('zecret.flag')];
    expect(taken.status).toBe(status);
    if (status === 403) expect(taken).toEqual(free);
  });
});

describe('what the matrix covers', () => {
  it('is every call about one thing that lives in a namespace', () => {
    const paths = Object.values(ATTEMPTS).map(
      ({ method, path }) => `${method} ${path(missing).split('?')[0]}`,
    );
    const calls = listRoutes(requestKinds)
      // Checks of a policy are in no namespace, and are found by their caller alone.
      .filter(({ path }) => /^\/v1\/.*\{(id|key)\}/.test(path) && !path.startsWith('/v1/policy/checks/'))
      .map(({ method, path }) => ({
        method,
        pattern: new RegExp(`^${method} ${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
      }));
    const uncovered = calls.filter(({ pattern }) => !paths.some((path) => pattern.test(path)));
    expect(uncovered.map(({ pattern }) => pattern.source)).toEqual([]);
  });

  it('is there: who has a grant sees all of it', async () => {
    for (const path of [
      `/v1/flags/${hidden.flag}`,
      `/v1/requests/${hidden.request}`,
      `/v1/requests/${hidden.applied}`,
      `/v1/requests/${hidden.lift}`,
    ]) {
      const { status, headers } = await t.call('riley', 'GET', path);
      expect([status, headers.get('countersign-freeze')]).toEqual([200, 'namespace;incident=INC-secret']);
    }
    const freezes = await t.call('dana', 'GET', '/v1/freezes');
    expect(freezes.body.items).toMatchObject([{ id: hidden.freeze, reason: 'a secret reason' }]);
    expect((await t.call('avery', 'GET', '/v1/break-glass')).body.items).toHaveLength(1);
    expect((await t.call('riley', 'GET', '/v1/break-glass')).body.items).toHaveLength(1);
    expect((await t.call('dana', 'GET', '/v1/break-glass')).body.items).toEqual([]);
  });
});

describe('the record of an answer that says nothing', () => {
  it.each([
    ['GET', () => `/v1/flags/${hidden.flag}`, undefined, 'flag.read'],
    ['GET', () => `/v1/requests/${hidden.request}`, undefined, 'request.read'],
    ['POST', () => `/v1/requests/${hidden.request}/apply`, undefined, 'request.apply'],
    [
      'POST',
      () => '/v1/requests',
      { environment: 'production', reason: 'x', changes: changed('enable', 'secret.flag') },
      undefined,
    ],
  ])('%s: keeps the truth', async (method, path, body, operation) => {
    const before = readRecords(t.file).length;
    expect((await t.call(callers.outsider ?? null, method, path(), body)).status).toBe(404);
    const records = readRecords(t.file).slice(before);
    expect(records.length).toBeGreaterThan(0);
    if (operation !== undefined) {
      const { body: list } = await t.call('avery', 'GET', `/v1/decisions?operation=${operation}&limit=1`);
      expect(list.items[0].outcome).toMatchObject({ effect: 'deny', reasons: [{ code: 'role_missing' }] });
      expect(list.items[0].principal.person).toBe('emp-outsider');
    }
  });
});
