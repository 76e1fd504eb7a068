import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type Bundle, readBundle } from '../../src/policy/bundle.ts';
import { storedPolicies } from '../../src/policy/stored-policies.ts';
import { momentOf } from '../../src/store/batch.ts';
import { openStore } from '../../src/store/database.ts';
import { findMeta } from '../../src/store/installation.ts';
import { findActivation, findBundle } from '../../src/store/policies.ts';
import { withConfig } from '../support/activation.ts';
import { INPUTS } from '../support/inputs.ts';
import { activateUnknown, forgePolicies } from '../support/sqlite/evidence.ts';
import { createFormer } from '../support/sqlite/former.ts';
import { readHead } from '../support/sqlite/log.ts';

/* A database from before there were activations. */

let folder: string;
let file: string;
let active: Bundle;
let former: Bundle;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-former-'));
  file = join(folder, 'test.db');
  const shipped = await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
  active = await readBundle(shipped);
  former = await readBundle(
    await withConfig(shipped, (config) => Object.assign(config, { persons: { 'github:1': 'somebody' } })),
  );
});

afterEach(() => rm(folder, { recursive: true, force: true }));

function stored({ hash, revision, archive }: Bundle, stored_ms: number) {
  return { hash, revision, archive, stored_ms };
}

describe('a former database', () => {
  it('goes on with its active policy, which is the first activation, by its record', async () => {
    const activation = { operation: 'policy.activate', policy_hash: active.hash };
    createFormer(file, {
      bundles: [stored(former, 5), stored(active, 6)],
      active: active.hash,
      records: [
        { ...activation, id: 'activation-of-another', policy_hash: former.hash, at_ms: 5 },
        { ...activation, id: 'the-activation', at_ms: 7 },
        { ...activation, id: 'a-later-decision', operation: 'request.propose', at_ms: 8 },
      ],
    });
    const opened = await openStore({ file, clock: systemClock });
    const { hash, archive_digest } = active;
    expect(await findActivation(opened.read)).toEqual({
      number: 1,
      policy_hash: hash,
      archive_digest,
      activated_ms: 7,
      decision_id: 'the-activation',
      request_id: null,
      stage: null,
      module: null,
    });
    expect(await findMeta(opened.read, 'active_policy')).toBeNull();
    const policies = storedPolicies({ inputs: INPUTS });
    expect((await policies.active(opened.read)).hash).toBe(hash);
    expect((await policies.byHash(opened.read, former.hash))?.hash).toBe(former.hash);
    const moved = await findBundle(opened.read, { policy_hash: hash, archive_digest });
    expect(moved).toMatchObject({ revision: active.revision, stored_ms: 6 });
    expect(moved?.archive.equals(active.archive)).toBe(true);
    await opened.close();
  });

  it('still works when its activation has no record', async () => {
    createFormer(file, { bundles: [stored(active, 6)], active: active.hash });
    const opened = await openStore({ file, clock: systemClock });
    expect(await findActivation(opened.read)).toMatchObject({
      number: 1,
      activated_ms: 6,
      decision_id: null,
    });
    await opened.close();
  });

  it('that was never started has no active policy, and one with bundles alone neither', async () => {
    createFormer(file, { bundles: [stored(active, 6)] });
    const opened = await openStore({ file, clock: systemClock });
    expect(await findActivation(opened.read)).toBeNull();
    await expect(storedPolicies({ inputs: INPUTS }).active(opened.read)).rejects.toThrow(
      /start the broker with a policy bundle/,
    );
    await opened.close();
  });

  it('whose clock was once ahead goes on from the moment of its last record', async () => {
    const at = (id: string, at_ms: number) => ({
      id,
      operation: 'flag.read',
      policy_hash: active.hash,
      at_ms,
    });
    const records = [at('a', 5), at('b', 86_400_005), at('c', 7)];
    createFormer(file, { bundles: [stored(active, 6)], active: active.hash, records });
    const opened = await openStore({ file, clock: () => 8 });
    expect(readHead(file)).toMatchObject({ size: 3, last_ms: 7 });
    expect(await opened.writer.write(async (tx) => momentOf(tx))).toBe(8);
    await opened.close();
  });

  it('refuses changes of what was moved, whoever holds the connection', async () => {
    createFormer(file, { bundles: [stored(active, 6)], active: active.hash });
    await (await openStore({ file, clock: systemClock })).close();
    const attempts = forgePolicies(file);
    expect(attempts.length).toBeGreaterThan(5);
    for (const { attempt, refusal } of attempts) expect(refusal, attempt).toMatch(/append-only/);
    const unknown = activateUnknown(file);
    expect(unknown).toHaveLength(1);
    expect(unknown[0]?.refusal).toMatch(/FOREIGN KEY/);
  });
});
