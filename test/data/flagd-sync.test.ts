import { EventEmitter } from 'node:events';
import { existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { FlagdProvider } from '@openfeature/flagd-provider';
import { OpenFeature } from '@openfeature/server-sdk';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Credentials, DataReader } from '../../src/data/credentials.ts';
import { createFlagdDocuments } from '../../src/data/flagd-documents.ts';
import { createFlagdSync, MAX_DOCUMENT_BYTES, type SyncResponse } from '../../src/data/flagd-sync.ts';
import { openFlagdSyncs } from '../../src/data/open-flagd-sync.ts';
import { createSnapshots, type SnapshotFlag } from '../../src/data/snapshot.ts';
import { type SyncListenerConfig, syncListenerSchema } from '../../src/data/sync-config.ts';
import { createViewWatch } from '../../src/data/view-watch.ts';
import { NOW_MS, sampleDefinition, sampleState } from '../flags/samples.ts';
import { makeCertificates } from '../support/certificates.ts';
import { authenticateSample } from './ofrep-server.ts';

/* The sync service of flagd on real sockets: who may read, what is sent, and how streams end. */

const ALL: SyncListenerConfig['without_token'] = { environment: 'production', namespaces: ['*'] };

let folder: string;
const closing: (() => Promise<unknown> | unknown)[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-sync-'));
});

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

afterAll(() => rmSync(folder, { recursive: true }));

function flag(key: string, enabled = true, version = 1): SnapshotFlag {
  return { definition: sampleDefinition({ key }), state: sampleState({ enabled }), version };
}

/** A flag that no plan yields: flagd refuses a default that is none of the variants. */
function unusable(key: string): SnapshotFlag {
  return { ...flag(key, false), definition: sampleDefinition({ key, safe_variant: 'gone' }) };
}

/** A flag with a definition of about so many bytes. */
function large(key: string, bytes: number): SnapshotFlag {
  const variants = { on: 'x'.repeat(bytes), off: 'old' };
  return { ...flag(key), definition: sampleDefinition({ key, variants, safe_variant: 'off' }) };
}

/** A service on flags of the test, and tokens that it ends. */
async function start(
  flags: SnapshotFlag[],
  listener: Partial<SyncListenerConfig> = { without_token: ALL },
  attemptsPerMinute = 0,
) {
  const store = { version: 1, flags };
  const logged: { err?: Error }[] = [];
  const reads: string[] = [];
  const ended = new Set<string>();
  const time = { nowMs: NOW_MS };
  const log = { error: (fields: object) => logged.push(fields) };
  const clock = () => time.nowMs;
  const snapshots = createSnapshots({
    load: async (environment) => (environment === 'production' ? { ...store } : null),
  });
  await snapshots.refresh('production');
  const { listen = '127.0.0.1:0', ...rest } = listener;
  const readerOf = (token: string): DataReader => authenticateSample({ authorization: `Bearer ${token}` });
  const shared = {
    ...{ clock, log },
    views: createViewWatch({ snapshots, clock }),
    documents: createFlagdDocuments({ log }),
    authenticate: authenticateSample,
    tokenOf: ({ authorization = '' }: Credentials) => authorization.slice('Bearer '.length),
    follow: async (token: string) => ({
      reader: readerOf(token),
      endsAtMs: NOW_MS + 60_000,
      mayGoOn: () => !ended.has(token),
    }),
    read: ({ principal }: DataReader) => reads.push(principal.id),
  };
  const syncs = await openFlagdSyncs([{ listen, ...rest }], { ...shared, attemptsPerMinute });
  const withoutToken = { ...readerOf('good'), principal: { id: 'listener' } };
  const deps = {
    ...shared,
    withoutToken,
    maxStreams: 10,
    refusal: async (_: string, error: unknown) => error,
  };
  closing.push(syncs.stop);
  const [address = ''] = syncs.addresses;
  return {
    ...{ address, logged, reads, ended, time, stop: syncs.stop, deps },
    async change(next: SnapshotFlag[]) {
      store.version += 1;
      store.flags = next;
      await snapshots.refresh('production');
    },
  };
}

interface Answer {
  flag_configuration: string;
  sync_context?: unknown;
  metadata?: unknown;
}
type Once = (
  request: object,
  metadata: Metadata,
  done: (error: ServiceError | null, answer: Answer) => void,
) => void;
interface SyncClient {
  SyncFlags(request: object, metadata: Metadata): ClientReadableStream<Answer>;
  FetchAllFlags: Once;
  GetMetadata: Once;
  close(): void;
}

// biome-ignore lint/suspicious/noExplicitAny: the types of a loaded contract are not known
const contract = loadPackageDefinition(loadSync('proto/flagd/sync/v1/sync.proto', { keepCase: true })) as any;

