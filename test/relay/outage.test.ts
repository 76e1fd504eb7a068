import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openLatest } from '../../src/snapshot/latest.ts';
import { NOW_MS, newSigner } from '../support/forged-snapshots.ts';
import { LAST, readAt, until } from '../support/relay.ts';
import { forgedVersion, publish } from '../support/relay-source.ts';
import { relayStage } from './stage.ts';

/* Without its source, with a broken disk, and after the broker was restored. */

const signer = newSigner();
const { stage, production, codes, valueNow } = relayStage(signer);
const FIVE = forgedVersion(signer, 5);
const SIX = forgedVersion(signer, 6);
const kept = (file = '') => join(stage.folder, 'production', file);

async function startAt(version: typeof FIVE): Promise<void> {
  publish(stage.source, version);
  await stage.start();
  await until(production, ({ digest }) => digest === version.digest);
}

describe('without its source', () => {
  it('a relay serves on, and after a restart what it had kept', async () => {
    await startAt(FIVE);
    stage.source.answers.set('production/latest.json', (req) => req.destroy());
    await until(codes, (present) => present.includes('unreachable'));
    expect(production().connection.state).toBe('unreachable');
    expect(await valueNow()).toBe('version 5');
    await stage.stop();
    // A day later. Nothing that the relay knows says that this is still the newest.
    stage.clock.advance(86_400_000);
    await stage.start();
    expect(production()).toMatchObject({ version: 5, digest: FIVE.digest, state: 'stale' });
    expect(production().stale_since_ms).toBe(NOW_MS + 300_000);
    expect((await fetch(`${stage.relay.url}/readyz`)).status).toBe(200);
    expect(await valueNow()).toBe('version 5');
  });

  it('keeps what any verifier accepts: a pointer, and the one body that it names', async () => {
    await startAt(FIVE);
    publish(stage.source, SIX);
    await until(production, ({ version }) => version === 6);
    await until(
      async () => (await readdir(kept())).toSorted().join(),
      (names) => names === `${SIX.file},latest.json`,
    );
    expect(await readFile(kept('latest.json'))).toEqual(SIX.latest);
    expect(await readFile(kept(SIX.file))).toEqual(SIX.body);
    await openLatest(await readFile(kept('latest.json')), {
      keys: [signer.verifier],
      environment: 'production',
      nowMs: NOW_MS,
    });
  });

  it('is not stepped back by a restart', async () => {
    await startAt(SIX);
    await until(
      () => readdir(kept()),
      (names) => names.includes('latest.json'),
    );
    await stage.stop();
    publish(stage.source, FIVE);
    await stage.start();
    await until(codes, (present) => present.includes('stepped_back'));
    expect(await valueNow()).toBe('version 6');
  });
});

describe('what was kept', () => {
  it.each([
    ['the pointer', 'latest.json'],
    ['the body', FIVE.file],
  ])('and is damaged in %s is set aside and said, and replaced from the source', async (_, file) => {
    await startAt(FIVE);
    await until(
      () => readdir(kept()),
      (names) => names.includes('latest.json'),
    );
    await stage.stop();
    await writeFile(kept(file), (await readFile(kept(file))).subarray(0, 200));
    stage.source.answers.clear();
    await stage.start();
    expect(codes()).toEqual(['kept_damaged']);
    expect((await readAt(stage.relay, 'colour')).status).toBe(503);
    expect(await readdir(kept())).toContain(`${file}.damaged`);
    publish(stage.source, FIVE);
    await until(production, ({ state, faults }) => state === 'fresh' && faults.length === 0);
    expect(await valueNow()).toBe('version 5');
    expect(await readFile(kept('latest.json'))).toEqual(FIVE.latest);
    expect(await readFile(kept(FIVE.file))).toEqual(FIVE.body);
  });

  it('still keeps an earlier version out when only its body was lost', async () => {
    await startAt(SIX);
    await until(
      () => readdir(kept()),
      (names) => names.includes('latest.json'),
    );
    await stage.stop();
    await rm(kept(SIX.file));
    publish(stage.source, FIVE);
    await stage.start();
    await until(codes, (present) => present.includes('stepped_back'));
    expect((await readAt(stage.relay, 'colour')).status).toBe(503);
  });

  it('by a key that was taken out is not used, and stays where it is', async () => {
    await startAt(FIVE);
    await until(
      () => readdir(kept()),
      (names) => names.includes('latest.json'),
    );
    await stage.stop();
    stage.source.answers.clear();
    await stage.start({ settings: { keys: [newSigner('flags.example/log/2').verifier], staleness: LAST } });
    expect(codes()).toEqual(['other_epoch']);
    expect((await readAt(stage.relay, 'colour')).status).toBe(503);
    expect(await readFile(kept('latest.json'))).toEqual(FIVE.latest);
  });
});

