import { z } from 'zod';
import { candidateOf, fault, unjudgedObject, unknownBundle } from '../../activation/candidate.ts';
import { followersOf } from '../../activation/followers.ts';
import { movedEnvironments } from '../../activation/moved-environments.ts';
import { type DataPatch, patchSchema } from '../../activation/patch.ts';
import { promotionSchema } from '../../activation/promotion.ts';
import { reportFor } from '../../activation/report-base.ts';
import { basesOfSources, describeSources, policySources, sourcesOf } from '../../activation/sources.ts';
import { type Effect, EVERY_NAMESPACE, type RequestKind } from '../../decide/control.ts';
import type { Base, NextActivation, Plan } from '../../decide/plan.ts';
import { DIGEST_PATTERN } from '../../json.ts';
import type { ActivatedPolicy } from '../../log/entry.ts';
import { activateBundle, type StageBundle, withFollowers } from '../../policy/activate.ts';
import { identifier } from '../../principal.ts';
import { findBundle } from '../../store/policies.ts';
import { type ContentOf, commonShape } from '../content.ts';

const hash = z.string().regex(DIGEST_PATTERN, 'a policy hash, such as sha256:…');

const contentSchema = z
  .strictObject({
    kind: z.literal('policy.activate'),
    policy_hash: hash
      .optional()
      .meta({ description: 'The policy to activate; upload its bundle first. This, `patch` or `promotes`.' }),
    archive_digest: hash
      .optional()
      .meta({ description: 'The exact archive; default: the one that was stored first.' }),
    patch: patchSchema
      .optional()
      .meta({ description: "A change of the stage's active data; the broker builds the bundle." }),
    stage: identifier
      .optional()
      .meta({ description: 'The stage where it becomes active; default: the last, or only one.' }),
    promotes: z.int().min(1).optional().meta({
      description:
        'The number of the activation of the stage before whose module is promoted. Without `policy_hash` the stage keeps its own data.',
    }),
    weakens_activation: z
      .boolean()
      .default(false)
      .meta({ description: 'Required if the next activation would need fewer approvals.' }),
    ...commonShape,
  })
  .refine(({ policy_hash, patch }) => policy_hash === undefined || patch === undefined, {
    message: 'either policy_hash or patch',
    path: ['policy_hash'],
  })
  .refine(
    ({ policy_hash, patch, promotes }) =>
      policy_hash !== undefined || patch !== undefined || promotes !== undefined,
    { message: 'policy_hash, patch or promotes', path: ['policy_hash'] },
  )
  .meta({ id: 'PolicyActivationProposal' });
type Content = ContentOf<typeof contentSchema>;

const objectSchema = z.strictObject({
  type: z.literal('policy').meta({ description: 'The discriminator.' }),
  id: identifier.meta({ description: 'The policy hash; for a patch, its digest.' }),
  archive_digest: identifier
    .nullable()
    .meta({ description: 'The digest of the exact archive; null for a patch.' }),
  revision: z.string().nullable().meta({ description: 'The label that its author set; null for a patch.' }),
  replaces: identifier
    .nullable()
    .meta({ description: 'The policy that is replaced; null for a patch, which fits others too.' }),
  patch: z
    .array(z.unknown())
    .nullable()
    .meta({ description: 'The changes of the data, or null for a whole bundle.' }),
  weakens_activation: z
    .boolean()
    .meta({ description: 'The next activation needs fewer approvals than under the active policy.' }),
  stage: identifier
    .optional()
    .meta({ description: 'The stage where it becomes active, if there are several.' }),
  environments: z
    .array(identifier)
    .optional()
    .meta({ description: 'Of an earlier stage: the environments that it decides.' }),
  promotes: promotionSchema
    .optional()
    .meta({ description: "The earlier stage's activation that is promoted." }),
  ...policySources,
  changes_nothing: z.boolean().optional().meta({
    description: 'By its checks, no recorded decision, no access, no open request and no flag changes.',
  }),
});
type PolicyObject = z.infer<typeof objectSchema>;

/** 2: with the sources of the policy; 3: with the report of its checks. */
const PLAN_VERSION = 3;

