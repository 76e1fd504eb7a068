import { join } from 'node:path';
import { credentials, loadPackageDefinition, Metadata, status } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { FlagdProvider } from '@openfeature/flagd-provider';
import { OpenFeature, ServerProviderEvents } from '@openfeature/server-sdk';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { claimsOf, revoke } from '../revocation/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag } from '../support/flags.ts';

/* flagd's provider as applications have it, evaluating in this process what a real broker gives out. */

const FLAG = 'synced';

// biome-ignore lint/suspicious/noExplicitAny: the types of a loaded contract are not known
const contract = loadPackageDefinition(loadSync('proto/flagd/sync/v1/sync.proto', { keepCase: true })) as any;

let t: TestBroker;
let socketPath: string;

const client = () => OpenFeature.getClient('flagd');
const value = (organization = 'acme') => client().getBooleanValue(FLAG, true, { organization });
const change = (action: 'enable' | 'disable') => applyChanges(t, [{ action, flag: FLAG }]);

beforeAll(async () => {
  t = await startTestBroker({
    config: (defaults) => {
      socketPath = join(process.env.TMPDIR ?? '/tmp', `countersign-${process.pid}-${Date.now()}.sock`);
      const without_token = { environment: 'production', namespaces: ['payments'] };
      return { ...defaults, flagd_sync: [{ listen: `unix:${socketPath}`, without_token }] };
    },
  });
  await createFlag(t, FLAG, { tier: 'informational' });
  const provider = new FlagdProvider({
    resolverType: 'in-process',
    socketPath,
    selector: 'flagSetId=production',
    retryBackoffMaxMs: 200,
  });
  await OpenFeature.setProviderAndWait('flagd', provider);
});

afterAll(async () => {
  await OpenFeature.close();
  await t.close();
});

it('an application has the value that the broker serves, whatever the default in its code', async () => {
  const details = await client().getBooleanDetails(FLAG, true);
  expect(details).toMatchObject({
    value: false,
    variant: 'off',
    flagMetadata: { flagSetId: 'production', version: expect.any(Number) },
  });
});

it('an application has a change without asking, for the organizations that it is for', async () => {
  const changed = new Promise((resolve) => {
    client().addHandler(ServerProviderEvents.ConfigurationChanged, resolve);
  });
  await applyChanges(t, [
    { action: 'enable', flag: FLAG },
    { action: 'set_audience', flag: FLAG, audience: { kind: 'some', organizations: ['acme'], users: [] } },
  ]);
  expect(await changed).toMatchObject({ flagsChanged: [FLAG] });
  expect([await value('acme'), await value('globex')]).toEqual([true, false]);
});

it('a token reads what it may, at an address that others need none for, and reads are counted', async () => {
  const { FlagSyncService } = contract.flagd.sync.v1;
  const sync = new FlagSyncService(`unix:${socketPath}`, credentials.createInsecure());
  const fetchAll = (authorization: string) =>
    new Promise<string>((resolve, reject) => {
      const metadata = new Metadata();
      metadata.set('authorization', authorization);
      sync.FetchAllFlags({}, metadata, (error: unknown, answer: { flag_configuration: string }) =>
        error === null ? resolve(answer.flag_configuration) : reject(error),
      );
    });
  const token = await t.workloadToken('checkout', { audience: 'data:production' });
  expect(JSON.parse(await fetchAll(`Bearer ${token}`)).flags).toHaveProperty(FLAG);
  const refused = { code: status.UNAUTHENTICATED };
  const wrong = await t.workloadToken('payments');
  for (const other of [
    `Bearer ${wrong}`,
    `Bearer ${token}x`,
    `DPoP ${token}`,
    token,
    'Bearer a, Bearer b',
    '',
  ])
    await expect(fetchAll(other)).rejects.toMatchObject(refused);
  await revoke(t, 'token', `${claimsOf(token).iss}#jti:${claimsOf(token).jti}`);
  await expect(fetchAll(`Bearer ${token}`)).rejects.toMatchObject(refused);
  sync.close();

  t.clock.advance(60_000);
  await t.broker.scheduler.tick();
  const { items } = (await t.call('avery', 'GET', '/v1/evaluations')).body;
  const readers = items.map(({ workload, flag }: Record<string, string>) => [workload?.split(':')[0], flag]);
  expect(readers.toSorted()).toEqual([
    ['listener', null],
    ['workload', null],
  ]);
});

it('an application keeps its values while the broker restarts, and has what is changed after it', async () => {
  const lost = new Promise((resolve) => {
    client().addHandler(ServerProviderEvents.Stale, resolve);
    client().addHandler(ServerProviderEvents.Error, resolve);
  });
  const restarted = t.restart();
  await lost;
  expect(await value()).toBe(true);
  await restarted;
  expect(await value()).toBe(true);
  await change('disable');
  await expect.poll(() => value(), { timeout: 10_000 }).toBe(false);
});
