import { idFaults, type Platform, UUID } from './platform.ts';

/**
 * Buildkite. All organizations share one issuer, and slugs can be renamed, so rules pin organization and pipeline by
 * id. The job must request both claims: `buildkite-agent oidc request-token --claim organization_id,pipeline_id`.
 *
 * @see buildkite.com, "OIDC with Buildkite"
 */
export const buildkite: Platform = {
  name: 'buildkite',
  isIssuer: (issuer) => new URL(issuer).hostname === 'agent.buildkite.com',
  ownClaims:
    /^(?:organization_(?:slug|id)|pipeline_slug|build_(?:number|branch|tag|commit|source)|step_key)$/,
  faults: (rule) => [
    ...idFaults(rule, 'organization_id', { form: UUID, hint: 'the UUID of the organization' }),
    ...idFaults(rule, 'pipeline_id', { form: UUID, hint: 'the UUID of the pipeline' }),
  ],
  misses: () => [],
};
