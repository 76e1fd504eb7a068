import { z } from 'zod';
import type { Question } from '../../policy/policies.ts';
import type { Check, CheckContext, CheckScope } from './check.ts';
import { changeOf, changeSchema, requirementOf, requirementSchema } from './requirement.ts';

/** The most open requests that are asked about, the newest first. */
const MAX_REQUESTS = 2000;
/** The most lines of the report. */
const MAX_LINES = 200;
/** The requests that a line names. */
const MAX_NAMED = 20;

/** An open request, and the question whether it may be applied now. */
export interface OpenRequest {
  id: string;
  kind: string;
  environment: string | null;
  /** The namespaces whose readers may see it; `*`: only readers of all. */
  namespaces: readonly string[];
  flags: readonly string[];
  question: Question;
}

/** Reads the open requests, the newest first, some at a time. */
export type ListOpenRequests = (
  context: Pick<CheckContext, 'read' | 'policies' | 'revocations' | 'now_ms'>,
  limit: number,
) => AsyncIterable<OpenRequest[]>;

const lineSchema = z.object({
  kind: z.string(),
  environment: z.string().nullable(),
  namespaces: z.array(z.string()),
  change: changeSchema,
  before: requirementSchema,
  after: requirementSchema,
  count: z.int(),
  requests: z
    .array(z.object({ id: z.string(), flags: z.array(z.string()) }))
    .meta({ description: `At most ${MAX_NAMED} of them, the newest.` }),
});
type Line = z.infer<typeof lineSchema>;

/** What becomes of open requests. */
export const openRequestsDiffSchema = z
  .object({
    lines: z.array(lineSchema),
    open: z.int().meta({ description: `How many open requests were compared; at most ${MAX_REQUESTS}.` }),
    left_out: z.int().meta({ description: 'Further lines that are not shown.' }),
  })
  .meta({ id: 'OpenRequestsDiff' });
export type OpenRequestsDiff = z.infer<typeof openRequestsDiffSchema>;

/**
 * Which open requests would be allowed, held differently or denied, if they were to be applied now. That more of them are
 * is no conflict: people propose, and approve, all the time.
 */
export function openRequestsCheck(list: ListOpenRequests): Check<OpenRequestsDiff> {
  return {
    run: (context) => compareOpenRequests(context, list(context, MAX_REQUESTS)),
    worse: () => null,
    isNothing: ({ lines, left_out }) => lines.length + left_out === 0,
  };
}

/** Compares what two policies say to open requests. */
export async function compareOpenRequests(
  { ask, advance, now_ms, scope }: Pick<CheckContext, 'ask' | 'advance' | 'now_ms' | 'scope'>,
  requests: AsyncIterable<OpenRequest[]>,
): Promise<OpenRequestsDiff> {
  const lines: Line[] = [];
  let open = 0;
  for await (const all of requests) {
    const part = all.filter((request) => isDecidedBy(scope, request));
    const answers = await ask(part.map(({ question }) => ({ question, now_ms })));
    for (const [at, { id, kind, environment, namespaces, flags }] of part.entries()) {
      const answer = answers[at];
      if (answer === undefined) throw new Error('each question has an answer');
      const [before, after] = [requirementOf([answer.active]), requirementOf([answer.candidate])];
      const change = changeOf(before, after);
      if (change === null) continue;
      const requests = [{ id, flags: [...flags] }];
      lines.push({
        kind,
        environment,
        namespaces: [...namespaces],
        change,
        before,
        after,
        count: 1,
        requests,
      });
    }
    open += part.length;
    advance(open, 0);
  }
  const merged = merge(lines);
  return { lines: merged.slice(0, MAX_LINES), open, left_out: Math.max(0, merged.length - MAX_LINES) };
}

/** Definitions apply everywhere, and are decided by the last stage, as is what is about no environment. */
function isDecidedBy({ environments, isLast }: CheckScope, { environment, question }: OpenRequest): boolean {
  if (environment === null || question.request?.facts.definition === true) return isLast;
  return environments.includes(environment);
}

function merge(lines: readonly Line[]): Line[] {
  const alike = Map.groupBy(lines, ({ count: _, requests: __, ...rest }) => JSON.stringify(rest));
  return [...alike]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, same]) => {
      const [first] = same;
      if (first === undefined) return [];
      const requests = same.flatMap((line) => line.requests).slice(0, MAX_NAMED);
      return [{ ...first, count: same.length, requests }];
    });
}

/** The report without requests in places that a reader may not see. */
export function seenOpenRequests(
  report: OpenRequestsDiff,
  maySee: (place: { environment: string | null; namespace: string | null }) => boolean,
): OpenRequestsDiff {
  const lines = report.lines.filter(({ environment, namespaces }) =>
    (namespaces.length === 0 ? [null] : namespaces).every((namespace) => maySee({ environment, namespace })),
  );
  // The total would tell of the others.
  return lines.length === report.lines.length ? report : { lines, open: 0, left_out: 0 };
}
