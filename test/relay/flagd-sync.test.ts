import { join } from 'node:path';
import { FlagdProvider } from '@openfeature/flagd-provider';
import { OpenFeature } from '@openfeature/server-sdk';
import { describe, expect, it } from 'vitest';
import { newSigner } from '../support/forged-snapshots.ts';
import { readAt, until } from '../support/relay.ts';
import { forgedVersion, publish } from '../support/relay-source.ts';
import { relayStage } from './stage.ts';

/* The sync of flagd at a relay. */

const signer = newSigner();
const { stage, production } = relayStage(signer);
const [FIVE, SIX] = [forgedVersion(signer, 5), forgedVersion(signer, 6)];

describe('a provider of flagd', () => {
  it('evaluates by itself what the sync of flagd brings', async () => {
    publish(stage.source, FIVE);
    const socket = join(stage.folder, 'flagd.sock');
    await stage.start({
      flagdSync: [
        { listen: `unix:${socket}`, without_token: { environment: 'production', namespaces: ['*'] } },
      ],
    });
    await until(production, ({ version }) => version === 5);
    const provider = new FlagdProvider({
      resolverType: 'in-process',
      socketPath: socket,
      selector: 'flagSetId=production',
    });
    await OpenFeature.setProviderAndWait('flagd', provider);
    const flags = OpenFeature.getClient('flagd');
    expect(await flags.getStringValue('colour', 'none')).toBe('version 5');
    publish(stage.source, SIX);
    await until(
      () => flags.getStringValue('colour', 'none'),
      (value) => value === 'version 6',
    );
    expect((await readAt(stage.relay, 'colour')).body.value).toBe('version 6');
    await OpenFeature.close();
  });
});
