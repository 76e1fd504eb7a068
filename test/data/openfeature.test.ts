import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OpenFeature } from '@openfeature/server-sdk';
import { afterEach, describe, expect, it } from 'vitest';
import type { SnapshotFlag } from '../../src/data/snapshot.ts';
import type { FlagState } from '../../src/flags/model.ts';
import { sampleDefinition, sampleState } from '../flags/samples.ts';
import { type OfrepServer, startOfrepServer } from './ofrep-server.ts';

let server: OfrepServer;

afterEach(async () => {
  await OpenFeature.close();
  await server.close();
});

function booleanFlag(state: Partial<FlagState>, version: number): SnapshotFlag[] {
  const definition = sampleDefinition({ key: 'dark-mode', variants: { on: true, off: false } });
  return [{ definition, state: sampleState(state), version }];
}

async function client(token: string) {
  const provider = new OFREPProvider({
    baseUrl: server.url,
    headers: [['Authorization', `Bearer ${token}`]],
  });
  await OpenFeature.setProviderAndWait(provider);
  return OpenFeature.getClient();
}

describe('the OpenFeature SDK', () => {
  it('reads a flag, and its new value after the snapshot is refreshed', async () => {
    server = await startOfrepServer(booleanFlag({ enabled: false }, 1));
    const flags = await client('good');
    expect(await flags.getBooleanDetails('dark-mode', true)).toMatchObject({
      value: false,
      reason: 'DISABLED',
      variant: 'off',
    });
    server.store.version = 2;
    server.store.flags = booleanFlag({ audience: { kind: 'some', organizations: ['acme'], users: [] } }, 2);
    await server.snapshots.refresh('production');
    const details = await flags.getBooleanDetails('dark-mode', false, {
      targetingKey: 'ann',
      organization: 'acme',
    });
    expect(details).toMatchObject({
      value: true,
      reason: 'TARGETING_MATCH',
      variant: 'on',
      flagMetadata: { version: 2 },
    });
    expect(await flags.getBooleanValue('dark-mode', true, { organization: 'other' })).toBe(false);
  });

  it('understands every refusal and falls back to the default of the code', async () => {
    server = await startOfrepServer(booleanFlag({}, 1));
    const flags = await client('good');
    expect(await flags.getBooleanDetails('missing', true)).toMatchObject({
      value: true,
      errorCode: 'FLAG_NOT_FOUND',
    });
    expect(await flags.getStringDetails('dark-mode', 'x')).toMatchObject({
      value: 'x',
      errorCode: 'TYPE_MISMATCH',
    });
    const hostile = { nested: JSON.parse('{"constructor":1}') };
    expect(await flags.getBooleanDetails('dark-mode', false, hostile)).toMatchObject({
      errorCode: 'INVALID_CONTEXT',
    });
    const stranger = await client('bad');
    expect(await stranger.getBooleanDetails('dark-mode', false)).toMatchObject({
      value: false,
      reason: 'ERROR',
    });
  });
});
