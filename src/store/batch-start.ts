import { type CompiledQuery, sql } from 'kysely';
import { objectOf } from './dialect.ts';
import { knowLastExpiry, knowNoFreeze } from './emergency.ts';
import { knowEnvironmentVersion } from './flags.ts';
import { knowMeta } from './installation.ts';
import type { LogHead } from './log-head.ts';
import { knowNewestNumber } from './policies.ts';
import { REVOCATION_EPOCH } from './revocations.ts';
import type { LogHeadTable } from './schema-log.ts';
import { type Db, fixedQuery, remembers, type Tx } from './statement.ts';

/** What nearly every write asks for, and hardly any changes. */
interface Asked {
  newest_activation: number | null;
  revocation_epoch: string | null;
  active_freezes: number;
  last_expiry: number | null;
  /** JSON: the version of each environment; null if there is none. */
  environments: string | null;
}

/** What a batch begins with. */
export interface BatchStart {
  /** The head of the log, which nobody else can change before the end of the batch. */
  head: LogHead;
  asked: Asked;
}

/** The row that {@link startQuery} reads. */
export type StartRow = LogHeadTable & Asked;

/** Reads what a batch begins with, in one statement without parameters. It is run once the batch has the log's head. */
export const startQuery: (db: Db) => CompiledQuery<StartRow> = fixedQuery((db) =>
  db
    .selectFrom('log_head')
    .selectAll()
    .select((e) => [
      e
        .selectFrom('policy_activations')
        .select((each) => each.fn.max('number').as('number'))
        .as('newest_activation'),
      e
        .selectFrom('meta')
        .select('value')
        .where('key', '=', sql.lit(REVOCATION_EPOCH))
        .as('revocation_epoch'),
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
        .select(objectOf(db, 'environment', 'version').as('versions'))
        .as('environments'),
    ]),
);

/** @throws Error if there is no row: the log has no head */
export function startOf(row: StartRow | undefined): BatchStart {
  if (row === undefined) throw new Error('the log has no head');
  const { newest_activation, revocation_epoch, active_freezes, last_expiry, environments, ...columns } = row;
  const { id: _, ...head } = columns;
  return { head, asked: { newest_activation, revocation_epoch, active_freezes, last_expiry, environments } };
}

/** Tells the writes of a batch what nearly all of them would read, where the batch remembers it. */
export function knowStart(tx: Tx, { asked }: BatchStart): void {
  if (!remembers(tx)) return;
  knowNewestNumber(tx, asked.newest_activation);
  knowMeta(tx, REVOCATION_EPOCH, asked.revocation_epoch);
  if (asked.active_freezes === 0) knowNoFreeze(tx);
  knowLastExpiry(tx, asked.last_expiry);
  const versions = JSON.parse(asked.environments ?? '{}') as Record<string, number>;
  for (const [environment, version] of Object.entries(versions))
    knowEnvironmentVersion(tx, { environment, version });
}
