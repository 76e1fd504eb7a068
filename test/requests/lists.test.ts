import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeDefinition } from '../../src/store/flags.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag, creation, propose } from '../support/flags.ts';

let t: TestBroker;
let pendingIds: string[] = [];

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'alpha');
  await createFlag(t, 'beta', { tier: 'informational' });
  await createFlag(t, 'gamma', { tier: 'informational' });
  for (let round = 0; round < 12; round += 1) {
    const { body } = await propose(t, [{ action: 'enable', flag: 'alpha' }]);
    pendingIds.push(body.id);
    t.clock.advance(1);
  }
  pendingIds = pendingIds.reverse();
});

afterAll(() => t.close());

async function list(path: string, who = 'dana') {
  return t.call(who, 'GET', path);
}

/** Follows the Link header to the end. */
async function readAll(path: string, who = 'dana', between: () => Promise<unknown> = async () => undefined) {
  const ids: string[] = [];
  let next: string | null = path;
  while (next !== null) {
    const { status, body, headers } = await list(next, who);
    expect(status).toBe(200);
    ids.push(
      ...body.items.map((item: { id?: string; key?: string; version?: number }) => {
        return String(item.id ?? item.key ?? item.version);
      }),
    );
    const link = headers.get('link');
    expect(link === null).toBe(body.next_cursor === null);
    next = link === null ? null : (/^<([^>]+)>; rel="next"$/.exec(link)?.[1] ?? null);
    await between();
  }
  return ids;
}

describe('a list of requests', () => {
  it('is complete and without duplicates over pages of any size', async () => {
    for (const limit of [1, 5, 11, 12, 13, 200]) {
      expect(await readAll(`/v1/requests?state=open&limit=${limit}`)).toEqual(pendingIds);
    }
  });

  it('misses and repeats nothing while requests are added', async () => {
    const read = await readAll('/v1/requests?state=open&flag=alpha&limit=5', 'dana', async () => {
      t.clock.advance(1);
      const { body } = await propose(t, [{ action: 'enable', flag: 'alpha' }]);
      await t.call('dana', 'POST', `/v1/requests/${body.id}/withdraw`);
    });
    expect(read).toEqual(pendingIds);
  });

  it.each([
    ['state=applied', 3],
    ['state=pending,applied', 15],
    ['flag=beta', 1],
    ['environment=staging', 0],
    ['kind=freeze.lift', 0],
    ['flag=alpha&state=open', 12],
    ['proposer=person:demo:dana&state=rejected', 0],
  ])('is filtered by %s', async (query, count) => {
    const { body } = await list(`/v1/requests?${query}&limit=200`);
    expect(body.items).toHaveLength(count);
  });

  it.each([
    'limit=0',
    'limit=201',
    'limit=x',
    'state=gone',
    'flag=a&flag=b',
    'unknown=1',
    'environment=A',
    '__proto__=1',
  ])('refuses the query %s', async (query) => {
    const { status, body } = await list(`/v1/requests?${query}`);
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid_request' });
  });
});

describe('a cursor', () => {
  async function cursor(path: string, who = 'dana'): Promise<string> {
    return (await list(path, who)).body.next_cursor;
  }

  it('belongs to one list with one filter', async () => {
    const requests = await cursor('/v1/requests?state=open&limit=2');
    const flags = await cursor('/v1/flags?environment=production&limit=1');
    for (const path of [
      `/v1/requests?limit=2&cursor=${requests}`,
      `/v1/requests?state=pending&limit=2&cursor=${requests}`,
      `/v1/requests?state=open&limit=2&cursor=${flags}`,
      `/v1/flags?environment=staging&limit=1&cursor=${flags}`,
      `/v1/flags?environment=production&namespace=payments&limit=1&cursor=${flags}`,
      `/v1/flags/alpha/versions?environment=production&cursor=${requests}`,
    ]) {
      expect((await list(path)).body.code).toBe('invalid_cursor');
    }
  });

  it('is refused with any byte changed, and when it was made up', async () => {
    const real = Buffer.from(await cursor('/v1/requests?state=open&limit=2'), 'base64url');
    const forged = [
      ...Array.from(real, (byte, place) => Buffer.from(real.with(place, byte ^ 1)).toString('base64url')),
      real.subarray(1).toString('base64url'),
      real.subarray(0, 27).toString('base64url'),
      Buffer.from(JSON.stringify(pendingIds[2])).toString('base64url'),
      'bm90LWpzb24',
      'null',
      '%00',
    ];
    for (const text of forged) {
      const { status, body } = await list(`/v1/requests?state=open&limit=2&cursor=${text}`);
      expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid_cursor' });
    }
  });

  it('shows nothing of the row that it names, and is another one each time', async () => {
    const path = '/v1/flags?environment=production&limit=1';
    const one = await cursor(path);
    for (const encoding of ['base64url', 'base64', 'latin1'] as const) {
      expect(Buffer.from(one, encoding).toString('latin1')).not.toContain('alpha');
    }
    expect(await cursor(path)).not.toBe(one);
  });

  it('still works after a restart', async () => {
    const before = await cursor('/v1/requests?state=open&limit=2');
    await t.restart();
    const { body } = await list(`/v1/requests?state=open&limit=2&cursor=${before}`);
    expect(body.items.map((item: { id: string }) => item.id)).toEqual(pendingIds.slice(2, 4));
  });
});

