import { sql } from 'kysely';
import { knowLastExpiry, knowNoFreeze } from './emergency.ts';
import { knowEnvironmentVersion } from './flags.ts';
import { knowMeta } from './installation.ts';
import { knowNewestNumber } from './policies.ts';
import { REVOCATION_EPOCH } from './revocations.ts';
import { remembers, statement, type Tx } from './statement.ts';

/** What nearly every write asks for, and hardly any changes. */
interface Start {
  newest_activation: number | null;
  revocation_epoch: string | null;
  active_freezes: number;
  last_expiry: number | null;
  /** JSON: the version of each environment. */
  environments: string;
}

const startStatement = statement<Record<never, never>, Start>((db) =>
  db.selectFrom('log_head').select((e) => [
    e
      .selectFrom('policy_activations')
      .select((each) => each.fn.max('number').as('number'))
      .as('newest_activation'),
    e.selectFrom('meta').select('value').where('key', '=', REVOCATION_EPOCH).as('revocation_epoch'),
    e
      .selectFrom('freezes')
      .select((each) => each.fn.countAll<number>().as('count'))
      .where('lifted_ms', 'is', null)
      .as('active_freezes'),
    e
      .selectFrom('breakglass_sessions')
      .select((each) => each.fn.max('expires_ms').as('expires_ms'))
      .where('closed_ms', 'is', null)
      .as('last_expiry'),
    e
      .selectFrom('environment_versions')
      .select(sql<string>`json_group_object(environment, version)`.as('versions'))
      .as('environments'),
  ]),
);

/** Reads in one statement what nearly every write of a batch asks for, where the batch remembers it. */
export async function knowStart(tx: Tx): Promise<void> {
  if (!remembers(tx)) return;
  const row = (await startStatement(tx, {})).rows[0];
  if (row === undefined) throw new Error('the log has no head');
  const { newest_activation, revocation_epoch, active_freezes, last_expiry, environments } = row;
  knowNewestNumber(tx, newest_activation);
  knowMeta(tx, REVOCATION_EPOCH, revocation_epoch);
  if (active_freezes === 0) knowNoFreeze(tx);
  knowLastExpiry(tx, last_expiry);
  for (const [environment, version] of Object.entries(JSON.parse(environments) as Record<string, number>))
    knowEnvironmentVersion(tx, { environment, version });
}
