import { z } from 'zod';
import { epochMs } from '../moment.ts';
import type { Db } from '../store/statement.ts';
import { revocationsOf } from './erase-person.ts';
import { openRequestsOf } from './open.ts';
import { type Found, findMentions, wholeSubject } from './scan.ts';
import type { Subject } from './subject.ts';

/** What an erasure would erase. */
export const erasurePreviewSchema = z
  .object({
    pseudonym: z.string().meta({ description: 'The person in leaves. A request to erase them names it.' }),
    persons: z.array(z.string()).meta({ description: 'The names of the person, as policies compare them.' }),
    accounts: z.array(z.string()).meta({ description: 'The ids of their accounts.' }),
    mappings: z
      .array(z.object({ kind: z.enum(['principal', 'person']), name: z.string(), pseudonym: z.string() }))
      .meta({ description: 'The pseudonyms whose names would be erased.' }),
    places: z.array(z.int()).meta({
      description:
        'The records whose details, salt, input and result would be erased, because they name the person.',
    }),
    oldest_ms: epochMs.nullable().meta({ description: 'The time of the first of these records.' }),
    newest_ms: epochMs.nullable().meta({
      description: 'The time of the last of these records, from which the minimum retention counts.',
    }),
    requests: z
      .int()
      .meta({ description: 'How many closed requests name the person; they get another name in its place.' }),
    open_requests: z
      .array(z.string())
      .meta({ description: 'Open requests that name the person: they have to be closed first.' }),
    revocations: z
      .array(z.string())
      .meta({ description: 'Revocations of the person that are in force, and would be lifted.' }),
  })
  .meta({ id: 'ErasurePreview' });
export type ErasurePreview = z.infer<typeof erasurePreviewSchema>;

/** Everything about a person that an erasure depends on. */
export interface Foreseen {
  subject: Subject;
  found: Found;
  /** Ids of open requests that name the person, without those to erase them. */
  open: readonly string[];
  /** Ids of the revocations to lift. */
  revocations: readonly string[];
}

/** @throws RunAgain as {@link findMentions} */
export async function foresee(db: Db, subject: Subject, read: Db): Promise<Foreseen> {
  const found = await findMentions(db, subject, { read });
  const whole = await wholeSubject(db, subject, found);
  const { others } = await openRequestsOf(db, whole, found);
  return {
    subject: whole,
    found,
    open: others,
    revocations: (await revocationsOf(db, whole)).map(({ id }) => id),
  };
}

/** What an erasure would erase, for an answer. */
export function toPreview({ subject, found, open, revocations }: Foreseen): ErasurePreview {
  const { pseudonym, persons, accounts, mappings } = subject;
  return {
    pseudonym,
    persons: [...persons],
    accounts: [...accounts],
    mappings: mappings.map(({ kind, name, pseudonym: own }) => ({ kind, name, pseudonym: own })),
    places: [...found.places],
    oldest_ms: found.oldest_ms,
    newest_ms: found.newest_ms,
    requests: [...found.requests].filter((id) => !open.includes(id)).length,
    open_requests: [...open],
    revocations: [...revocations],
  };
}
