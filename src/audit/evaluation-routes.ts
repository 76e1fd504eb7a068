import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { ControlDeps } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { askingOf, assertEnvironment, assertPrincipal, flagsLike } from '../decide/names.ts';
import { environmentKeySchema, flagKeySchema } from '../flags/names.ts';
import { RECORDED_READ } from '../http/route.ts';
import { epochMs, momentSchema, toEpochMs } from '../moment.ts';
import {
  type EvaluationFilter,
  listEvaluations,
  type NamedEvaluation,
  placeOfRow,
} from '../store/evaluations.ts';
import { findDefinition } from '../store/flags.ts';
import { findPseudonym } from '../store/pseudonyms.ts';
import type { Db } from '../store/statement.ts';
import { nearestOf, unknownName } from '../unknown-name.ts';

/*
 * Who evaluated which flag. Each read is itself decided and recorded.
 */

const { list } = routesFor<{ control: ControlDeps }>({ tag: 'Audit', format: 'problem', since: '1.0' });

const orOthers = 'Null for what was counted without names, because too much was evaluated at once.';
const orDefinitions =
  'Null with a principal: they read the definitions of all flags that their token reads, and evaluate elsewhere.';

/** A row of the counts. */
const evaluationCountSchema = z
  .object({
    place: z.int().min(1).meta({ description: 'The place of the record that has the digest of the row.' }),
    environment: z.string(),
    workload: z
      .string()
      .nullable()
      .meta({ description: `The id of the principal; null if its name was erased. ${orOthers}` }),
    pseudonym: z
      .string()
      .nullable()
      .meta({ description: `Of the principal, as in leaves. ${orOthers}` }),
    flag: z
      .string()
      .nullable()
      .meta({ description: `${orDefinitions} ${orOthers}` }),
    variant: z.string().nullable().meta({ description: 'Null without a flag.' }),
    count: z.int().min(1).meta({ description: 'How often. 1 for each evaluation that is recorded in full.' }),
    first_ms: epochMs,
    last_ms: epochMs,
  })
  .meta({ id: 'EvaluationCount' });
export type EvaluationCountView = z.infer<typeof evaluationCountSchema>;

/** Who evaluated which flag. */
export const evaluationRoutes = [
  list({
    name: 'listEvaluations',
    operation: 'decision.read',
    method: 'GET',
    path: '/v1/evaluations',
    summary: 'list who evaluated which flag to which variant, counted per interval, newest first',
    caller: 'any',
    outcomes: RECORDED_READ,
    query: z.strictObject({
      flag: flagKeySchema.optional(),
      environment: environmentKeySchema.optional(),
      workload: z.string().max(512).optional().meta({ description: "A principal's id." }),
      from: momentSchema.optional().meta({ description: 'Only rows with evaluations at or after it.' }),
      to: momentSchema.optional().meta({ description: 'Only rows with evaluations before it.' }),
    }),
    success: 200,
    answer: evaluationCountSchema,
    errors: ['not_found'],
    handle: async ({ control }, { call, query, page: { limit, place }, write }) => {
      const { flag, environment, workload, from, to } = query;
      assertEnvironment(await askingOf(control, call), environment, { operation: 'decision.read' });
      await write((writing) =>
        authorize(writing, { operation: 'decision.read', environment: environment ?? null }),
      );
      const db = control.store.read;
      const pseudonym = workload === undefined ? undefined : await findPseudonym(db, 'principal', workload);
      const filter = {
        ...{ flag, environment, workload: pseudonym },
        ...(from === undefined ? {} : { from_ms: toEpochMs(from) }),
        ...(to === undefined ? {} : { to_ms: toEpochMs(to) }),
      };
      if (workload !== undefined && pseudonym === undefined) {
        await assertPrincipal(db, workload, '#/workload');
        return { items: [], next: null };
      }
      const before = place === null ? null : Number(place);
      const { rows, next } = await listEvaluations(db, { filter, before, limit });
      if (rows.length === 0 && before === null) await assertFlag(db, filter);
      return { items: rows.map(toView), next };
    },
  }),
];

/** An empty page must not hide a misspelt name. @throws BrokerError `not_found` */
async function assertFlag(db: Db, { flag }: EvaluationFilter): Promise<void> {
  if (flag === undefined || (await findDefinition(db, flag)) !== undefined) return;
  const known = (await flagsLike(db, flag)).map(({ name }) => name);
  throw unknownName({ what: 'flag', name: flag, pointer: '#/flag', nearest: nearestOf(flag, known) });
}

function toView({ id, name, workload, ...row }: NamedEvaluation): EvaluationCountView {
  return { place: placeOfRow(id), workload: name, pseudonym: workload, ...row };
}
