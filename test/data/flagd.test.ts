import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FlagdCore } from '@openfeature/flagd-core';
import { afterEach, describe, expect, it } from 'vitest';
import { createFlagdListener } from '../../src/data/flagd.ts';
import { createFlagdDocuments } from '../../src/data/flagd-documents.ts';
import { createSnapshots, type SnapshotFlag } from '../../src/data/snapshot.ts';
import { viewOf } from '../../src/data/view.ts';
import { BrokerError } from '../../src/errors.ts';
import { NOW_MS, sampleDefinition, sampleState } from '../flags/samples.ts';
import { turnsDuring } from '../support/turns.ts';
import { authenticateSample } from './ofrep-server.ts';

const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function flag(key: string, enabled = true, version = 1): SnapshotFlag {
  return { definition: sampleDefinition({ key }), state: sampleState({ enabled }), version };
}

/** A flag that no plan yields: flagd refuses a default that is none of the variants. */
function unusable(key: string): SnapshotFlag {
  return { ...flag(key, false), definition: sampleDefinition({ key, safe_variant: 'gone' }) };
}

/** A server that serves what the store has, from the next `refresh` on. */
async function start(flags: SnapshotFlag[]) {
  const store = { version: 1, flags };
  const logged: { err?: Error }[] = [];
  const reads: string[] = [];
  const snapshots = createSnapshots({
    load: async (environment) => (environment === 'production' ? { ...store } : null),
  });
  await snapshots.refresh('production');
  const listener = createFlagdListener({
    snapshots,
    authenticate: authenticateSample,
    clock: () => NOW_MS,
    read: ({ principal }, nowMs) => reads.push(`${principal.id} ${nowMs}`),
    problemOf: (error) => ({
      status: error instanceof BrokerError ? 400 : 500,
      headers: error instanceof BrokerError ? (error.fields.headers ?? {}) : {},
      type: 'application/json',
      body: JSON.stringify({ code: error instanceof BrokerError ? error.code : String(error) }),
    }),
    log: { error: (fields) => logged.push(fields) },
  });
  const server = createServer((req, res) => {
    if (!listener(req, res, { id: 'an-id', route: null })) res.writeHead(418).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    logged,
    reads,
    async change(next: SnapshotFlag[]) {
      store.version += 1;
      store.flags = next;
      await snapshots.refresh('production');
    },
    async get(path = '/flagd/v1/production.json', headers: Record<string, string> = {}, method = 'GET') {
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: { authorization: 'Bearer good', ...headers },
      });
      return { status: answer.status, headers: answer.headers, text: await answer.text() };
    },
  };
}

const some = (length: number) => Array.from({ length }, (_, number) => flag(`flag-${number}`));
const snapshotOf = (version: number, flags: SnapshotFlag[]) => ({
  environment: 'production',
  version,
  flags: new Map(flags.map((each) => [each.definition.key, each])),
});