function connectTo(address: string, channel = credentials.createInsecure()): SyncClient {
  const client: SyncClient = new contract.flagd.sync.v1.FlagSyncService(address, channel);
  closing.push(() => client.close());
  return client;
}

function headers(token: string | null, selector?: string): Metadata {
  const metadata = new Metadata();
  if (token !== null) metadata.set('authorization', `Bearer ${token}`);
  if (selector !== undefined) metadata.set('flagd-selector', selector);
  return metadata;
}

/** A stream, with what has come so far and how it ended. */
function follow(client: SyncClient, metadata = headers(null), request: object = {}) {
  const documents: Answer[] = [];
  const stream = client.SyncFlags(request, metadata);
  const end = new Promise<{ code: number; details: string }>((resolve) => {
    stream.on('error', ({ code, details }: ServiceError) => resolve({ code, details }));
    stream.on('end', () => resolve({ code: status.OK, details: '' }));
  });
  stream.on('data', (answer: Answer) => documents.push(answer));
  return {
    stream,
    end,
    documents,
    until: (count: number) => expect.poll(() => documents.length).toBe(count),
  };
}

function once(client: SyncClient, method: 'FetchAllFlags' | 'GetMetadata', metadata = headers(null)) {
  return new Promise<Answer>((resolve, reject) => {
    client[method]({}, metadata, (error, answer) => (error === null ? resolve(answer) : reject(error)));
  });
}

const flagsOf = ({ flag_configuration }: Answer) => JSON.parse(flag_configuration).flags;

describe('a stream', () => {
  it('has the whole document at once, and again after a change of what its reader sees', async () => {
    const { address, change, reads } = await start([flag('one')]);
    const all = follow(connectTo(address));
    const some = follow(connectTo(address), headers('only:checkout'));
    await Promise.all([all.until(1), some.until(1)]);
    expect(flagsOf(all.documents[0] as Answer)).toMatchObject({ one: { defaultVariant: 'on' } });
    const search = {
      definition: sampleDefinition({ key: 's', namespace: 'search' }),
      state: sampleState(),
      version: 1,
    };
    await change([flag('one'), search]);
    await all.until(2);
    await change([flag('one', false, 2), search]);
    await Promise.all([all.until(3), some.until(2)]);
    expect(Object.keys(flagsOf(all.documents[2] as Answer))).toEqual(['one', 's']);
    expect(flagsOf(some.documents[1] as Answer)).toMatchObject({ one: { defaultVariant: 'off' } });
    expect(reads.toSorted()).toEqual([
      ...['listener:127.0.0.1:0', 'listener:127.0.0.1:0', 'listener:127.0.0.1:0'],
      ...['workload:only:checkout', 'workload:only:checkout'],
    ]);
  });

  it('names its environment where no rule can read it', async () => {
    const { address } = await start([flag('one')]);
    const { documents, until } = follow(connectTo(address));
    await until(1);
    const field = { structValue: { fields: { environment: { stringValue: 'production' } } } };
    expect(documents[0]?.sync_context).toMatchObject({ fields: { $countersign: field } });
    expect(JSON.parse(documents[0]?.flag_configuration ?? '').metadata).toEqual({
      flagSetId: 'production',
      version: 1,
    });
  });

  it('ends with UNAVAILABLE when the service stops, never with OK, also for a client that takes nothing', async () => {
    const { address, stop } = await start([large('big', 3_000_000)]);
    const one = follow(connectTo(address));
    const slow = follow(connectTo(address));
    slow.stream.pause();
    await one.until(1);
    await stop();
    slow.stream.resume();
    expect((await one.end).code).toBe(status.UNAVAILABLE);
    expect((await slow.end).code).not.toBe(status.OK);
  });

  it.each([
    ['revoked', ({ ended }: { ended: Set<string> }) => ended.add('good')],
    [
      'over',
      ({ time }: { time: { nowMs: number } }) => {
        time.nowMs = NOW_MS + 60_000;
      },
    ],
  ])('ends when its token is %s, and others go on', async (_, end) => {
    const service = await start([flag('one')]);
    const own = follow(connectTo(service.address), headers('good'));
    const open = follow(connectTo(service.address));
    await Promise.all([own.until(1), open.until(1)]);
    end(service);
    expect((await own.end).code).toBe(status.UNAUTHENTICATED);
    await service.change([flag('one', false, 2)]);
    await open.until(2);
    expect(own.documents).toHaveLength(1);
  });

  it('keeps no document for a client that is slow: it then has the newest', async () => {
    const service = await start([flag('one')]);
    const taken: (() => void)[] = [];
    const versions: number[] = [];
    const call = Object.assign(new EventEmitter(), {
      ...{ metadata: headers(null), request: {}, cancelled: false, destroyed: false },
      ...{ getPath: () => '', getPeer: () => '127.0.0.1:1' },
      write: ({ document }: SyncResponse, done: () => void) => {
        versions.push(JSON.parse(document.body.toString()).metadata.version);
        taken.push(done);
      },
    });
    createFlagdSync(service.deps).SyncFlags(call as never);
    await expect.poll(() => versions).toEqual([1]);
    for (let version = 2; version < 8; version += 1) {
      await service.change([flag('one', true, version)]);
      // Long enough for a reader to be told each time.
      await delay(60);
    }
    expect(versions).toEqual([1]);
    taken[0]?.();
    await expect.poll(() => versions).toEqual([1, 7]);
    call.emit('cancelled');
  });
});

