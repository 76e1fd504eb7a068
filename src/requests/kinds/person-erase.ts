import { z } from 'zod';
import { EVERY_NAMESPACE, type RequestKind } from '../../decide/control.ts';
import { personErased } from '../../erasure/erase-person.ts';
import { PERSON_ERASE } from '../../erasure/open.ts';
import { foresee } from '../../erasure/preview.ts';
import { mentionsOfSubject } from '../../erasure/scan.ts';
import { isSubject, subjectBehind } from '../../erasure/subject.ts';
import { BrokerError } from '../../errors.ts';
import { epochMs } from '../../moment.ts';
import { identifier } from '../../principal.ts';
import { type ContentOf, commonShape } from '../content.ts';

const contentSchema = z
  .strictObject({
    kind: z.literal(PERSON_ERASE),
    subject: identifier.meta({
      description: 'The pseudonym of the person: POST /v1/erasures/preview tells it. Never a name.',
    }),
    ...commonShape,
  })
  .meta({ id: 'PersonErasureProposal' });
type Content = ContentOf<typeof contentSchema>;

const objectSchema = z.strictObject({
  type: z.literal('person').meta({ description: 'The discriminator.' }),
  id: identifier.meta({ description: 'The pseudonym of the person to erase.' }),
  records: z.int().min(0).meta({ description: 'The number of records that name the person.' }),
  newest_ms: epochMs.meta({
    description: 'The time of the last record that names the person; 0 without any.',
  }),
  revocations: z
    .array(identifier)
    .meta({ description: 'The revocations of the person that are in force, and are lifted with it.' }),
});

/** Erases what is readable about a person. The log keeps every leaf, and with it every proof. */
export const personErase: RequestKind<Content> = {
  name: PERSON_ERASE,
  contentSchema,
  editable: {},
  objectSchema,
  planVersion: 1,
  isCostly: true,
  conflict: 'More was recorded about the person since, or they were erased.',
  plan: async (db, content, context) => {
    const { subject: id } = content;
    if (context.onlyJudged === true)
      return { plan: toPlan({ id, records: 0, newest_ms: 0, revocations: [] }, 0), effects: [] };
    const subject = await subjectBehind(db, context.policy, id);
    if (subject === null)
      throw fault('No person has this pseudonym.', '#/subject', 'POST /v1/erasures/preview tells it');
    assertNameless(content, mentionsOfSubject(subject).isIn);
    const { found, open, revocations } = await foresee(db, subject, context.read);
    if (open.length > 0) {
      throw fault(
        'Open requests name this person.',
        '#/subject',
        `close these requests first: ${open.join(', ')}`,
      );
    }
    const { places, newest_ms } = found;
    return {
      plan: toPlan(
        { id, records: places.length, newest_ms: newest_ms ?? 0, revocations },
        places.at(-1) ?? 0,
      ),
      effects: [personErased(subject)],
    };
  },
  environmentOf: () => null,
  flagsOf: () => [],
  namespacesOf: () => [EVERY_NAMESPACE],
  namedBy: async () => [],
  aboutPerson: async (db, { object }, policy) => {
    const subject = await subjectBehind(db, policy, objectSchema.parse(object).id);
    return subject === null ? () => false : (principal) => isSubject(subject, principal);
  },
  sentence: ({ object }) => {
    const { id, records, revocations } = objectSchema.parse(object);
    const lifts = revocations.length === 0 ? '' : `, and lift ${revocations.length} revocations of them`;
    return `erase person ${id} from ${records} records${lifts}`;
  },
};

function toPlan(
  object: Omit<z.infer<typeof objectSchema>, 'type' | 'revocations'> & { revocations: readonly string[] },
  version: number,
) {
  return {
    version: 1,
    changes: [],
    object: { type: 'person', ...object },
    bases: [{ of: `person:${object.id}`, version }],
  };
}

/** What a request says is kept, so it must not say whom it erases. */
function assertNameless({ reason, ticket }: Content, names: (text: string) => boolean): void {
  const detail = 'it names the person, and is kept: write it without the name';
  if (names(reason)) throw fault('The reason names the person.', '#/reason', detail);
  if (ticket !== null && names(ticket)) throw fault('The ticket names the person.', '#/ticket', detail);
}

function fault(message: string, pointer: string, detail: string): BrokerError {
  return new BrokerError('invalid_change', message, { errors: [{ pointer, detail }] });
}