describe('the documents for flagd', () => {
  it("are loaded by flagd's evaluator as they are", async () => {
    const { get } = await start([flag('one'), flag('two', false)]);
    const { status, text } = await get();
    expect(status).toBe(200);
    const core = new FlagdCore(undefined, undefined, { disableDynamicCodeGeneration: true });
    expect(core.setConfigurations(text).toSorted()).toEqual(['one', 'two']);
    expect(core.resolveStringEvaluation('one', 'CODE', {}).value).toBe('new');
    expect(core.resolveStringEvaluation('two', 'CODE', {}).value).toBe('old');
    expect(core.getFlagSetMetadata()).toEqual({ flagSetId: 'production', version: 1 });
  });

  it('have a strong tag that follows the content, and answer 304 to it', async () => {
    const { get, change } = await start([flag('one')]);
    const first = await get();
    const tag = first.headers.get('etag') ?? '';
    expect(tag).toMatch(/^"[\w-]{43}"$/);
    expect(await get(undefined, { 'if-none-match': tag })).toMatchObject({ status: 304, text: '' });
    expect(await get(undefined, {}, 'HEAD')).toMatchObject({ status: 200, text: '' });
    await change([flag('one', false, 2)]);
    const second = await get(undefined, { 'if-none-match': tag });
    expect(second.status).toBe(200);
    expect(second.headers.get('etag')).not.toBe(tag);
  });

  it('stay the last valid ones when flagd would refuse a flag, and the log names it', async () => {
    const { get, change, logged } = await start([flag('one')]);
    const good = await get();
    await change([flag('one', false, 2), unusable('bad')]);
    expect((await get()).text).toBe(good.text);
    expect(logged).toHaveLength(1);
    expect(logged[0]?.err?.message).toContain('bad');
    await change([flag('one', false, 3)]);
    expect(JSON.parse((await get()).text).flags.one).toMatchObject({ defaultVariant: 'off' });
  });

  it('are never empty in place of missing', async () => {
    const { get } = await start([unusable('bad')]);
    const answer = await get();
    expect(JSON.parse(answer.text)).toEqual({ code: 'flags_not_loaded' });
    expect(answer.headers.get('retry-after')).toBe('1');
    const unknown = await get('/flagd/v1/unknown.json', { authorization: 'Bearer unknown' });
    expect(JSON.parse(unknown.text)).toEqual({ code: 'flags_not_loaded' });
  });

  it('are counted for whoever gets them, changed or not, and for nobody else', async () => {
    const { get, reads } = await start([flag('one')]);
    const tag = (await get()).headers.get('etag') ?? '';
    await get(undefined, { 'if-none-match': tag });
    await get('/flagd/v1/staging.json');
    await get(undefined, { authorization: 'Bearer bad' });
    expect(reads).toEqual([`workload:good ${NOW_MS}`, `workload:good ${NOW_MS}`]);
  });

  it('leave other paths and methods to others', async () => {
    const { get } = await start([flag('one')]);
    for (const path of [
      '/flagd/v1/production',
      '/flagd/v1/.json',
      '/flagd/v1/a/b.json',
      '/flagd/v1/%70roduction.json',
    ]) {
      expect((await get(path)).status).toBe(418);
    }
    expect((await get(undefined, {}, 'POST')).status).toBe(418);
    expect((await get('/flagd/v1/production.json?x=1')).status).toBe(200);
  });

  it('load a flag into the evaluator once, however often its snapshot is read', async () => {
    const documents = createFlagdDocuments({ log: { error: () => undefined } });
    const flags = some(3);
    const first = viewOf(snapshotOf(1, flags), ['*']);
    expect(await documents.of(first)).toBe(await documents.of(first));
    const loads: string[] = [];
    const load = FlagdCore.prototype.setConfigurations;
    FlagdCore.prototype.setConfigurations = function counted(text) {
      loads.push(text);
      return load.call(this, text);
    };
    try {
      await documents.of(viewOf(snapshotOf(2, structuredClone(flags)), ['*']));
      expect(loads).toEqual([]);
      await documents.of(viewOf(snapshotOf(3, [...flags, flag('new')]), ['*']));
      expect(loads).toHaveLength(1);
    } finally {
      FlagdCore.prototype.setConfigurations = load;
    }
  });

  it('let other work go on between flags, also when none is new', async () => {
    const documents = createFlagdDocuments({ log: { error: () => undefined } });
    const flags = some(400);
    await documents.of(viewOf(snapshotOf(1, flags), ['*']));
    expect(
      await turnsDuring(() => documents.of(viewOf(snapshotOf(2, structuredClone(flags)), ['*']))),
    ).toBeGreaterThanOrEqual(3);
  });

  it('do not step back when a slow build ends after that of a newer version', async () => {
    const documents = createFlagdDocuments({ log: { error: () => undefined } });
    const slow = documents.of(viewOf(snapshotOf(1, some(5)), ['*']));
    const newer = await documents.of(viewOf(snapshotOf(2, some(1)), ['*']));
    expect(await slow).not.toEqual(newer);
    expect(await documents.of(viewOf(snapshotOf(3, [unusable('bad')]), ['*']))).toBe(newer);
  });

  it('are kept for the lists of namespaces that were asked for last', async () => {
    const documents = createFlagdDocuments({ log: { error: () => undefined } });
    const of = (version: number, flags: SnapshotFlag[], list: number) =>
      documents.of(viewOf(snapshotOf(version, flags), ['*', `list-${list}`]));
    for (let list = 0; list < 33; list += 1) await of(1, some(1), list);
    const bad = [unusable('bad')];
    expect(await of(2, bad, 0)).toBeNull();
    for (const list of [1, 32]) expect(await of(2, bad, list)).not.toBeNull();
  });
});
