import type { Claims } from '../../identity/claim.ts';
import { scalarClaim, type TrustRule, wantedOf } from '../rules.ts';
import { globFaults, idFaults, type Miss, missUnless, NUMBER, type Platform } from './platform.ts';

/**
 * Pipeline sources that only members of the project can start. Merge request pipelines run the code of their authors.
 */
const INSIDE_SOURCES = ['push', 'web', 'schedule', 'api'];

/** Other claims with the project of a job, in GitLab versions that have them. */
const OTHER_PROJECT_CLAIMS = ['job_project_id', 'source_project_id'];

/**
 * GitLab CI/CD. In a merge request's pipeline that runs in the parent project for a fork, `project_id` names the fork
 * (since 18.2.2) and `job_project_id` the parent (since 18.3), so a job is accepted only if all of them agree.
 *
 * @see docs.gitlab.com, "OpenID Connect (OIDC) Authentication Using ID Tokens"
 */
export const gitlab: Platform = {
  name: 'gitlab',
  hasTokenId: true,
  personClaim: 'user_id',
  sourceClaims: {
    repository: 'project_path',
    repository_id: 'project_id',
    commit: 'sha',
    ref: 'ref',
    run: 'pipeline_id',
  },
  isIssuer: (issuer) => new URL(issuer).hostname === 'gitlab.com',
  ownClaims:
    /^(?:(?:job_|source_)?(?:project|namespace)_(?:id|path)|pipeline_source|ref_path|user_login|user_access_level|deployment_tier|environment_(?:protected|action)|ci_config_.+)$/,
  faults: (rule) => [
    ...idFaults(rule, 'project_id', { form: NUMBER, hint: 'the numeric id of the project' }),
    ...protectedFaults(rule),
    ...globFaults(rule, 'pipeline_source', 'merge_request_event runs untrusted code'),
  ],
  misses: (rule, claims) => [...sourceMisses(rule, claims), ...projectMisses(claims)],
};

function protectedFaults(rule: TrustRule): string[] {
  const isTrue = (claim: string): boolean => wantedOf(rule, claim).join() === 'true';
  const faults: string[] = [];
  if (!isTrue('ref_protected')) {
    faults.push(
      'claims.ref_protected must be "true": anybody with push access can use an unprotected branch or tag',
    );
  }
  if (wantedOf(rule, 'environment').length > 0 && !isTrue('environment_protected')) {
    faults.push(
      'claims.environment_protected must be "true" together with environment: any job can use an unprotected environment',
    );
  }
  return faults;
}

function sourceMisses(rule: TrustRule, claims: Claims): Miss[] {
  return wantedOf(rule, 'pipeline_source').length > 0
    ? []
    : missUnless(claims, 'pipeline_source', INSIDE_SOURCES);
}

function projectMisses(claims: Claims): Miss[] {
  const project = scalarClaim(claims, 'project_id');
  return OTHER_PROJECT_CLAIMS.filter((claim) => Object.hasOwn(claims, claim)).flatMap((claim) =>
    missUnless(claims, claim, project === undefined ? [] : [project]),
  );
}
