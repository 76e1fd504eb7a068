import type { Effect, WriteContext } from '../decide/control.ts';
import { erasableOf } from '../log/erase.ts';
import { liftRevocations } from '../revocation/lift.ts';
import { eraseComments } from '../store/comments.ts';
import { overwriteFreed } from '../store/erasures.ts';
import {
  deleteOwnRows,
  listNaming,
  NAMING_TABLES,
  type NamingRow,
  type NamingTableName,
  renameIn,
} from '../store/mentions.ts';
import { listActiveRevocations } from '../store/revocations.ts';
import type { RevocationsTable } from '../store/schema.ts';
import type { Db, Tx } from '../store/statement.ts';
import { openRequestsOf } from './open.ts';
import { type Found, findMentions, mentionsOfSubject, wholeSubject } from './scan.ts';
import type { Subject } from './subject.ts';

/**
 * The revocations in force that name a person: an erased name can be refused no longer. Whatever is renamed is among them,
 * so that none stops to refuse somebody without being lifted.
 */
export async function revocationsOf(
  db: Db,
  subject: Pick<Subject, 'persons' | 'accounts'>,
): Promise<RevocationsTable[]> {
  const mentions = mentionsOfSubject(subject);
  const active = await listActiveRevocations(db);
  return active.filter(
    ({ value, person }) => mentions.isIn(value) || (person !== null && mentions.isIn(person)),
  );
}

/** The effect of a request that erases a person. */
export function personErased(subject: Subject): Effect {
  return {
    carryOut: async (writing, { request_id }) => {
      const { tx, deps, afterCommit } = writing;
      const found = await findMentions(tx, subject, { read: deps.store.read });
      const whole = await wholeSubject(tx, subject, found);
      // Before the names are gone by which they are found.
      const { erasing } = await openRequestsOf(tx, whole, found);
      await liftAll(writing, whole, request_id);
      await removeNames(tx, whole, found);
      await overwriteFreed(tx);
      // The reason of a freeze may have named them.
      afterCommit(deps.events.freezesChanged);
      const { places } = found;
      const except = [request_id, ...erasing];
      return { erases: await erasableOf(tx, { places, names: whole.mappings }, { except }) };
    },
  };
}

async function liftAll(writing: WriteContext, subject: Subject, requestId: string): Promise<void> {
  const ids = (await revocationsOf(writing.tx, subject)).map(({ id }) => id);
  await liftRevocations(writing, ids, { request: requestId });
}

/** Removes the names from every table that is not evidence. */
async function removeNames(tx: Tx, subject: Subject, found: Found): Promise<void> {
  const mentions = mentionsOfSubject(subject);
  const { patterns } = mentions;
  const by = `erased:${subject.pseudonym}`;
  await deleteOwnRows(tx, subject);
  await eraseComments(tx, subject);
  for (const table of Object.keys(NAMING_TABLES) as NamingTableName[]) {
    const among = table === 'requests' ? { ids: [...found.requests] } : {};
    const taken = new Set<string>();
    for (const row of await listNaming(tx, table, { patterns, ...among })) {
      const rename = (name: string) =>
        Object.fromEntries(
          NAMING_TABLES[table].columns.flatMap((column) => {
            const text = row[column];
            return typeof text === 'string' && mentions.isIn(text)
              ? [[column, mentions.redact(text, name)]]
              : [];
          }),
        );
      const texts = rename(by);
      if (Object.keys(texts).length === 0) continue;
      // One human may have voted under two names.
      const isTaken = taken.has(keyOf(table, { ...row, ...texts }));
      const renamed = isTaken ? rename(`${by}.${taken.size}`) : texts;
      taken.add(keyOf(table, { ...row, ...renamed }));
      await renameIn(tx, table, row, renamed);
    }
  }
}

function keyOf(table: NamingTableName, row: NamingRow): string {
  return JSON.stringify(NAMING_TABLES[table].key.map((column) => row[column]));
}
