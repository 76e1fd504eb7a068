import { listOpenTexts } from '../store/mentions.ts';
import type { Db } from '../store/statement.ts';
import { type Found, mentionsOfSubject } from './scan.ts';
import type { Subject } from './subject.ts';

/** The kind of requests that erases a person. */
export const PERSON_ERASE = 'person.erase';

/** Open requests that name a person. */
export interface OpenRequests {
  /** Those that erase this person: the person may have tried to vote on one. */
  erasing: readonly string[];
  /** All others, which have to be closed first. */
  others: readonly string[];
}

/** The open requests that name a person, of what was found. */
export async function openRequestsOf(db: Db, subject: Subject, found: Found): Promise<OpenRequests> {
  const mentions = mentionsOfSubject(subject);
  const open = (await listOpenTexts(db)).filter(
    ({ id, texts }) => found.requests.has(id) || texts.some(mentions.isIn),
  );
  const { erasing = [], others = [] } = Object.groupBy(open, ({ kind, content }) =>
    kind === PERSON_ERASE && subjectOf(content) === subject.pseudonym ? 'erasing' : 'others',
  );
  return { erasing: erasing.map(({ id }) => id), others: others.map(({ id }) => id) };
}

function subjectOf(content: string): unknown {
  return (JSON.parse(content) as { subject?: unknown }).subject;
}
