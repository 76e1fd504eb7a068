import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type PlatformIssuer, startPlatformIssuer } from '../../fixtures/identity/platforms/issuer.ts';
import { projectedToken, SERVICE_ACCOUNT_UID } from '../../fixtures/identity/platforms/kubernetes.ts';
import { exchange, startTestBroker, type TestBroker } from '../support/broker.ts';

/*
 * A cluster that cannot be reached: its issuer has the same name in every cluster, and its keys are in a file.
 */

const ISSUER = 'https://kubernetes.default.svc.cluster.local';

let cluster: PlatformIssuer;
let folder: string;
let file: string;
let t: TestBroker;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-cluster-'));
  file = join(folder, 'jwks.json');
  cluster = await startPlatformIssuer();
  await publish();
  t = await start();
});
afterAll(async () => {
  await t.close();
  await cluster.close();
  await rm(folder, { recursive: true, force: true });
});

const publish = (): Promise<void> => writeFile(file, JSON.stringify(cluster.keySet()));

function start(): Promise<TestBroker> {
  return startTestBroker({
    config: (defaults) => ({
      workload_issuers: [...(defaults.workload_issuers as object[]), { issuer: ISSUER, jwks_file: file }],
    }),
    editData: (data) => {
      const edited = structuredClone(data) as { config: { trust_rules: Record<string, object> } };
      edited.config.trust_rules.cluster = {
        issuer: ISSUER,
        audience: 'countersign',
        claims: { '/kubernetes.io/serviceaccount/uid': SERVICE_ACCOUNT_UID },
        grant: {
          audiences: ['data:production'],
          operations: [],
          environments: ['production'],
          namespaces: ['payments'],
          token_ttl_s: 300,
        },
      };
      return edited;
    },
  });
}

const token = (): Promise<string> =>
  cluster.sign(projectedToken({ issuer: ISSUER, nowS: Math.floor(t.clock() / 1000) }));
const swap = async () => exchange(t.url, await token(), { audience: 'data:production' });

it('exchanges the tokens of a cluster whose keys are in a file, without a fetch', async () => {
  const answer = await swap();
  expect(decodeJwt(answer.body.access_token)).toMatchObject({
    trust_rule: 'cluster',
    aud: 'data:production',
    namespaces: ['payments'],
    subject_issuer: ISSUER,
  });
  expect(cluster.keyReads()).toBe(0);
});

it('takes the cluster’s new keys once they are in the file, and the old ones no more', async () => {
  const former = await token();
  await cluster.rotate();
  expect((await swap()).status).toBe(400);
  await publish();
  t.clock.advance(5_000);
  expect((await swap()).status).toBe(200);
  expect((await exchange(t.url, former, { audience: 'data:production' })).status).toBe(400);
});

it('keeps the last good keys while the file is half written', async () => {
  await writeFile(file, '{"keys": [');
  t.clock.advance(5_000);
  expect((await swap()).status).toBe(200);
  await publish();
});

it('exchanges nothing while the file has no usable key, and does not start with it', async () => {
  await writeFile(file, '{"keys": []}');
  t.clock.advance(5_000);
  expect(await swap()).toMatchObject({ status: 503 });
  await publish();
  t.clock.advance(5_000);
  expect((await swap()).status).toBe(200);
  await writeFile(file, '{"keys": [{"kty": "RSA", "d": "c2VjcmV0"}]}');
  t.clock.advance(5_000);
  expect(await swap()).toMatchObject({ status: 503 });
  const failure = await t.restart().catch((error: Error) => error.message);
  expect(failure).toMatch(
    /jwks\.json of https:\/\/kubernetes\.default\.svc\.cluster\.local: it contains a private key/,
  );
  expect(failure).not.toContain('c2VjcmV0');
  await publish();
  await t.restart();
  expect((await swap()).status).toBe(200);
});
