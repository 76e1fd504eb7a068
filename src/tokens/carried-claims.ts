import { TokenRefused } from '../identity/refusal.ts';
import type { Principal } from '../principal.ts';
import { scalarClaim, type TrustRule } from '../trust/rules.ts';

/** The maximum size of carried claims in a token, in bytes of JSON, to keep the token within its limit. */
const MAX_CARRIED_BYTES = 4096;

/**
 * Claims that identify the job: they link a record to the platform's own log. GitHub, GitLab, Buildkite, Kubernetes.
 */
const CORRELATION_CLAIMS = [
  'repository',
  'repository_id',
  'repository_owner_id',
  'ref',
  'sha',
  'event_name',
  'environment',
  'actor',
  'actor_id',
  'run_id',
  'run_attempt',
  'workflow_ref',
  'job_workflow_ref',
  'runner_environment',
  'project_id',
  'job_project_id',
  'project_path',
  'pipeline_id',
  'pipeline_source',
  'job_id',
  'user_id',
  'user_login',
  'ref_protected',
  'organization_id',
  'organization_slug',
  'pipeline_slug',
  'build_number',
  'build_branch',
  'build_commit',
  '/kubernetes.io/namespace',
  '/kubernetes.io/serviceaccount/name',
  '/kubernetes.io/serviceaccount/uid',
  '/kubernetes.io/pod/name',
  '/kubernetes.io/pod/uid',
];

/**
 * The verified claims to copy into the issued token, as strings: those that the trust rule compares and those that
 * identify the job. `sub`, `aud` and `jti` are carried separately.
 *
 * @throws TokenRefused `claims_too_large`
 */
export function carriedClaims(
  rule: TrustRule,
  claims: Readonly<Record<string, unknown>>,
): Principal['claims'] {
  const names = new Set([...CORRELATION_CLAIMS, ...Object.keys(rule.claims)]);
  const carried: [string, string][] = [];
  for (const name of names) {
    const value = scalarClaim(claims, name);
    if (value !== undefined) carried.push([name, value]);
  }
  const result = Object.fromEntries(carried);
  if (Buffer.byteLength(JSON.stringify(result)) > MAX_CARRIED_BYTES)
    throw new TokenRefused('claims_too_large');
  return result;
}
