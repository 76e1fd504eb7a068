import { z } from 'zod';
import type { RequestKind, RequestKinds, SentContent } from '../decide/control.ts';
import type { RequestContent } from '../decide/plan.ts';
import { textSchema } from '../flags/names.ts';
import { DIGEST_PATTERN } from '../json.ts';
import { momentSchema, toEpochMs } from '../moment.ts';

/**
 * The content of a change request: what its author wrote, and what its digest covers. Each kind adds members of its own
 * (`kinds/`).
 */

const reason = textSchema(2000);
const ticket = textSchema(200).nullable();
const apply = z.enum(['auto', 'manual']).meta({
  description:
    '`auto`: it is applied as soon as the policy allows. `manual`: it then waits for a call to apply.',
});
const start = momentSchema
  .nullable()
  .meta({ description: 'The earliest time to apply it; null: as soon as the policy allows.' });

/** The members of every content besides its kind. */
export const commonShape = {
  reason,
  ticket: ticket.default(null),
  apply: apply.default('auto'),
  start_ms: start.default(null),
};

/** The content behind the schema of a kind, with its time in epoch milliseconds. */
export type ContentOf<Schema extends z.ZodType<SentContent>> = Omit<z.infer<Schema>, 'start_ms'> &
  Pick<RequestContent, 'start_ms'>;

/** One schema for each list of kinds, because several calls take a content. */
const contentSchemas = new WeakMap<RequestKinds, z.ZodType<SentContent>>();

/** The body of `POST /v1/requests`: the content of any kind. */
export function contentSchemaOf(kinds: RequestKinds): z.ZodType<SentContent> {
  const known = contentSchemas.get(kinds);
  if (known !== undefined) return known;
  const schema = z.union(kinds.all.map(({ contentSchema }) => contentSchema)).meta({ id: 'Proposal' });
  contentSchemas.set(kinds, schema);
  return schema;
}

/** The content that was sent. Its digest must not depend on how the time was written. */
export function toContent(sent: SentContent): RequestContent {
  return { ...sent, start_ms: sent.start_ms === null ? null : toEpochMs(sent.start_ms) };
}

/** The digest of the content that a change is meant for. */
export const readDigestSchema = z
  .string()
  .regex(DIGEST_PATTERN, 'the digest you read, such as sha256:…')
  .meta({ description: 'The digest of the content that was read.' });

const commonEditShape = { reason, ticket, apply, start_ms: start };

/** The members that an edit may replace; omitted members stay. The kind, the environment and the object never change. */
export type RequestEdit = Partial<Pick<RequestContent, keyof typeof commonEditShape>> &
  Readonly<Record<string, unknown>>;

/** An edit as a caller sends it: its time may be a text, and it may name the content that was read. */
type SentEdit = Omit<RequestEdit, 'start_ms'> & { start_ms?: SentContent['start_ms']; digest?: string };

/** The body of `PATCH /v1/requests/{id}`: the editable members of all kinds. */
export function editSchemaOf({ all }: RequestKinds): z.ZodType<SentEdit> {
  const own = Object.assign({}, ...all.map(({ editable }) => editable)) as Record<string, z.ZodType>;
  return z
    .strictObject({ ...own, ...commonEditShape, digest: readDigestSchema })
    .partial()
    .meta({ id: 'RequestEdit' }) as z.ZodType<SentEdit>;
}

/** The edit that was sent. */
export function toEdit({ start_ms, digest: _, ...rest }: SentEdit): RequestEdit {
  if (start_ms === undefined) return rest;
  return { ...rest, start_ms: start_ms === null ? null : toEpochMs(start_ms) };
}

/** The content with an edit applied; members that its kind does not let be edited stay. */
export function editContent(kind: RequestKind, content: RequestContent, change: RequestEdit): RequestContent {
  const given = Object.entries(change).filter(
    ([name, value]) =>
      value !== undefined && (Object.hasOwn(commonEditShape, name) || Object.hasOwn(kind.editable, name)),
  );
  return { ...content, ...Object.fromEntries(given) };
}