describe('a reader', () => {
  it('is told by a token, also where others need none', async () => {
    const { address } = await start([flag('one')], {});
    const client = connectTo(address);
    const refused = { code: status.UNAUTHENTICATED };
    expect(await follow(client).end).toMatchObject(refused);
    expect(await follow(client, headers('bad')).end).toMatchObject(refused);
    await expect(once(client, 'FetchAllFlags')).rejects.toMatchObject(refused);
    expect(flagsOf(await once(client, 'FetchAllFlags', headers('good')))).toHaveProperty('one');

    const open = connectTo((await start([flag('one')])).address);
    expect(flagsOf(await once(open, 'FetchAllFlags'))).toHaveProperty('one');
    await expect(once(open, 'FetchAllFlags', headers('bad'))).rejects.toMatchObject(refused);
    expect(flagsOf(await once(open, 'FetchAllFlags', headers('only:search')))).toEqual({});
  });

  it('selects its own environment or nothing, and gets no empty document for another', async () => {
    const client = connectTo((await start([flag('one')])).address);
    for (const selector of ['flagSetId=production', 'source=production', 'production']) {
      expect(flagsOf(await once(client, 'FetchAllFlags', headers(null, selector)))).toHaveProperty('one');
    }
    for (const selector of ['flagSetId=staging', 'flagSetId=', 'staging', 'source=a,b=c']) {
      expect(await follow(client, headers(null, selector)).end).toMatchObject({ code: status.NOT_FOUND });
    }
    expect(await follow(client, headers(null, 'app=web')).end).toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    // As older clients say it, in the request.
    expect((await follow(client, headers(null), { selector: 'staging' }).end).code).toBe(status.NOT_FOUND);
  });

  it('without an identity has a number of attempts', async () => {
    const client = connectTo((await start([flag('one')], {}, 3)).address);
    const codes: number[] = [];
    for (let attempt = 0; attempt < 5; attempt += 1)
      codes.push((await follow(client, headers('bad')).end).code);
    const [refused, limited] = [status.UNAUTHENTICATED, status.RESOURCE_EXHAUSTED];
    expect(codes).toEqual([refused, refused, refused, limited, limited]);
    expect(flagsOf(await once(client, 'FetchAllFlags', headers('good')))).toHaveProperty('one');
  });

  it('of metadata gets what the context of a stream says', async () => {
    const client = connectTo((await start([flag('one')])).address);
    expect((await once(client, 'GetMetadata')).metadata).toMatchObject({
      fields: { $countersign: expect.anything() },
    });
  });
});

