import * as client from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CAST } from '../../fixtures/identity/people.ts';
import {
  API_RESOURCE,
  CLI_CLIENT_ID,
  type IdentityProvider,
  startIdentityProvider,
} from '../../fixtures/identity/provider.ts';
import { approveDevice, signIn } from '../../fixtures/identity/sign-in.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import { type Authenticator, createAuthenticator } from '../../src/identity/authenticate.ts';
import { issuerConfigSchema } from '../../src/issuers/issuers.ts';
import { createKeySets, UNKNOWN_KEY_COOLDOWN_MS, withKeys } from '../../src/issuers/key-sets.ts';
import { createSigningKeys } from '../../src/keys/signing-keys.ts';
import type { Principal } from '../../src/principal.ts';
import { BROKER, createMemoryKeyStore, createTestLog, masterKey, presented } from './support.ts';

let provider: IdentityProvider;

beforeAll(async () => {
  provider = await startIdentityProvider();
});
afterAll(() => provider.close());

async function createBroker(clock: Clock = systemClock) {
  const config = issuerConfigSchema.parse({
    key: 'demo',
    issuer: provider.issuer,
    allow_insecure_loopback: true,
    audience: [CLI_CLIENT_ID, API_RESOURCE],
    algorithms: ['ES256'],
    authorized_parties: [CLI_CLIENT_ID],
    token_types: ['id_token', 'access_token'],
    claims: { person: 'employee_id' },
    levels: { acr: { 'urn:countersign:password': 1, 'urn:countersign:mfa': 2 } },
  });
  const { log } = createTestLog();
  const keySets = createKeySets({ fetch, clock, log });
  return createAuthenticator({
    issuer: BROKER,
    personIssuers: withKeys([config], keySets),
    keySets,
    signingKeys: await createSigningKeys({ store: createMemoryKeyStore(), masterKey, clock }),
    clock,
    log,
    revoked: () => null,
  });
}

async function principalOf(broker: Authenticator, authorization: string): Promise<Principal> {
  return (await broker.authenticate(presented(authorization))).principal;
}

describe('a sign-in at a real identity provider', () => {
  it.each(CAST)(
    'makes $sub a principal with the groups of the cast',
    async ({ sub, groups, employee_id }) => {
      const { id_token } = await signIn({ issuer: provider.issuer, person: sub });
      const broker = await createBroker();
      const principal = await principalOf(broker, `Bearer ${id_token}`);
      expect(principal).toMatchObject({
        id: `person:demo:${sub}`,
        person: employee_id,
        groups,
        auth: { level: 1 },
      });
      expect(principal.auth.auth_time_ms).not.toBeNull();
    },
  );

  it('with a second factor has a higher level', async () => {
    const { id_token } = await signIn({ issuer: provider.issuer, person: 'sam', mfa: true });
    const broker = await createBroker();
    expect((await principalOf(broker, `Bearer ${id_token}`)).auth).toMatchObject({
      level: 2,
      acr: 'urn:countersign:mfa',
      amr: ['pwd', 'otp'],
    });
  });

  it('yields access tokens for the API that stand for the same person', async () => {
    const { id_token, access_token } = await signIn({ issuer: provider.issuer, person: 'alex', api: true });
    const broker = await createBroker();
    const byAccess = await principalOf(broker, `Bearer ${access_token}`);
    const byId = await principalOf(broker, `Bearer ${id_token}`);
    expect(byAccess).toMatchObject({ id: byId.id, person: byId.person, groups: byId.groups });
  });

  it('of an unknown person stays on the sign-in page', async () => {
    await expect(signIn({ issuer: provider.issuer, person: 'mallory' })).rejects.toThrow('status 400');
  });

  it('yields opaque access tokens otherwise, which the broker does not accept', async () => {
    const { access_token } = await signIn({ issuer: provider.issuer, person: 'alex' });
    const broker = await createBroker();
    await expect(principalOf(broker, `Bearer ${access_token}`)).rejects.toMatchObject({
      code: 'token_invalid',
    });
  });

  it('can begin on a device without a browser', async () => {
    const config = await client.discovery(new URL(provider.issuer), CLI_CLIENT_ID, undefined, client.None(), {
      execute: [client.allowInsecureRequests],
    });
    const device = await client.initiateDeviceAuthorization(config, { scope: 'openid' });
    await approveDevice({
      verificationUri: device.verification_uri,
      userCode: device.user_code,
      person: 'dana',
      mfa: true,
    });
    const { id_token } = await client.pollDeviceAuthorizationGrant(config, { ...device, interval: 1 });
    const broker = await createBroker();
    expect(await principalOf(broker, `Bearer ${id_token}`)).toMatchObject({
      person: 'emp-1001',
      auth: { level: 2 },
    });
  });

  it('is accepted after the provider has rotated its key, and what the former key signed no more', async () => {
    let aheadMs = 0;
    const broker = await createBroker(() => systemClock() + aheadMs);
    const former = await signIn({ issuer: provider.issuer, person: 'dana' });
    await principalOf(broker, `Bearer ${former.id_token}`);
    await provider.rotateKey();
    const later = await signIn({ issuer: provider.issuer, person: 'dana' });
    // The keys were read a moment ago, so an unknown key does not make them be read again at once.
    const asLater = principalOf(broker, `Bearer ${later.id_token}`);
    await expect(asLater).rejects.toMatchObject({ code: 'token_invalid' });
    aheadMs = UNKNOWN_KEY_COOLDOWN_MS;
    expect(await principalOf(broker, `Bearer ${later.id_token}`)).toMatchObject({ person: 'emp-1001' });
    const asFormer = principalOf(broker, `Bearer ${former.id_token}`);
    await expect(asFormer).rejects.toMatchObject({ code: 'token_invalid' });
  });
});
