import { describe, expect, it } from 'vitest';
import { openSnapshots } from '../../src/data/open-snapshots.ts';
import { createLog } from '../../src/logger.ts';

/** Snapshots over a store that answers with the version in `versions`, and fails for an environment without one. */
async function open(versions: Map<string, number>, environments: string[]) {
  return openSnapshots({
    load: async (environment) => {
      const version = versions.get(environment);
      if (version === undefined) throw new Error('the disk is gone');
      return { version, flags: [] };
    },
    log: createLog('silent'),
    environments,
  });
}

describe('the environments of another policy', () => {
  it('replace those of the former one, which are no longer served', async () => {
    const snapshots = await open(
      new Map([
        ['production', 1],
        ['staging', 1],
        ['canary', 1],
      ]),
      ['production', 'staging'],
    );
    await snapshots.reload(['production', 'canary']);
    const served = ['production', 'staging', 'canary'].map((key) => snapshots.current(key)?.version);
    expect(served).toEqual([1, undefined, 1]);
  });

  it('are served without a gap where they stay, also if they cannot be loaded', async () => {
    const versions = new Map([['production', 1]]);
    const snapshots = await open(versions, ['production']);
    versions.clear();
    const reloading = snapshots.reload(['production']);
    expect(snapshots.current('production')?.version).toBe(1);
    await reloading;
    expect(snapshots.current('production')?.version).toBe(1);
  });

  it('are not served from before they left, if they return and cannot be loaded', async () => {
    const versions = new Map([['canary', 1]]);
    const snapshots = await open(versions, ['canary']);
    await snapshots.reload([]);
    versions.clear();
    await snapshots.reload(['canary']);
    expect(snapshots.current('canary')).toBeUndefined();
    versions.set('canary', 2);
    await snapshots.loadMissing(['canary']);
    expect(snapshots.current('canary')?.version).toBe(2);
  });

  it('are those of the last policy, if an earlier one is still being loaded', async () => {
    const snapshots = await open(new Map([['canary', 1]]), []);
    await Promise.all([snapshots.reload(['canary']), snapshots.reload([])]);
    expect(snapshots.current('canary')).toBeUndefined();
  });
});
