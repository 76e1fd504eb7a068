import { idFaults, type Platform, UUID } from './platform.ts';

/**
 * Buildkite. All organizations share one issuer, and slugs can be renamed, so rules pin organization and pipeline by
 * id. The job must request both claims: `buildkite-agent oidc request-token --claim organization_id,pipeline_id`.
 *
 * @see buildkite.com, "OIDC with Buildkite"
 */
export const buildkite: Platform = {
  name: 'buildkite',
  // Its tokens name no repository; a pipeline builds one.
  sourceClaims: {
    repository: 'pipeline_slug',
    repository_id: 'pipeline_id',
    commit: 'build_commit',
    ref: 'build_branch',
    run: 'build_number',
  },
  isIssuer: (issuer) => new URL(issuer).hostname === 'agent.buildkite.com',
  ownClaims:
    /^(?:organization_(?:slug|id)|pipeline_slug|build_(?:number|branch|tag|commit|source)|step_key)$/,
  faults: (rule) => [
    ...idFaults(rule, 'organization_id', { form: UUID, hint: 'the UUID of the organization' }),
    ...idFaults(rule, 'pipeline_id', { form: UUID, hint: 'the UUID of the pipeline' }),
  ],
  misses: () => [],
};
