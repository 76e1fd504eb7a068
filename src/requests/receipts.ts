import { z } from 'zod';
import { digestOf } from '../json.ts';
import { epochMs } from '../moment.ts';
import { findDefinition, findStateVersion } from '../store/flags.ts';
import { type CheckedReceipt, checkReceipt, listDueReceipts, listReceipts } from '../store/receipts.ts';
import { connectedSince, listRelays } from '../store/relays.ts';
import type { ReceiptsTable } from '../store/schema-relays.ts';
import { servedHistory } from '../store/served-history.ts';
import type { Db } from '../store/statement.ts';
import type { Store } from '../store/store.ts';

/*
 * Receipts: after a request has changed flags, the broker reads them back as applications do, and notes whether they are what was
 * written. The write itself notes that it has to be done, so a crash delays it, and forgets nothing. A receipt is beside the state
 * of its request, and never changes it.
 */

/** After so long without having read the change back, its receipt says so. It is tried again. */
const UNVERIFIED_MS = 30_000;

/** For how long it is tried. */
const TRIED_MS = 60 * 60 * 1000;

/** What can become of a change. */
export const RECEIPT_STATES = ['pending', 'verified', 'unverified', 'diverged'] as const;

const flagStateSchema = z.object({
  flag: z.string(),
  version: z
    .int()
    .nullable()
    .meta({ description: 'Of the state of the flag; null if the flag is not served.' }),
  digest: z.string().nullable().meta({ description: 'Of that state, in canonical JSON.' }),
});
type FlagStateView = z.infer<typeof flagStateSchema>;

/** A receipt in an answer. */
export const receiptSchema = z
  .object({
    environment: z.string(),
    version: z.int().meta({ description: 'The version of the environment that has the change.' }),
    state: z.enum(RECEIPT_STATES).meta({
      description:
        '`verified`: what is served is what was written, or came after it; `diverged`: it is something else; `unverified`: it could not be read back yet.',
    }),
    written: z.array(flagStateSchema),
    served: z.array(flagStateSchema).nullable().meta({ description: 'Null before it was read back.' }),
    applied_ms: epochMs,
    checked_ms: epochMs.nullable(),
    relays: z
      .object({
        connected: z.int().meta({ description: 'How many relays have reported in the last 45 seconds.' }),
        waiting: z
          .array(z.string())
          .meta({ description: 'Those of them that serve an earlier version, or none of the present log.' }),
        first_served_ms: epochMs.nullable().meta({ description: 'When the first relay served it.' }),
        last_served_ms: epochMs.nullable().meta({ description: 'When the last one did, so far.' }),
        first_after_ms: z.int().nullable().meta({ description: 'How long after the change was applied.' }),
        last_after_ms: z.int().nullable(),
      })
      .meta({ description: 'What relays have reported, by their own clocks.' }),
  })
  .meta({ id: 'Receipt' });
export type ReceiptView = z.infer<typeof receiptSchema>;

/** What the data plane serves of an environment. */
export type ServedFlags = (
  environment: string,
) => { version: number; flags: ReadonlyMap<string, { state: unknown; version: number }> } | undefined;

/** What {@link checkReceipts} needs. */
export interface ReceiptDeps {
  store: Pick<Store, 'read' | 'writer'>;
  served: ServedFlags;
  clock: () => number;
  log: { error(fields: object, message: string): void; warn(fields: object, message: string): void };
}

/** Reads back what is due. */
export async function checkReceipts({ store, served, clock, log }: ReceiptDeps): Promise<void> {
  const nowMs = clock();
  const checked: CheckedReceipt[] = [];
  for (const receipt of await listDueReceipts(store.read, nowMs - TRIED_MS)) {
    const judged = await judge(store.read, receipt, served);
    const state = judged?.state ?? (nowMs - receipt.applied_ms >= UNVERIFIED_MS ? 'unverified' : 'pending');
    if (state === receipt.state) continue;
    const { request_id, environment } = receipt;
    if (state === 'diverged')
      log.error(
        { request_id, environment, served: judged?.flags },
        'what is served is not what a request has written',
      );
    if (state === 'unverified')
      log.warn({ request_id, environment }, 'what a request has written could not be read back yet');
    checked.push({
      ...{ request_id, environment, state },
      served: judged === null ? null : JSON.stringify(judged.flags),
      checked_ms: nowMs,
    });
  }
  if (checked.length === 0) return;
  // One write for all: there are many after a burst of changes.
  await store.writer.write(async (tx) => {
    for (const each of checked) await checkReceipt(tx, each);
  }, 'scheduled');
}

/** What is served, and whether it is right; null if what was written is not served yet. */
async function judge(
  db: Db,
  { environment, version, written }: ReceiptsTable,
  served: ServedFlags,
): Promise<{ state: 'verified' | 'diverged'; flags: FlagStateView[] } | null> {
  const present = served(environment);
  if (present === undefined || present.version < version) return null;
  const flags: FlagStateView[] = [];
  let isRight = true;
  for (const wrote of JSON.parse(written) as { flag: string; version: number; digest: string }[]) {
    const { flag } = wrote;
    const found = present.flags.get(flag);
    const digest = found === undefined ? null : digestOf(found.state);
    flags.push({ flag, version: found?.version ?? null, digest });
    if (found === undefined) isRight &&= await isRetired(db, flag);
    else if (found.version === wrote.version) isRight &&= digest === wrote.digest;
    else {
      // A later change: it must be the one that the store has.
      isRight &&= found.version > wrote.version;
      const stored = await findStateVersion(db, { flag, environment, version: found.version });
      isRight &&= stored !== undefined && digestOf(JSON.parse(stored.state)) === digest;
    }
  }
  return { state: isRight ? 'verified' : 'diverged', flags };
}

async function isRetired(db: Db, flag: string): Promise<boolean> {
  return (await findDefinition(db, flag))?.retired === 1;
}

/** The receipts of a request, with what relays have reported of it. */
export async function receiptsOf(db: Db, requestId: string, nowMs: number): Promise<ReceiptView[]> {
  const views: ReceiptView[] = [];
  for (const row of await listReceipts(db, requestId)) {
    const { environment, version, applied_ms, checked_ms, first_relay_ms, last_relay_ms } = row;
    const relays = await listRelays(db, { sinceMs: connectedSince(nowMs), environment });
    const isOfLog = await servedHistory(db, environment);
    // Clocks differ, and nothing is served before it is written.
    const after = (ms: number | null) => (ms === null ? null : Math.max(0, ms - applied_ms));
    views.push({
      ...{ environment, version, applied_ms, checked_ms },
      state: row.state as ReceiptView['state'],
      written: JSON.parse(row.written) as FlagStateView[],
      served: row.served === null ? null : (JSON.parse(row.served) as FlagStateView[]),
      relays: {
        connected: relays.length,
        waiting: relays
          .filter((relay) => relay.version < version || !isOfLog(relay))
          .map(({ relay }) => relay),
        first_served_ms: first_relay_ms,
        last_served_ms: last_relay_ms,
        first_after_ms: after(first_relay_ms),
        last_after_ms: after(last_relay_ms),
      },
    });
  }
  return views;
}
