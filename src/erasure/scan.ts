import { setImmediate } from 'node:timers/promises';
import { digestOf } from '../json.ts';
import { type ArchivedWords, listArchivedWords } from '../store/archives.ts';
import {
  findLastErasure,
  findLastPlace,
  listMentioning,
  listMentioningRequests,
  listNamingPseudonyms,
  listRequestIds,
  type MentioningRecord,
} from '../store/mentions.ts';
import { RunAgain } from '../store/run-again.ts';
import type { Db } from '../store/statement.ts';
import { canonicalText, type Mentions, mentionsOf } from './mentions.ts';
import { isSubject, type Subject, withAccounts } from './subject.ts';
import { namesAmong } from './words.ts';

/*
 * Which records name a person. All of them are read for it, so that a name is found wherever it stands: in a reason that
 * somebody else gave, in the claims of a job; of an archived input, the digests of its words. That takes long, so it is done
 * outside of the writing transaction, which then reads only what was recorded since: records change by an erasure only, and
 * after one, on any broker, everything is read again.
 */

/** The records and requests that name a person. */
export interface Found {
  /** In order. */
  places: readonly number[];
  /** The times of the first and the last of them; null without any. */
  oldest_ms: number | null;
  newest_ms: number | null;
  /** Ids of requests, closed ones too. */
  requests: ReadonlySet<string>;
  /** The ids of the person's accounts in those records. */
  accounts: ReadonlySet<string>;
}

/** What is found up to a place, and up to a request. */
interface Progress {
  /** The place of the last erasure before everything was read. */
  erasure: number;
  place: number;
  request: string;
  places: number[];
  oldest_ms: number | null;
  newest_ms: number | null;
  requests: Set<string>;
  accounts: Set<string>;
}

/** The records and the requests that are read at once. */
const RECORDS_AT_ONCE = 500;
const REQUESTS_AT_ONCE = 200;
/** The most records that are read in the writing transaction. */
const TAIL = 2000;
/** The most persons whose records are remembered. */
const MAX_REMEMBERED = 8;

/** By the connection that reads committed state: what was found for each person. */
const memories = new WeakMap<Db, Map<string, Progress>>();

/** The names to look for. */
export function mentionsOfSubject({ persons, accounts }: Pick<Subject, 'persons' | 'accounts'>): Mentions {
  return mentionsOf(namesOf({ persons, accounts }));
}

function namesOf({ persons, accounts }: Pick<Subject, 'persons' | 'accounts'>): string[] {
  return [...persons, ...accounts].map(canonicalText);
}

/**
 * The person with the accounts that were found, and with the pseudonyms of workloads and agents whose ids say the name, such
 * as that of a job with its actor.
 */
export async function wholeSubject(db: Db, subject: Subject, { accounts }: Found): Promise<Subject> {
  const whole = await withAccounts(db, subject, accounts);
  const mentions = mentionsOfSubject(whole);
  const known = new Set(whole.mappings.map(({ pseudonym }) => pseudonym));
  const naming = (await listNamingPseudonyms(db, mentions.patterns)).filter(
    ({ name, pseudonym }) => !known.has(pseudonym) && mentions.isIn(name),
  );
  return { ...whole, mappings: [...whole.mappings, ...naming] };
}

/**
 * What names a person, in the state that `db` sees.
 *
 * @param options.read reads committed state
 * @throws RunAgain if there is more to read than a write may take time for
 */
export async function findMentions(
  db: Db,
  subject: Subject,
  { read, tail = TAIL }: { read: Db; tail?: number },
): Promise<Found> {
  const memory = memories.get(read) ?? new Map<string, Progress>();
  memories.set(read, memory);
  const key = digestOf([subject.persons, subject.accounts]);
  const remembered = memory.get(key);
  const known = remembered?.erasure === (await findLastErasure(db)) ? remembered : undefined;
  if ((await findLastPlace(db)) - (known?.place ?? 0) > tail) {
    throw new RunAgain(`the records that name ${subject.pseudonym}`, async () => {
      const erasure = await findLastErasure(read);
      const from = remembered?.erasure === erasure ? remembered : undefined;
      const progress = await search(read, subject, { from, erasure, yields: true });
      memory.delete(key);
      memory.set(key, progress);
      for (const oldest of memory.keys()) {
        if (memory.size <= MAX_REMEMBERED) break;
        memory.delete(oldest);
      }
    });
  }
  return search(db, subject, { from: known, erasure: known?.erasure ?? 0, yields: false });
}

async function search(
  db: Db,
  subject: Subject,
  { from, erasure, yields }: { from: Progress | undefined; erasure: number; yields: boolean },
): Promise<Progress> {
  const mentions = mentionsOfSubject(subject);
  const { patterns } = mentions;
  const isAmongWords = namesAmong(namesOf(subject));
  const found: Progress = {
    erasure,
    place: 0,
    request: '',
    oldest_ms: null,
    newest_ms: null,
    ...from,
    places: [...(from?.places ?? [])],
    requests: new Set(from?.requests),
    accounts: new Set(from?.accounts),
  };
  const last = await findLastPlace(db);
  while (found.place < last) {
    const end = Math.min(found.place + RECORDS_AT_ONCE, last);
    const span = { after: found.place, to: end };
    const naming = (await listMentioning(db, { ...span, patterns })).filter((row) => isNaming(row, mentions));
    const archived = (await listArchivedWords(db, span)).filter(({ words }) => isAmongWords(words));
    for (const row of inOrder(naming, archived)) note(found, row, subject);
    found.place = end;
    if (yields) await setImmediate();
  }
  for (;;) {
    const ids = await listRequestIds(db, found.request, REQUESTS_AT_ONCE);
    const [first, end] = [ids[0], ids.at(-1)];
    if (first === undefined || end === undefined) break;
    const matching = await listMentioningRequests(db, { after: found.request, to: end, patterns });
    for (const { id, texts } of matching) if (texts.some(mentions.isIn)) found.requests.add(id);
    found.request = end;
    if (yields) await setImmediate();
  }
  return found;
}

function isNaming({ details, input, result }: MentioningRecord, mentions: Mentions): boolean {
  return mentions.isIn(details) || mentions.isIn(input) || mentions.isIn(result);
}

/** A record that names the person, by what is in the database or by its archived input. */
type NamingRecord = Pick<MentioningRecord, 'place' | 'at_ms' | 'principal_id' | 'person' | 'request_id'>;

/** Each record once, in the order of the log. */
function inOrder(naming: readonly MentioningRecord[], archived: readonly ArchivedWords[]): NamingRecord[] {
  const byPlace = new Map<number, NamingRecord>([...naming, ...archived].map((row) => [row.place, row]));
  return [...byPlace.values()].toSorted((one, other) => one.place - other.place);
}

function note(found: Progress, row: NamingRecord, subject: Subject): void {
  found.places.push(row.place);
  found.oldest_ms = Math.min(found.oldest_ms ?? row.at_ms, row.at_ms);
  found.newest_ms = Math.max(found.newest_ms ?? row.at_ms, row.at_ms);
  if (row.request_id !== null) found.requests.add(row.request_id);
  const { principal_id: id, person } = row;
  if (id.startsWith('person:') && isSubject(subject, { id, person })) found.accounts.add(id);
}