describe('with a disk that takes nothing', () => {
  it('a relay serves from memory and says so, and writes when it can', async () => {
    await startAt(FIVE);
    await until(
      () => readdir(kept()),
      (names) => names.includes('latest.json'),
    );
    await rename(kept(), `${kept()}-away`);
    await writeFile(join(stage.folder, 'production'), 'in the way');
    publish(stage.source, SIX);
    await until(codes, (present) => present.includes('disk_failed'));
    expect(production()).toMatchObject({ version: 6, state: 'fresh' });
    expect(await valueNow()).toBe('version 6');
    await rm(join(stage.folder, 'production'));
    await mkdir(kept());
    await until(codes, (present) => present.length === 0);
    expect(await readFile(kept('latest.json'))).toEqual(SIX.latest);
    expect(await readFile(kept(SIX.file))).toEqual(SIX.body);
  });
});

describe('after the broker was restored', () => {
  const next = newSigner('flags.example/log/2');
  const RESTORED = forgedVersion(next, 3);

  it('its new log is followed when its key is given, and not before', async () => {
    await startAt(FIVE);
    publish(stage.source, RESTORED);
    await until(codes, (present) => present.includes('other_epoch'));
    expect(await valueNow()).toBe('version 5');
    stage.relay.reload({ keys: [signer.verifier, next.verifier], staleness: LAST });
    await until(production, ({ version, epoch }) => version === 3 && epoch === 2);
    expect(await valueNow()).toBe('version 3');
    expect(production().epoch_change).toEqual({
      from: { epoch: 1, version: 5, digest: FIVE.digest },
      to: { epoch: 2, version: 3, digest: RESTORED.digest },
      at_ms: NOW_MS,
    });
    // What the lost history had is not taken up again, nor after a restart.
    publish(stage.source, SIX);
    await until(codes, (present) => present.includes('stepped_back'));
    await stage.stop();
    await stage.start({ settings: { keys: [signer.verifier, next.verifier], staleness: LAST } });
    await until(codes, (present) => present.includes('stepped_back'));
    expect(production()).toMatchObject({ version: 3, epoch: 2 });
  });
});

describe('when a snapshot becomes old', () => {
  const OLD = forgedVersion(signer, 5, {}, { 'kill.search': 'operational', 'kill.mail': 'operational' });
  const staleness = { ...LAST, maxMs: 60_000, flags: { 'kill.mail': 'last' as const } };

  it('a kill switch gets its safe variant, everything else stays, and a fresh pointer ends that', async () => {
    publish(stage.source, OLD);
    await stage.start({ settings: { keys: [signer.verifier], staleness } });
    await until(production, ({ version }) => version === 5);
    const values = async () => [
      await valueNow('colour'),
      await valueNow('kill.search'),
      await valueNow('kill.mail'),
    ];
    const all = async () => {
      const response = await fetch(`${stage.relay.url}/ofrep/v1/evaluate/flags`, {
        method: 'POST',
        headers: { authorization: 'Bearer good' },
      });
      const { flags } = (await response.json()) as { flags: { key: string; value: string }[] };
      return [response.headers.get('etag'), Object.fromEntries(flags.map(({ key, value }) => [key, value]))];
    };
    const document = async () => {
      const response = await fetch(`${stage.relay.url}/flagd/v1/production.json`, {
        headers: { authorization: 'Bearer good' },
      });
      const { flags } = (await response.json()) as { flags: Record<string, { defaultVariant: string }> };
      return [response.headers.get('etag'), flags['kill.search']?.defaultVariant];
    };
    const [tag] = await all();
    const [documentTag] = await document();
    stage.source.answers.clear();
    stage.clock.advance(359_999);
    expect(await values()).toEqual(['version 5', 'version 5', 'version 5']);
    expect(production()).toMatchObject({ state: 'stale', staleness_applied: false });
    stage.clock.advance(1);
    expect(await values()).toEqual(['version 5', 'safe', 'version 5']);
    expect(production()).toMatchObject({ state: 'stale', staleness_applied: true });
    const [staleTag, stale] = await all();
    expect(stale).toEqual({ colour: 'version 5', 'kill.search': 'safe', 'kill.mail': 'version 5' });
    expect(staleTag).not.toBe(tag);
    const [staleDocumentTag, variant] = await document();
    expect([variant, staleDocumentTag === documentTag]).toEqual(['safe', false]);
    const nowS = stage.clock() / 1000;
    publish(
      stage.source,
      forgedVersion(
        signer,
        5,
        { iat: nowS, exp: nowS + 300 },
        {
          'kill.search': 'operational',
          'kill.mail': 'operational',
        },
      ),
    );
    await until(production, ({ state }) => state === 'fresh');
    expect(await values()).toEqual(['version 5', 'version 5', 'version 5']);
    expect((await all())[0]).toBe(tag);
  });
});
