import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import { write } from '../decide/write.ts';
import { BrokerError } from '../errors.ts';
import { DIGEST_PATTERN } from '../json.ts';
import { DAY_MS, epochMs } from '../moment.ts';
import { schedulerPrincipal } from '../principal.ts';
import { pseudonymOf } from '../store/pseudonyms.ts';
import { noteServed } from '../store/receipts.ts';
import {
  addReportedReads,
  connectedSince,
  countRelays,
  findRelay,
  forgetSilent,
  listRelays,
  listUnknownFlags,
  MAX_COUNT,
  type RelayRow,
  writeRelay,
} from '../store/relays.ts';
import type { ReportedReadsTable } from '../store/schema-relays.ts';
import { servedHistory } from '../store/served-history.ts';
import type { Db, Tx } from '../store/statement.ts';

/*
 * What relays report: which version they serve, and what was read there. A report is a write of its own, which counts once:
 * what it says of reads waits in the store until it is recorded with what this broker has counted.
 */

/**
 * The most relays of one principal in an environment: a name costs nothing. Relays beside pods have a new one with each pod, so
 * those that are silent make room.
 */
const MAX_RELAYS = 1000;

/** How many reports of a relay are told from one that comes twice. */
const RECENT_REPORTS = 64;

/** How far the clock of a relay may be ahead, and how old a read may be that it reports. */
const LEEWAY_MS = 60_000;
const OLDEST_MS = 31 * DAY_MS;

const MAX_READS = 1000;

const readSchema = z
  .strictObject({
    environment: z.string().max(200),
    workload: z.string().min(1).max(1024).nullable(),
    flag: z.string().min(1).max(200).nullable(),
    variant: z.string().max(200).nullable(),
    count: z.int().min(1).max(MAX_COUNT),
    first_ms: epochMs,
    last_ms: epochMs,
  })
  .meta({ id: 'ReportedRead' });

/** The report of a relay. */
export const reportSchema = z
  .strictObject({
    id: z.uuid().meta({ description: 'The same for each attempt: a report counts once.' }),
    relay: z
      .string()
      .regex(/^[\w.:-]{1,200}$/)
      .meta({ description: 'The name of the relay, which stays the same when it restarts.' }),
    version: z.int().min(0).meta({ description: 'The version of the environment that it serves.' }),
    digest: z.string().regex(DIGEST_PATTERN).meta({ description: 'Of the body that it serves.' }),
    served_ms: epochMs.meta({ description: 'Since when it serves it.' }),
    reads: z
      .array(readSchema)
      .max(MAX_READS)
      .meta({ description: 'What was read there since the last report.' }),
  })
  .meta({ id: 'RelayReport' });
export type RelayReport = z.infer<typeof reportSchema>;

/**
 * Takes a report.
 *
 * @param reporter whose token it came with
 * @throws BrokerError `invalid_request`, `rate_limited`, and that of a store that takes no writes
 */
export async function takeReport(
  control: ControlDeps,
  { environment, reporter, keepsReads }: { environment: string; reporter: string; keepsReads: boolean },
  report: RelayReport,
): Promise<void> {
  assertPlausible(report, environment, control.clock());
  const call = { principal: schedulerPrincipal, credential: null, http_request_id: null };
  const name = { environment, principal: reporter, relay: report.relay };
  const { id, version, digest, served_ms, reads } = report;
  await write(
    control,
    call,
    async ({ tx, now_ms }) => {
      const known = await findRelay(tx, name);
      const recent = known === undefined ? [] : (JSON.parse(known.recent) as string[]);
      if (recent.includes(id)) return;
      if (known === undefined) await assertRoom(tx, name, now_ms);
      const told = [...recent, id].slice(-RECENT_REPORTS);
      await writeRelay(tx, {
        ...name,
        ...{ version, digest, served_ms },
        reported_ms: now_ms,
        recent: JSON.stringify(told),
      });
      const isOfLog = await servedHistory(tx, environment);
      const after = known !== undefined && isOfLog(known) ? known.version : version - 1;
      if (version > after && isOfLog({ version, digest }))
        await noteServed(tx, { environment, after, version, servedMs: served_ms });
      if (!keepsReads || reads.length === 0) return;
      const by = await pseudonymOf(tx, 'principal', reporter);
      const rows = new Map<string, ReportedReadsTable>();
      for (const { workload, ...read } of await ofKnownFlags(tx, reads)) {
        const reader = workload === null ? null : await pseudonymOf(tx, 'principal', workload);
        const row = { ...read, workload: reader, reporter: by };
        const key = JSON.stringify([by, environment, reader, read.flag, read.variant]);
        rows.set(key, merged(rows.get(key), { ...row, name: key }));
      }
      await addReportedReads(tx, [...rows.values()]);
    },
    'scheduled',
  );
}

