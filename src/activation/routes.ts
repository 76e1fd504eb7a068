import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import { pageOf, routesFor } from '../decide/edge.ts';
import { authorizeRead, readablePlaces } from '../decide/read.ts';
import { isNoneMatch } from '../http/none-match.ts';
import { ARCHIVE, archiveSchema, GOVERNED_READ, GOVERNED_WRITE, noContent } from '../http/route.ts';
import { DIGEST_PATTERN } from '../json.ts';
import { readStoredBundle } from '../policy/bundle.ts';
import { stageNamed, unknownStage } from '../policy/stages.ts';
import {
  findActivation,
  findActivationOf,
  findBundle,
  listActivations,
  listBundles,
} from '../store/policies.ts';
import type { PolicyActivationsTable } from '../store/schema.ts';
import { unknownName } from '../unknown-name.ts';
import { activationSchema, toActivationView } from './history.ts';
import { bundleViewSchema, toBundleView, uploadOf } from './upload.ts';

/** The dependencies of {@link activationRoutes}. */
export interface ActivationRoutesDeps {
  control: ControlDeps;
}

const hashParams = z.object({ hash: z.string().regex(DIGEST_PATTERN) });

const stageQuery = z.strictObject({
  stage: z
    .string()
    .min(1)
    .max(512)
    .optional()
    .meta({ description: 'A stage; default: the last, or only one.' }),
});

const dataQuery = stageQuery.extend({
  policy_hash: hashParams.shape.hash.optional().meta({
    description: 'A stored policy, in place of the active one of a stage.',
  }),
});

const policyDataSchema = z
  .object({
    policy_hash: z.string(),
    data: z.looseObject({ config: z.record(z.string(), z.json()) }),
  })
  .meta({ id: 'PolicyData' });

const { route, list } = routesFor<ActivationRoutesDeps>({ tag: 'Policy', format: 'problem', since: '1.0' });

/** A download of a bundle. OPA polls with `If-None-Match`. @see OPA documentation, "Bundle Service API" */
const DOWNLOAD = {
  operation: 'policy.read',
  method: 'GET',
  caller: 'any',
  outcomes: GOVERNED_READ,
  success: 200,
  answer: archiveSchema,
  answerType: ARCHIVE,
  errors: ['not_found'],
  also: { 304: noContent },
  ifNoneMatch: true,
} as const;

