import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readFlags } from '../revocation/support.ts';
import { activateElsewhere, type Config, withConfig } from '../support/activation.ts';
import { exchange, startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag } from '../support/flags.ts';

let t: TestBroker;
let present: Buffer;

beforeEach(async () => {
  t = await startTestBroker();
  present = await readFile(join(t.folder, 'bundle.tar.gz'));
});

afterEach(() => t.close());

interface Trusting {
  trust_rules: { 'checkout-service': { grant: { audiences: string[]; environments: string[] } } };
}

/** An environment that applications may read. */
function withCanary(config: Config): void {
  Object.assign(config.environments ?? {}, { canary: { kind: 'staging' } });
  const { grant } = (config as unknown as Trusting).trust_rules['checkout-service'];
  grant.audiences.push('data:canary');
  grant.environments.push('canary');
}

async function activate(edit: (config: Config) => void): Promise<void> {
  await activateElsewhere(t.broker.store, await withConfig(present, edit), t.clock());
}

const served = async (token: string) =>
  Object.fromEntries(
    (await readFlags(t, token)).body.flags.map(({ key, value }: { key: string; value: unknown }) => [
      key,
      value,
    ]),
  );

describe('an environment that comes with an activation', () => {
  it('is served, each flag with its safe default, once a write has met the policy', async () => {
    await createFlag(t, 'checkout');
    await applyChanges(t, [{ action: 'enable', flag: 'checkout' }]);
    const production = await t.workloadToken('checkout', { audience: 'data:production' });
    expect(await served(production)).toEqual({ checkout: true });
    await activate(withCanary);
    // The exchange is the first write that meets it.
    const canary = await t.workloadToken('checkout', { audience: 'data:canary' });
    await expect.poll(() => served(canary).catch(() => null)).toEqual({ checkout: false });
    expect(await served(production)).toEqual({ checkout: true });
  });

  it('is served after the next look, when another broker has activated it', async () => {
    await createFlag(t, 'checkout');
    await activate(withCanary);
    const canary = await t.workloadToken('checkout', { audience: 'data:canary' });
    await activate(() => undefined);
    await t.broker.scheduler.tick();
    await activate(withCanary);
    await t.broker.scheduler.tick();
    expect(await served(canary)).toEqual({ checkout: false });
  });

  it('is not served any more once it is gone, as after a restart, and the others are', async () => {
    await createFlag(t, 'checkout');
    const production = await t.workloadToken('checkout', { audience: 'data:production' });
    await activate(withCanary);
    const canary = await t.workloadToken('checkout', { audience: 'data:canary' });
    await expect.poll(() => served(canary).catch(() => null)).toEqual({ checkout: false });
    await activate(() => undefined);
    await t.broker.scheduler.tick();
    expect((await readFlags(t, canary)).status).toBe(503);
    await t.broker.scheduler.tick();
    expect((await readFlags(t, canary)).status).toBe(503);
    expect(await served(production)).toEqual({ checkout: false });
  });

  it('takes changes like any other, from then on', async () => {
    await createFlag(t, 'checkout');
    await activate(withCanary);
    const canary = await t.workloadToken('checkout', { audience: 'data:canary' });
    await createFlag(t, 'ledger', { tier: 'informational' });
    await expect.poll(() => served(canary)).toEqual({ checkout: false, ledger: false });
  });

  it('has no token before it is active, nor after it is gone', async () => {
    const form = { audience: 'data:canary' };
    expect((await exchange(t.url, await t.ci.checkoutToken(), form)).status).toBe(400);
    await activate(withCanary);
    expect((await exchange(t.url, await t.ci.checkoutToken(), form)).status).toBe(200);
    await activate(() => undefined);
    expect((await exchange(t.url, await t.ci.checkoutToken(), form)).status).toBe(400);
  });
});