describe('a document', () => {
  it('that flagd would refuse is not sent: the last good one stays, and none is never an empty one', async () => {
    const { address, change, logged } = await start([flag('one')]);
    const { documents, until } = follow(connectTo(address));
    await until(1);
    await change([flag('one', false, 2), unusable('bad')]);
    await expect.poll(() => logged.length).toBe(1);
    await change([flag('one', false, 3)]);
    await until(2);
    expect(documents.map((each) => flagsOf(each).one.metadata.version)).toEqual([1, 3]);

    const bad = connectTo((await start([unusable('bad')])).address);
    expect(await follow(bad).end).toMatchObject({ code: status.UNAVAILABLE });
    await expect(once(bad, 'FetchAllFlags')).rejects.toMatchObject({ code: status.UNAVAILABLE });
    const other = { environment: 'unknown', namespaces: ['*'] };
    const unknown = connectTo((await start([flag('one')], { without_token: other })).address);
    expect(await follow(unknown).end).toMatchObject({ code: status.UNAVAILABLE });
  });

  it('may have 3.5 MB, as clients take them; of a larger one, a client is told, or keeps what it has', async () => {
    const { address, change, logged } = await start([large('big', 3_600_000)]);
    const client = connectTo(address);
    const { documents, until } = follow(client);
    await until(1);
    await change([large('big', MAX_DOCUMENT_BYTES)]);
    await expect.poll(() => logged.length).toBe(1);
    const tooLarge = {
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('Read fewer namespaces'),
    };
    expect(await follow(client).end).toMatchObject(tooLarge);
    await expect(once(client, 'FetchAllFlags')).rejects.toMatchObject(tooLarge);
    await change([flag('one', true, 3)]);
    await until(2);
    expect(Object.keys(flagsOf(documents[1] as Answer))).toEqual(['one']);
  });

  it('that is bad leaves flags in the provider, also in one that connects again', async () => {
    const { address, change, logged } = await start([flag('one')]);
    const port = Number(address.split(':')[1]);
    const provider = new FlagdProvider({ resolverType: 'in-process', host: '127.0.0.1', port, tls: false });
    closing.push(() => OpenFeature.close());
    await OpenFeature.setProviderAndWait('bad-documents', provider);
    const value = () => OpenFeature.getClient('bad-documents').getStringValue('one', 'CODE');
    expect(await value()).toBe('new');
    await change([flag('one', false, 2), unusable('bad')]);
    await expect.poll(() => logged.length).toBe(1);
    const again = new FlagdProvider({ resolverType: 'in-process', host: '127.0.0.1', port, tls: false });
    await OpenFeature.setProviderAndWait('bad-documents-again', again);
    expect(await value()).toBe('new');
    expect(await OpenFeature.getClient('bad-documents-again').getStringValue('one', 'CODE')).toBe('new');
  });
});

describe('an address', () => {
  it('is a socket for the owner and the group, which a crash leaves and nobody else takes', async () => {
    const path = join(folder, 'flagd.sock');
    const listen = `unix:${path}`;
    const crashed = createServer().listen(path);
    await new Promise((resolve) => crashed.once('listening', resolve));
    await expect(start([flag('one')], { listen, without_token: ALL })).rejects.toThrow(
      'another program listens',
    );
    // As a crash does, leaves the file behind.
    const left = join(folder, 'left.sock');
    renameSync(path, left);
    await new Promise((resolve) => crashed.close(resolve));
    renameSync(left, path);
    const { address, stop } = await start([flag('one')], { listen, without_token: ALL });
    expect(statSync(path).mode & 0o777).toBe(0o660);
    expect(flagsOf(await once(connectTo(address), 'FetchAllFlags'))).toHaveProperty('one');
    await stop();
    expect(existsSync(path)).toBe(false);
    writeFileSync(path, 'mine');
    await expect(start([flag('one')], { listen })).rejects.toThrow('no socket');
    expect(statSync(path).size).toBe(4);
  });

  it('for other machines takes only clients with a certificate', async () => {
    const { ca, untrusted, 'self-signed': stranger } = makeCertificates();
    const write = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const { address } = await start([flag('one')], {
      without_token: ALL,
      tls: {
        cert_file: write('cert.pem', untrusted.cert),
        key_file: write('key.pem', untrusted.key),
        client_ca_file: write('ca.pem', ca),
      },
    });
    const of = (pair: { cert: string; key: string } | null) =>
      pair === null
        ? credentials.createSsl(Buffer.from(ca))
        : credentials.createSsl(Buffer.from(ca), Buffer.from(pair.key), Buffer.from(pair.cert));
    expect(flagsOf(await once(connectTo(address, of(untrusted)), 'FetchAllFlags'))).toHaveProperty('one');
    for (const pair of [null, stranger]) {
      await expect(once(connectTo(address, of(pair)), 'FetchAllFlags')).rejects.toMatchObject({
        code: status.UNAVAILABLE,
      });
    }
    await expect(once(connectTo(address), 'FetchAllFlags')).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
  });

  it('is of this machine, unless there are certificates', () => {
    const tls = { cert_file: 'a', key_file: 'b', client_ca_file: 'c' };
    const isTaken = (config: object) => syncListenerSchema.safeParse(config).success;
    for (const listen of ['unix:/run/flagd.sock', '127.0.0.1:8015', '[::1]:8015', 'localhost:8015'])
      expect([listen, isTaken({ listen })]).toEqual([listen, true]);
    for (const listen of [
      '0.0.0.0:8015',
      '[::]:8015',
      '10.0.0.1:1',
      'localhost.evil.example:1',
      '127.evil.example:1',
    ])
      expect([listen, isTaken({ listen }), isTaken({ listen, tls })]).toEqual([listen, false, true]);
    for (const listen of [
      'unix:relative',
      '8015',
      'localhost',
      'unix:',
      'http://localhost:1',
      '127.0.0.1:1/x',
      '',
    ])
      expect([listen, isTaken({ listen }), isTaken({ listen, tls })]).toEqual([listen, false, false]);
  });
});