/** Makes a stored bundle, or the active one with changed data, the active policy. The policy that is active decides. */
export const policyActivate: RequestKind<Content> = {
  name: 'policy.activate',
  contentSchema,
  editable: {},
  objectSchema,
  planVersion: PLAN_VERSION,
  isCostly: true,
  conflict: 'The active policy has changed since the request was proposed, in what the request is based on.',
  plan: async (db, content, context) => {
    if (context.onlyJudged === true) {
      // Nothing is built or compiled for a caller who may not propose at all.
      const object = await unjudgedObject(db, content, context.policy);
      return { plan: toPlan({ ...object, weakens_activation: false }, []), effects: [] };
    }
    const candidate = await candidateOf(db, content, context);
    const { stage, bundle, policy, bases } = candidate;
    const followers = stage === null ? await followersOf(db, candidate, context) : [];
    const moved = stage === null ? movedEnvironments(policy, context.policy, pointerOf(content)) : [];
    const sources = await sourcesOf(db, context.proposer, candidate.object.archive_digest);
    const draft = { type: 'policy' as const, ...candidate.object, ...sources, weakens_activation: false };
    const { report, next_activation, keep, ...found } = await reportFor(db, candidate, {
      pointer: pointerOf(content),
      context,
    });
    const weakens_activation = next_activation !== null && judge(next_activation, content);
    // The report is about this stage alone.
    const changes_nothing = found.changes_nothing && followers.length + moved.length === 0;
    const object = { ...draft, weakens_activation, ...(changes_nothing && { changes_nothing }) };
    return {
      plan: toPlan(object, [...bases, ...basesOfSources(sources), report]),
      effects: [activation([{ ...bundle, stage, module: policy.module }, ...followers])],
      keep,
    };
  },
  // The last stage decides every environment, so a freeze of any holds it back.
  frozenBy: ({ scope, environment }, { object }) => {
    if (scope !== 'environment') return scope === 'all';
    const { environments } = objectSchema.parse(object);
    return environments === undefined || (environment !== null && environments.includes(environment));
  },
  environmentOf: () => null,
  flagsOf: () => [],
  namespacesOf: () => [EVERY_NAMESPACE],
  namedBy: async (db, { policy_hash, archive_digest }) => {
    if (policy_hash === undefined) return [];
    const bundle = await findBundle(db, { policy_hash, ...(archive_digest && { archive_digest }) });
    return [
      { operation: 'policy.read', places: bundle === null ? null : [], unknown: unknownBundle(policy_hash) },
    ];
  },
  sentence: ({ object }) => {
    const parsed = objectSchema.parse(object);
    const { stage, weakens_activation, changes_nothing } = parsed;
    const place = stage === undefined ? '' : ` in ${stage}`;
    const what = `${describe(parsed)}${place}${describeSources(parsed)}`;
    const weakens = weakens_activation ? '; the next activation then needs fewer approvals' : '';
    return `${what}${weakens}${changes_nothing === true ? '; no recorded decision and no access changes' : ''}`;
  },
};

function toPlan(object: Omit<PolicyObject, 'type'>, bases: Base[]): Plan {
  return { version: PLAN_VERSION, changes: [], object: { ...object, type: 'policy' }, bases };
}

/** The member of a content that says what becomes active. */
function pointerOf({ patch }: Content): string {
  return patch === undefined ? '#/policy_hash' : '#/patch';
}

/**
 * Refuses a candidate under which nobody could make the next activation, and one that weakens it without saying so.
 *
 * @returns whether it weakens the next activation
 */
function judge({ nobody, approvals, approvals_now }: NextActivation, content: Content): boolean {
  if (nobody !== null) {
    throw fault('With this policy, nobody could activate another one.', {
      pointer: pointerOf(content),
      detail: describeNobody(nobody),
    });
  }
  // Where the active policy lets nobody, a policy that lets somebody asks for less.
  const weakens = approvals_now === null || approvals < approvals_now;
  if (weakens && !content.weakens_activation) {
    const instead = approvals_now ?? 'approvals that nobody known could give';
    throw fault('With this policy, the next activation needs fewer approvals.', {
      pointer: '#/weakens_activation',
      detail: `${approvals} in place of ${instead}: set it to true to propose this, for everybody to see`,
    });
  }
  return weakens;
}

function describeNobody({ why, opens_ms }: NonNullable<NextActivation['nobody']>): string {
  if (why === 'closed') {
    const opens = opens_ms === null ? '' : `, and opens at ${new Date(opens_ms).toISOString()}`;
    return `It could be approved, but a window or a blackout keeps it closed for 14 days${opens}. Shorten that.`;
  }
  const missing =
    why === 'nobody_proposes'
      ? 'may propose the next activation'
      : 'may propose the next activation and have it approved';
  return `Among the persons who have signed in here and are not revoked, nobody ${missing}. Let them sign in once, or correct the bindings and rules.`;
}

function activation(bundles: readonly [StageBundle, ...StageBundle[]]): Effect {
  return {
    carryOut: async (writing, origin) => {
      const [first, ...rest] = bundles;
      const activated = await activateBundle(writing, first, origin);
      const followers: ActivatedPolicy[] = [];
      for (const follower of rest) followers.push(await activateBundle(writing, follower, origin));
      return { activates: withFollowers(activated, followers) };
    },
  };
}

function describe({ id, revision, patch, promotes }: PolicyObject): string {
  const label = revision === null || revision === '' ? '' : ` (${revision})`;
  const rows = patch === null ? null : describePatch(patch);
  if (promotes === undefined)
    return rows === null ? `activate policy ${id}${label}` : `change the policy: ${rows}`;
  const { activation, stage, decisions } = promotes;
  return `promote activation ${activation} of ${stage} (${decisions} decisions)${rows === null ? '' : `, and ${rows}`}`;
}

function describePatch(patch: readonly unknown[]): string {
  const operations = (patch as DataPatch).filter(({ op }) => op !== 'test');
  return operations.map(({ op, path }) => `${op} ${path}`).join(', ');
}
