import { newSalt } from '../json.ts';
import { eraseReadable } from '../store/erasures.ts';
import { insertOutbox } from '../store/outbox.ts';
import { pseudonymOf } from '../store/pseudonyms.ts';
import { EVERY_ENVIRONMENT, insertRecord } from '../store/records.ts';
import type { Tx } from '../store/statement.ts';
import { toDetails } from './details.ts';
import type { Entry } from './entry.ts';
import {
  buildLeaf,
  buildShortLeaf,
  listsOf,
  MAX_LEAF_BYTES,
  type Pseudonyms,
  type ReadableTexts,
} from './record.ts';

/*
 * The decision log. `append` is the only function that writes it. `record.ts` defines the hashed leaf, `details.ts` the
 * readable details beside it, and `erase.ts` the only way to erase those.
 */

/**
 * Appends one record: the leaf, its readable details, and an outbox row for each of its effects; and erases what the record
 * says that it erases. The only function that writes the decision log; it MUST run in the transaction of the write that it records.
 *
 * @returns its place in the log
 */
export async function append(tx: Tx, entry: Entry): Promise<number> {
  const { decision } = entry;
  const { effect, reasons, obligations, limits } = decision;
  const names = await pseudonymsOf(tx, entry);
  const beside: ReadableTexts = {
    salt: newSalt(),
    details: JSON.stringify(toDetails(entry)),
    result: JSON.stringify({ effect, reasons, obligations, limits }),
  };
  const { leaf, details } = fitting(entry, names, beside);
  const place = await insertRecord(tx, {
    leaf: { schema_version: 1, leaf },
    details: {
      id: entry.id,
      at_ms: entry.at_ms,
      operation: entry.operation,
      outcome: effect,
      principal_id: entry.principal.id,
      person: entry.principal.person,
      environment: indexedEnvironment(entry),
      request_id: entry.request?.id ?? null,
      policy_hash: decision.policy_hash,
      stage: decision.stage ?? null,
      salt: beside.salt,
      details,
      input: decision.input_json,
      result: beside.result,
    },
    flags: new Set(entry.flags.map((move) => move.flag)),
  });
  if (entry.erases !== undefined) await eraseReadable(tx, entry.erases, place);
  for (const effectKey of effectsOf(entry)) await insertOutbox(tx, { place, effect: effectKey });
  return place;
}

/** A record that is too large contains digests of its lists; the lists are in its details. */
function fitting(entry: Entry, names: Pseudonyms, beside: ReadableTexts): { leaf: string; details: string } {
  const leaf = buildLeaf(entry, names, beside);
  if (Buffer.byteLength(leaf) <= MAX_LEAF_BYTES) return { leaf, details: beside.details };
  const details = JSON.stringify({ ...toDetails(entry), lists: listsOf(entry, names) });
  return { leaf: buildShortLeaf(entry, names, { ...beside, details }), details };
}

async function pseudonymsOf(tx: Tx, { principal, request }: Entry): Promise<Pseudonyms> {
  const act: string[] = [];
  for (const actor of principal.act ?? []) act.push(await pseudonymOf(tx, 'principal', actor));
  const authors: string[] = [];
  for (const author of request?.authors ?? []) authors.push(await pseudonymOf(tx, 'person', author));
  return {
    principal: await pseudonymOf(tx, 'principal', principal.id),
    act,
    person: principal.person === null ? null : await pseudonymOf(tx, 'person', principal.person),
    authors,
  };
}

/** The environment for queries. A definition applies to every environment, so a query for any of them finds it. */
function indexedEnvironment({ flags, environment }: Entry): string | null {
  const moved = new Set(flags.map((move) => move.environment));
  return moved.has(null) || moved.size > 1 ? EVERY_ENVIRONMENT : environment;
}

/** The effects to deliver outside: each environment whose flags moved (`*` for a definition), a freeze, a policy. */
function effectsOf({ flags, freeze, activates }: Entry): string[] {
  const environments = flags.flatMap(({ environment, version_before, version_after }) =>
    version_after === version_before ? [] : [environment ?? EVERY_ENVIRONMENT],
  );
  const reached = new Set(environments.includes(EVERY_ENVIRONMENT) ? [EVERY_ENVIRONMENT] : environments);
  return [
    ...[...reached].map((environment) => `environment:${environment}`),
    ...(freeze ? [`freeze:${freeze.id}`] : []),
    ...(activates === undefined ? [] : [`policy:${activates.hash}`]),
  ];
}
