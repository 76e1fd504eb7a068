import { z } from 'zod';
import type { RequestKind, RequestKinds } from '../decide/control.ts';
import type { RequestContent } from '../decide/plan.ts';
import { textSchema } from '../flags/names.ts';
import { momentSchema } from '../moment.ts';

/**
 * The content of a change request: what its author wrote, and what its digest covers. Each kind adds members of its own
 * (`kinds/`).
 */

const reason = textSchema(2000);
const ticket = textSchema(200).nullable();
const apply = z.enum(['auto', 'manual']);
const start = momentSchema.nullable();

/** The members of every content besides its kind. */
export const commonShape = {
  reason,
  ticket: ticket.default(null),
  apply: apply.default('auto'),
  start_ms: start.default(null),
};

/** The body of `POST /v1/requests`: the content of any kind. */
export function contentSchemaOf({ all }: RequestKinds): z.ZodType<RequestContent> {
  return z.union(all.map(({ contentSchema }) => contentSchema));
}

const commonEditShape = { reason, ticket, apply, start_ms: start };

/** The members that an edit may replace; omitted members stay. The kind, the environment and the object never change. */
export type RequestEdit =
  z.infer<z.ZodObject<typeof commonEditShape>> extends infer Common
    ? Partial<Common> & Readonly<Record<string, unknown>>
    : never;

/** The body of `PATCH /v1/requests/{id}`: the editable members of all kinds. */
export function editSchemaOf({ all }: RequestKinds): z.ZodType<RequestEdit> {
  const own = Object.assign({}, ...all.map(({ editable }) => editable)) as Record<string, z.ZodType>;
  return z.strictObject({ ...own, ...commonEditShape }).partial() as z.ZodType<RequestEdit>;
}

/** The content with an edit applied; members that its kind does not let be edited stay. */
export function editContent(kind: RequestKind, content: RequestContent, change: RequestEdit): RequestContent {
  const given = Object.entries(change).filter(
    ([name, value]) =>
      value !== undefined && (Object.hasOwn(commonEditShape, name) || Object.hasOwn(kind.editable, name)),
  );
  return { ...content, ...Object.fromEntries(given) };
}
