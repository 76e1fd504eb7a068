import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { Kysely, SqliteDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type Bundle, readBundle } from '../../src/policy/bundle.ts';
import { storedPolicies } from '../../src/policy/stored-policies.ts';
import { openStore } from '../../src/store/database.ts';
import { findMeta } from '../../src/store/installation.ts';
import { migrations } from '../../src/store/migrations.ts';
import { findActivation, findBundle } from '../../src/store/policies.ts';
import { withConfig } from '../support/activation.ts';
import { INPUTS } from '../support/inputs.ts';

/* A database from before there were activations. */

let folder: string;
let file: string;
let active: Bundle;
let former: Bundle;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-former-'));
  file = join(folder, 'test.db');
  const shipped = await readFile(new URL('../../policies/bundle.tar.gz', import.meta.url));
  active = await readBundle(shipped);
  former = await readBundle(
    await withConfig(shipped, (config) => Object.assign(config, { persons: { 'github:1': 'somebody' } })),
  );
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** Makes the former schema, and what `fill` puts in. */
async function formerDatabase(fill: (db: Sqlite.Database) => void): Promise<void> {
  const connection = new Sqlite(file);
  const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: connection }) });
  const { error } = await new Migrator({ db, provider: migrations }).migrateTo('0002_identity');
  expect(error).toBeUndefined();
  fill(connection);
  await db.destroy();
}

function store(db: Sqlite.Database, { hash, revision, archive }: Bundle, storedMs: number): void {
  db.prepare('insert into policy_bundles (hash, revision, archive, stored_ms) values (?, ?, ?, ?)').run(
    hash,
    revision,
    archive,
    storedMs,
  );
}

function setActive(db: Sqlite.Database, hash: string): void {
  db.prepare("insert into meta (key, value) values ('active_policy', ?)").run(hash);
}

function record(db: Sqlite.Database, id: string, operation: string, hash: string, atMs: number): void {
  db.prepare(
    `insert into records (id, at_ms, operation, outcome, principal_id, policy_hash, record)
     values (?, ?, ?, 'allow', 'workload:countersign:operator', ?, '{}')`,
  ).run(id, atMs, operation, hash);
  db.prepare("insert into decisions (id, input, result) values (?, '{}', '{}')").run(id);
}

describe('a former database', () => {
  it('goes on with its active policy, which is the first activation, by its record', async () => {
    await formerDatabase((db) => {
      store(db, former, 5);
      store(db, active, 6);
      setActive(db, active.hash);
      record(db, 'activation-of-another', 'policy.activate', former.hash, 5);
      record(db, 'the-activation', 'policy.activate', active.hash, 7);
      record(db, 'a-later-decision', 'request.propose', active.hash, 8);
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

  it('whose activation has no record goes on all the same', async () => {
    await formerDatabase((db) => {
      store(db, active, 6);
      setActive(db, active.hash);
    });
    const opened = await openStore({ file, clock: systemClock });
    expect(await findActivation(opened.read)).toMatchObject({
      number: 1,
      activated_ms: 6,
      decision_id: null,
    });
    await opened.close();
  });

  it('that was never started has no active policy, and one with bundles alone neither', async () => {
    await formerDatabase((db) => store(db, active, 6));
    const opened = await openStore({ file, clock: systemClock });
    expect(await findActivation(opened.read)).toBeNull();
    await expect(storedPolicies({ inputs: INPUTS }).active(opened.read)).rejects.toThrow(
      /start the broker with a bundle/,
    );
    await opened.close();
  });

  it('refuses changes of what was moved, whoever holds the connection', async () => {
    await formerDatabase((db) => {
      store(db, active, 6);
      setActive(db, active.hash);
    });
    await (await openStore({ file, clock: systemClock })).close();
    const db = new Sqlite(file);
    for (const statement of [
      'delete from policy_bundles',
      "update policy_bundles set archive = x'00'",
      'delete from policy_activations',
      "update policy_activations set policy_hash = 'x'",
      'insert into policy_activations select 3, policy_hash, archive_digest, 1, null, null, null from policy_bundles',
      'insert or replace into policy_activations select 1, policy_hash, archive_digest, 9, null, null, null from policy_bundles',
    ]) {
      expect(() => db.exec(statement), statement).toThrow(/append-only/);
    }
    const unknown =
      "insert into policy_activations values (2, 'sha256:00', 'sha256:00', 1, null, null, null)";
    db.pragma('foreign_keys = ON');
    expect(() => db.exec(unknown)).toThrow(/FOREIGN KEY/);
    db.close();
  });
});
