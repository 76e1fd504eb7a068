import { z } from 'zod';
import { builtFrom } from '../../activation/build.ts';
import { nextActivations } from '../../activation/next-activation.ts';
import { type DataPatch, patchSchema } from '../../activation/patch.ts';
import { type Effect, EVERY_NAMESPACE, type RequestKind } from '../../decide/control.ts';
import type { Base, PlanContext } from '../../decide/plan.ts';
import { BrokerError } from '../../errors.ts';
import { DIGEST_PATTERN, digestOf } from '../../json.ts';
import { activateBundle } from '../../policy/activate.ts';
import type { StoredBundle } from '../../policy/active.ts';
import { BundleError } from '../../policy/bundle.ts';
import type { Policy } from '../../policy/policies.ts';
import { identifier, type Principal } from '../../principal.ts';
import { findActivation, findBundle } from '../../store/policies.ts';
import { listPrincipals } from '../../store/principals.ts';
import type { PolicyActivationsTable, PolicyBundlesTable } from '../../store/schema.ts';
import type { Db } from '../../store/statement.ts';
import { type ContentOf, commonShape } from '../content.ts';

const hash = z.string().regex(DIGEST_PATTERN, 'a policy hash, such as sha256:…');

const contentSchema = z
  .strictObject({
    kind: z.literal('policy.activate'),
    policy_hash: hash
      .optional()
      .meta({ description: 'The policy to activate; upload its bundle first. Either this or `patch`.' }),
    archive_digest: hash
      .optional()
      .meta({ description: 'The exact archive; default: the one that was stored first.' }),
    patch: patchSchema
      .optional()
      .meta({ description: 'A change of the active data; the broker builds the bundle.' }),
    weakens_activation: z
      .boolean()
      .default(false)
      .meta({ description: 'Required if the next activation would need fewer approvals.' }),
    ...commonShape,
  })
  .refine(({ policy_hash, patch }) => (policy_hash === undefined) !== (patch === undefined), {
    message: 'either policy_hash or patch',
    path: ['policy_hash'],
  })
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
});
type PolicyObject = z.infer<typeof objectSchema>;

/** What would become active, without the judgement of it. */
interface Candidate {
  bundle: StoredBundle & Pick<PolicyBundlesTable, 'revision'>;
  object: Omit<PolicyObject, 'weakens_activation'>;
  bases: Base[];
}

type Active = PolicyActivationsTable;

/** Makes a stored bundle, or the active one with changed data, the active policy. The policy that is active decides. */
export const policyActivate: RequestKind<Content> = {
  name: 'policy.activate',
  contentSchema,
  editable: {},
  objectSchema,
  planVersion: 1,
  conflict: 'The active policy has changed since the request was proposed, in what the request is based on.',
  plan: async (db, content, context) => {
    const active = await findActivation(db);
    if (active === null) throw new Error('no policy is active');
    if (context.onlyJudged === true) return unjudged(content, active);
    const { bundle, object, bases } = await candidateOf(db, content, active);
    const weakens_activation = await judge(db, { bundle, object, content, context });
    return {
      plan: { version: 1, changes: [], object: { ...object, weakens_activation }, bases },
      effects: [activation(bundle)],
    };
  },
  // It decides every environment, so a freeze of one holds it back.
  frozenBy: ({ scope }) => scope === 'all' || scope === 'environment',
  environmentOf: () => null,
  flagsOf: () => [],
  namespacesOf: () => [EVERY_NAMESPACE],
  namedBy: async (db, { policy_hash, archive_digest }) => {
    if (policy_hash === undefined) return [];
    const bundle = await findBundle(db, { policy_hash, ...(archive_digest && { archive_digest }) });
    return [{ operation: 'policy.read', places: bundle === null ? null : [], missing: notStored }];
  },
  sentence: ({ object }) => {
    const { id, revision, patch, weakens_activation } = objectSchema.parse(object);
    const label = revision === null || revision === '' ? '' : ` (${revision})`;
    const what =
      patch === null ? `activate policy ${id}${label}` : `change the policy: ${describePatch(patch)}`;
    return weakens_activation ? `${what}; the next activation then needs fewer approvals` : what;
  },
};

/** A plan for a caller who may not propose at all: nothing is built or compiled for them. */
function unjudged({ policy_hash, patch }: Content, active: Active) {
  const object: PolicyObject = {
    type: 'policy',
    id: policy_hash ?? digestOf(patch),
    archive_digest: null,
    revision: null,
    replaces: active.policy_hash,
    patch: patch ?? null,
    weakens_activation: false,
  };
  return { plan: { version: 1, changes: [], object, bases: [] }, effects: [] };
}