function merged(former: ReportedReadsTable | undefined, row: ReportedReadsTable): ReportedReadsTable {
  if (former === undefined) return row;
  return {
    ...row,
    count: Math.min(MAX_COUNT, former.count + row.count),
    first_ms: Math.min(former.first_ms, row.first_ms),
    last_ms: Math.max(former.last_ms, row.last_ms),
  };
}

/** The relays that are connected: those that have reported a moment ago. @param environment default: all */
export function connectedRelays(db: Db, nowMs: number, environment?: string): Promise<RelayRow[]> {
  const sinceMs = connectedSince(nowMs);
  return listRelays(db, environment === undefined ? { sinceMs } : { sinceMs, environment });
}

/** How many of the connected relays of each published environment serve its newest version, and how many are behind. */
export function relaysByVersion(
  published: readonly { environment: string; digest: string }[],
  relays: readonly RelayRow[],
): { environment: string; current: number; behind: number }[] {
  return published.map(({ environment, digest }) => {
    const own = relays.filter((relay) => relay.environment === environment);
    const current = own.filter((relay) => relay.digest === digest).length;
    return { environment, current, behind: own.length - current };
  });
}

/** @throws BrokerError `invalid_request` for what no relay has seen */
function assertPlausible({ served_ms, reads }: RelayReport, environment: string, nowMs: number): void {
  if (served_ms > nowMs + LEEWAY_MS) throw refused('#/served_ms', 'is in the future');
  for (const [index, read] of reads.entries()) {
    const at = (member: string) => `#/reads/${index}/${member}`;
    if (read.environment !== environment)
      throw refused(at('environment'), 'is another one than that of the path');
    if (read.first_ms > read.last_ms) throw refused(at('first_ms'), 'is after last_ms');
    if (read.last_ms > nowMs + LEEWAY_MS) throw refused(at('last_ms'), 'is in the future');
    if (read.last_ms < nowMs - OLDEST_MS) throw refused(at('last_ms'), 'is too long ago');
    if (read.flag === null && read.variant !== null) throw refused(at('variant'), 'needs a flag');
  }
}

/**
 * Reads of flags that the broker does not have are counted without names. A relay that still serves the history that a restore has
 * lost reads them, and to refuse its reports would lose what else was read there.
 */
async function ofKnownFlags(db: Db, reads: RelayReport['reads']): Promise<RelayReport['reads']> {
  const named = [...new Set(reads.flatMap(({ flag }) => flag ?? []))];
  const unknown = new Set(await listUnknownFlags(db, named));
  return reads.map((read) =>
    read.flag !== null && unknown.has(read.flag)
      ? { ...read, workload: null, flag: null, variant: null }
      : read,
  );
}

async function assertRoom(
  tx: Tx,
  name: { environment: string; principal: string },
  nowMs: number,
): Promise<void> {
  if ((await countRelays(tx, name)) < MAX_RELAYS) return;
  if (await forgetSilent(tx, { ...name, beforeMs: connectedSince(nowMs) })) return;
  throw new BrokerError(
    'rate_limited',
    `At most ${MAX_RELAYS} relays of one principal are connected in an environment. Give each relay a name that stays the same when it restarts, and more relays another identity.`,
    { headers: { 'Retry-After': '60' } },
  );
}

function refused(pointer: string, detail: string): BrokerError {
  return new BrokerError('invalid_request', 'The report says what no relay can have seen.', {
    errors: [{ pointer, detail }],
  });
}