/** Policies: which one is active, the stored bundles, and the upload of another one. */
export const activationRoutes = [
  list({
    name: 'listActivations',
    operation: 'policy.read',
    method: 'GET',
    path: '/v1/policy/activations',
    summary: 'list the activations of policies, newest first; the first of each stage is active',
    caller: 'any',
    outcomes: GOVERNED_READ,
    success: 200,
    query: z.strictObject({
      stage: stageQuery.shape.stage.meta({ description: 'Only those of this stage; default: all.' }),
    }),
    answer: activationSchema,
    errors: ['not_found'],
    handle: async ({ control }, { call, query, page: { limit, place } }) => {
      await authorizeRead(control, call, { operation: 'policy.read' });
      const { broker } = control.policies.latest();
      const rows = await listActivations(control.store.read, {
        stage: query.stage === undefined ? undefined : stageOf(control, query.stage),
        beforeNumber: place === null ? null : Number(place),
        limit: limit + 1,
      });
      const isReadable = await readablePlaces(control, call, 'request.read', { counts: false });
      const context = { stages: broker.stages, isReadable };
      const views = await Promise.all(rows.map((row) => toActivationView(control.store.read, row, context)));
      return pageOf(limit, { rows: views, view: (view) => view, next: ({ number }) => number });
    },
  }),
  list({
    name: 'listBundles',
    operation: 'policy.read',
    method: 'GET',
    path: '/v1/policy/bundles',
    summary: 'list the stored bundles, newest first',
    caller: 'any',
    outcomes: GOVERNED_READ,
    success: 200,
    answer: bundleViewSchema,
    handle: async ({ control }, { call, page: { limit, place } }) => {
      await authorizeRead(control, call, { operation: 'policy.read' });
      const rows = await listBundles(control.store.read, {
        before: place === null ? null : placeOf(String(place)),
        limit: limit + 1,
      });
      return pageOf(limit, {
        rows,
        view: toBundleView,
        next: ({ stored_ms, archive_digest }) => `${stored_ms} ${archive_digest}`,
      });
    },
  }),
  route({
    name: 'getPolicyData',
    operation: 'policy.read',
    method: 'GET',
    path: '/v1/policy/data',
    summary:
      'read the data of the active policy, which patches of `policy.activate` change, or of a stored one',
    caller: 'any',
    outcomes: GOVERNED_READ,
    query: dataQuery,
    success: 200,
    answer: policyDataSchema,
    errors: ['not_found'],
    handle: async ({ control }, { call, query }) => {
      await authorizeRead(control, call, { operation: 'policy.read' });
      const bundle = await bundleOf(control, query);
      const { data } = await readStoredBundle(bundle.archive);
      return { body: { policy_hash: bundle.policy_hash, data: data as { config: Record<string, never> } } };
    },
  }),
  route({
    ...DOWNLOAD,
    name: 'getActiveBundle',
    path: '/v1/policy/bundle',
    summary: 'download the active bundle, as OPA does',
    query: stageQuery,
    handle: async ({ control }, { call, query, ifNoneMatch }) => {
      await authorizeRead(control, call, { operation: 'policy.read' });
      const active = await activeIn(control, query.stage);
      return download(control, active, ifNoneMatch);
    },
  }),
  route({
    ...DOWNLOAD,
    name: 'getBundle',
    path: '/v1/policy/bundles/{hash}',
    summary: 'download a stored bundle by its policy hash',
    params: hashParams,
    handle: async ({ control }, { call, params, ifNoneMatch }) => {
      await authorizeRead(control, call, { operation: 'policy.read' });
      return download(control, { policy_hash: params.hash }, ifNoneMatch);
    },
  }),
  route({
    name: 'uploadBundle',
    operation: 'policy.upload',
    method: 'POST',
    path: '/v1/policy/bundles',
    summary: 'store a bundle; it is activated by a request of kind `policy.activate`',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    body: archiveSchema,
    bodyType: ARCHIVE,
    errors: ['invalid_bundle'],
    success: 201,
    answer: bundleViewSchema,
    handle: async ({ control }, { call, body, write }) => ({
      body: await write(await uploadOf(control, call, body)),
    }),
  }),
];

/** The stage of a name. @throws BrokerError `not_found` */
function stageOf({ policies }: ControlDeps, name: string): string | null {
  const stage = stageNamed(policies.latest().broker.stages, name);
  if (stage === undefined) throw unknownStage(policies.latest().broker.stages, name, '#/stage');
  return stage;
}

/** What decides in a stage: its own activation, or else the last stage's. */
async function activeIn(
  control: ControlDeps,
  name: string | undefined,
): Promise<PolicyActivationsTable | null> {
  const { read } = control.store;
  const stage = name === undefined ? null : stageOf(control, name);
  return (await findActivationOf(read, stage)) ?? (await findActivation(read));
}

/** The bundle of a policy hash, or else what decides in a stage. @throws BrokerError `not_found` */
async function bundleOf(control: ControlDeps, { stage, policy_hash }: z.output<typeof dataQuery>) {
  const { read } = control.store;
  if (policy_hash !== undefined) {
    const stored = await findBundle(read, { policy_hash });
    if (stored === null) throw unknownName({ what: 'policy', name: policy_hash, pointer: '#/policy_hash' });
    return stored;
  }
  const active = await activeIn(control, stage);
  const bundle = active === null ? null : await findBundle(read, active);
  if (bundle === null) throw new Error('the active bundle is not stored');
  return bundle;
}

function placeOf(text: string): { stored_ms: number; archive_digest: string } {
  const [stored_ms = '', archive_digest = ''] = text.split(' ');
  return { stored_ms: Number(stored_ms), archive_digest };
}

async function download(
  { store }: ControlDeps,
  key: { policy_hash: string; archive_digest?: string } | null,
  ifNoneMatch: string | undefined,
) {
  const bundle = key === null ? null : await findBundle(store.read, key);
  if (bundle === null) throw unknownName({ what: 'policy', name: key?.policy_hash ?? '' });
  const headers = { ETag: `"${bundle.archive_digest}"` };
  if (isNoneMatch(ifNoneMatch, headers.ETag)) return { status: 304, body: undefined, headers };
  return { body: bundle.archive, headers };
}
