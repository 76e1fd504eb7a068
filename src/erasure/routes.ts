import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { ControlDeps, WriteContext } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { Refused } from '../decide/refused.ts';
import { textSchema } from '../flags/names.ts';
import { GOVERNED_WRITE } from '../http/route.ts';
import { unknownName } from '../unknown-name.ts';
import { type ErasurePreview, erasurePreviewSchema, foresee, toPreview } from './preview.ts';
import { type Subject, subjectBehind, subjectNamed } from './subject.ts';

/** The dependencies of {@link erasureRoutes}. */
export interface ErasureRoutesDeps {
  control: ControlDeps;
}

/** The body of `POST /v1/erasures/preview`. It is not stored. */
const askedSchema = z
  .strictObject({
    person: textSchema(512).optional().meta({ description: 'The name of a person, or one of its aliases.' }),
    pseudonym: textSchema(100).optional().meta({ description: 'The pseudonym that a request names.' }),
  })
  .refine(({ person, pseudonym }) => (person === undefined) !== (pseudonym === undefined), {
    message: 'person or pseudonym',
    path: ['person'],
  })
  .meta({ id: 'ErasureQuestion' });

const { route } = routesFor<ErasureRoutesDeps>({ tag: 'Audit', format: 'problem', since: '1.0' });

/** What an erasure would erase. The erasure itself is a request of kind `person.erase`. */
export const erasureRoutes = [
  route({
    name: 'previewErasure',
    operation: 'erasure.preview',
    method: 'POST',
    path: '/v1/erasures/preview',
    summary: 'what a request of kind `person.erase` would erase of a person',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    body: askedSchema,
    success: 200,
    answer: erasurePreviewSchema,
    errors: ['not_found'],
    handle: async (_, { body, write }) => ({ body: await write((writing) => preview(writing, body)) }),
  }),
];

async function preview(
  writing: WriteContext,
  { person, pseudonym }: z.infer<typeof askedSchema>,
): Promise<ErasurePreview | Refused> {
  const { tx, deps } = writing;
  const authorized = await authorize(writing, { operation: 'erasure.preview' });
  if (authorized instanceof Refused) return authorized;
  const subject = await find(writing, { person, pseudonym });
  if (subject === null) {
    const fault = unknownName({
      what: 'person',
      name: person ?? pseudonym ?? '',
      pointer: person === undefined ? '#/pseudonym' : '#/person',
    });
    return Refused.because(fault, authorized.decision_id);
  }
  return toPreview(await foresee(tx, subject, deps.store.read));
}

function find(
  { tx, policy }: WriteContext,
  { person, pseudonym }: z.infer<typeof askedSchema>,
): Promise<Subject | null> {
  return person === undefined ? subjectBehind(tx, policy, pseudonym ?? '') : subjectNamed(tx, policy, person);
}
