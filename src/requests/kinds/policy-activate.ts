import { z } from 'zod';
import { EVERY_NAMESPACE, type RequestKind } from '../../decide/control.ts';

import { BrokerError } from '../../errors.ts';
import { DIGEST_PATTERN } from '../../json.ts';
import { policyActivated } from '../../policy/activate.ts';
import { identifier } from '../../principal.ts';
import { findActivation, findBundle } from '../../store/policies.ts';
import { type ContentOf, commonShape } from '../content.ts';

const hash = z.string().regex(DIGEST_PATTERN, 'a policy hash, such as sha256:…');

const contentSchema = z
  .strictObject({
    kind: z.literal('policy.activate'),
    policy_hash: hash.meta({ description: 'The policy to activate; upload its bundle first.' }),
    archive_digest: hash
      .optional()
      .meta({ description: 'The exact archive; default: the one that was stored first.' }),
    ...commonShape,
  })
  .meta({ id: 'PolicyActivationProposal' });

const objectSchema = z.strictObject({
  type: z.literal('policy'),
  /** The policy hash. */
  id: identifier,
  archive_digest: identifier,
  revision: z.string(),
  /** The policy that is replaced. */
  replaces: identifier,
});

/** Makes a stored bundle the active policy. The policy that is active decides. */
export const policyActivate: RequestKind<ContentOf<typeof contentSchema>> = {
  name: 'policy.activate',
  contentSchema,
  editable: {},
  objectSchema,
  planVersion: 1,
  conflict: 'Another policy was activated since the request was proposed.',
  plan: async (db, { policy_hash, archive_digest }) => {
    const bundle = await findBundle(db, { policy_hash, ...(archive_digest && { archive_digest }) });
    if (bundle === null) throw notStored();
    const active = await findActivation(db);
    if (active === null) throw new Error('no policy is active');
    if (active.policy_hash === bundle.policy_hash && active.archive_digest === bundle.archive_digest) {
      throw fault('This policy is active already.', 'GET /v1/policy/activations lists them');
    }
    const key = { policy_hash: bundle.policy_hash, archive_digest: bundle.archive_digest };
    return {
      plan: {
        version: 1,
        changes: [],
        object: {
          type: 'policy',
          id: key.policy_hash,
          archive_digest: key.archive_digest,
          revision: bundle.revision,
          replaces: active.policy_hash,
        },
        bases: [
          { of: 'policy:active', version: active.number },
          // The exact bytes, which hold signatures and cases too.
          { of: `bundle:${key.archive_digest}`, version: 1 },
        ],
      },
      effects: [policyActivated(key)],
    };
  },
  // It decides every environment, so a freeze of one holds it back.
  frozenBy: ({ scope }) => scope === 'all' || scope === 'environment',
  environmentOf: () => null,
  flagsOf: () => [],
  namespacesOf: () => [EVERY_NAMESPACE],
  namedBy: async (db, { policy_hash, archive_digest }) => {
    const bundle = await findBundle(db, { policy_hash, ...(archive_digest && { archive_digest }) });
    return [{ operation: 'policy.read', places: bundle === null ? null : [], missing: notStored }];
  },
  sentence: ({ object }) => {
    const { id, revision } = objectSchema.parse(object);
    return `activate policy ${id}${revision === '' ? '' : ` (${revision})`}`;
  },
};

function notStored(): BrokerError {
  return new BrokerError(
    'not_found',
    'No stored bundle that you may read has this policy hash. Upload it first.',
  );
}

function fault(message: string, detail: string): BrokerError {
  return new BrokerError('invalid_change', message, { errors: [{ pointer: '#/policy_hash', detail }] });
}