function candidateOf(db: Db, content: Content, active: Active): Promise<Candidate> {
  const { patch, policy_hash = '', archive_digest } = content;
  return patch === undefined
    ? storedCandidate(db, { policy_hash, ...(archive_digest && { archive_digest }) }, active)
    : patchedCandidate(db, patch, active);
}

async function storedCandidate(
  db: Db,
  key: { policy_hash: string; archive_digest?: string },
  active: Active,
): Promise<Candidate> {
  const bundle = await findBundle(db, key);
  if (bundle === null) throw notStored();
  const { policy_hash, archive_digest, revision } = bundle;
  if (active.policy_hash === policy_hash && active.archive_digest === archive_digest) {
    throw fault('This policy is active already.', {
      pointer: '#/policy_hash',
      detail: 'GET /v1/policy/activations lists them',
    });
  }
  const replaces = active.policy_hash;
  return {
    bundle,
    object: { type: 'policy', id: policy_hash, archive_digest, revision, replaces, patch: null },
    bases: [
      { of: 'policy:active', version: active.number },
      // The exact bytes, which hold signatures and cases too.
      { of: `bundle:${archive_digest}`, version: 1 },
    ],
  };
}

/** Based on the module and on the touched rows only, so that changes of other rows do not conflict. */
async function patchedCandidate(db: Db, patch: DataPatch, active: Active): Promise<Candidate> {
  const source = await findBundle(db, active);
  if (source === null) throw new Error('the active bundle is not stored');
  const { bundle, module, bases } = builtFrom(source, patch);
  const { hash: policy_hash, archive_digest, archive, revision } = bundle;
  return {
    bundle: { policy_hash, archive_digest, archive, revision },
    object: {
      type: 'policy',
      id: digestOf(patch),
      archive_digest: null,
      revision: null,
      replaces: null,
      patch,
    },
    bases: [{ of: `module:${module}`, version: 1 }, ...bases],
  };
}

/**
 * Refuses a candidate under which nobody could make the next activation, and one that weakens it without saying so.
 *
 * @returns whether it weakens the next activation
 */
async function judge(
  db: Db,
  { bundle, object, content, context }: Omit<Candidate, 'bases'> & { content: Content; context: PlanContext },
): Promise<boolean> {
  const { policies, policy, now_ms, revocations } = context;
  const candidate = readyOf(policies, bundle, content);
  const persons = await activePersons(db, revocations);
  const about = { object: { ...object, weakens_activation: false }, now_ms };
  const [next = null, now = null] = nextActivations([candidate, policy], persons, about);
  if (next === null) {
    throw fault('With this policy, nobody could activate another one.', {
      pointer: content.patch === undefined ? '#/policy_hash' : '#/patch',
      detail:
        'Among the persons who have signed in here and are not revoked, nobody may propose the next activation and have it approved within 14 days. Let them sign in once, or correct the bindings and rules.',
    });
  }
  // Where the active policy lets nobody, a policy that lets somebody asks for less.
  const weakens = now === null || next.approvals < now.approvals;
  if (weakens && !content.weakens_activation) {
    const instead = now === null ? 'approvals that nobody known could give' : now.approvals;
    throw fault('With this policy, the next activation needs fewer approvals.', {
      pointer: '#/weakens_activation',
      detail: `${next.approvals} in place of ${instead}: set it to true to propose this, for everybody to see`,
    });
  }
  return weakens;
}

/** Persons as last seen, without those who can do nothing until a revocation is lifted. */
async function activePersons(db: Db, { isBlocked }: PlanContext['revocations']): Promise<Principal[]> {
  const persons: Principal[] = [];
  for (const { kind, principal } of await listPrincipals(db)) {
    if (kind !== 'person') continue;
    const person = JSON.parse(principal) as Principal;
    if (!(await isBlocked(db, person))) persons.push(person);
  }
  return persons;
}

/** The compiled candidate. @throws BrokerError `invalid_change` if it may not become active */
function readyOf(policies: PlanContext['policies'], bundle: StoredBundle, { patch }: Content): Policy {
  try {
    return policies.ready(bundle);
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    throw fault('This policy cannot become active.', {
      pointer: patch === undefined ? '#/policy_hash' : '#/patch',
      detail: error.message,
    });
  }
}

function activation(bundle: Candidate['bundle']): Effect {
  return {
    carryOut: async (writing, origin) => ({ activates: await activateBundle(writing, bundle, origin) }),
  };
}

function describePatch(patch: readonly unknown[]): string {
  const operations = (patch as DataPatch).filter(({ op }) => op !== 'test');
  return operations.map(({ op, path }) => `${op} ${path}`).join(', ');
}

function notStored(): BrokerError {
  return new BrokerError(
    'not_found',
    'No stored bundle that you may read has this policy hash. Upload it first.',
  );
}

function fault(message: string, error: { pointer: string; detail: string }): BrokerError {
  return new BrokerError('invalid_change', message, { errors: [error] });
}