/** A flag in a namespace where nobody of the cast but security and the like has a role. */
async function hideFlag(key: string): Promise<void> {
  const { namespace: _, ...definition } = creation(key).definition as Record<string, unknown>;
  await t.broker.store.writer.write(async (tx) => {
    const stored = { key, namespace: 'growth', ...definition, safe_variant: 'off', retired: false };
    const row = { key, namespace: 'growth', version: 1, retired: 0, definition: JSON.stringify(stored) };
    await writeDefinition(tx, row, { request_id: 'r', decision_id: 'd', at_ms: 1 });
  });
}

describe('the list of environments', () => {
  it('names those in which the caller reads flags, in the order of the policy', async () => {
    const { status, body } = await list('/v1/environments');
    expect([status, body.items]).toEqual([
      200,
      ['production', 'staging', 'development'].map((key) => ({ key, kind: key })),
    ]);
  });

  it('is refused to whoever reads none', async () => {
    const token = await t.people.idToken('dana', { claims: { groups: ['gardeners'] } });
    const { status, body } = await list('/v1/environments', token);
    expect([status, body.code]).toEqual([403, 'policy_denied']);
  });
});

describe('a list of flags', () => {
  it('is ordered by key, in pages', async () => {
    expect(await readAll('/v1/flags?environment=production&limit=2')).toEqual(['alpha', 'beta', 'gamma']);
  });

  it('of a namespace where the caller has no role is answered like one that does not exist', async () => {
    const told = async (namespace: string) => {
      const { status, body } = await list(`/v1/flags?environment=production&namespace=${namespace}`);
      return [status, body.code, body.detail.replace(namespace, '…'), body.did_you_mean];
    };
    expect(await told('growth')).toEqual(await told('grow'));
    expect((await told('growth'))[0]).toBe(404);
  });

  it('leaves out what the caller may not read, and a single flag there is as if it never was', async () => {
    await hideFlag('growth.secret');
    const seen = await readAll('/v1/flags?environment=production&limit=2');
    expect(seen).toEqual(['alpha', 'beta', 'gamma']);
    const hidden = await list('/v1/flags/growth.secret');
    const never = await list('/v1/flags/growth.nothing');
    expect([hidden.status, hidden.body.code, hidden.body.detail]).toEqual([
      404,
      'not_found',
      never.body.detail.replace('nothing', 'secret'),
    ]);
    const history = '/versions?environment=production';
    expect((await list(`/v1/flags/growth.secret${history}`)).status).toBe(404);
  });

  it('shows the history of a flag in pages, newest first', async () => {
    for (const action of ['enable', 'disable', 'enable']) await applyChanges(t, [{ action, flag: 'gamma' }]);
    expect(await readAll('/v1/flags/gamma/versions?environment=production&limit=1')).toEqual([
      '4',
      '3',
      '2',
      '1',
    ]);
  });

  it('knows no flag by a name that cannot be one', async () => {
    for (const key of [
      'Alpha',
      'al%20pha',
      '..',
      '%D0%B0lpha',
      'constructor',
      '__proto__',
      'a'.repeat(101),
    ]) {
      expect((await list(`/v1/flags/${key}`)).body.code).toBe('not_found');
    }
  });
});
