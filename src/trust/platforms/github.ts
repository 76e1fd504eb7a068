import { isGlob } from '../glob.ts';
import { isPinned, type TrustRule, wantedOf } from '../rules.ts';
import { globFaults, idFaults, missUnless, NUMBER, type Platform } from './platform.ts';

/** Events that only somebody with write access starts. The code that runs is the repository's own. */
const INSIDE_EVENTS = [
  'push',
  'workflow_dispatch',
  'repository_dispatch',
  'schedule',
  'release',
  'deployment',
  'deployment_status',
];

/** Claims of the form `owner/repository/…@ref`. */
const WORKFLOW_CLAIMS = ['job_workflow_ref', 'workflow_ref'];

/**
 * GitHub Actions. Names can be registered again, so ids are pinned; `sub` differs by repository and by age (subjects of
 * repositories made after 15 July 2026 have ids in them), so it decides nothing. A run for a pull request can have the
 * `ref` of the base branch (`pull_request_target`), so its event always has to be named.
 *
 * @see docs.github.com, "OpenID Connect reference"
 */
export const github: Platform = {
  name: 'github',
  personClaim: 'actor_id',
  isIssuer: (issuer) => {
    const { hostname, pathname } = new URL(issuer);
    return (
      hostname === 'token.actions.githubusercontent.com' ||
      (hostname.startsWith('token.actions.') && hostname.endsWith('.ghe.com')) ||
      pathname === '/_services/token'
    );
  },
  ownClaims: /^(?:repository(?:_.+)?|job_workflow_.+|workflow(?:_.+)?|event_name)$/,
  faults: (rule) => [
    ...idFaults(rule, 'repository_id', { form: NUMBER, hint: 'the number of the repository' }),
    ...idFaults(rule, 'repository_owner_id', { form: NUMBER, hint: 'the number of its owner' }),
    ...eventFaults(rule),
    ...refFaults(wantedOf(rule, 'ref')),
    ...WORKFLOW_CLAIMS.flatMap((claim) => workflowFaults(claim, wantedOf(rule, claim))),
  ],
  misses: (rule, claims) =>
    wantedOf(rule, 'event_name').length > 0 ? [] : missUnless(claims, 'event_name', INSIDE_EVENTS),
};

function eventFaults(rule: TrustRule): string[] {
  const isListed = wantedOf(rule, 'event_name').length > 0;
  if (!isListed && !isPinned(rule, 'ref') && !isPinned(rule, 'environment')) {
    return ['claims.event_name is missing: list the events, such as [push], or pin ref or environment'];
  }
  return globFaults(rule, 'event_name', 'pull_request and pull_request_target run code of outsiders');
}

function refFaults(wanted: readonly string[]): string[] {
  const isWide = wanted.some((pattern) => isGlob(pattern) && !/^refs\/(?:heads|tags)\//.test(pattern));
  return isWide
    ? ['claims.ref with * must begin with refs/heads/ or refs/tags/: others can open refs/pull/']
    : [];
}

function workflowFaults(claim: string, wanted: readonly string[]): string[] {
  const faults: string[] = [];
  if (wanted.some((pattern) => pattern.split('/').slice(0, 2).some(isGlob))) {
    faults.push(`claims.${claim} must not have * in owner and repository: write whose workflow it is`);
  }
  if (wanted.some((pattern) => isGlob(pattern.split('@')[1] ?? '*') && !pattern.includes('@refs/tags/'))) {
    faults.push(`claims.${claim} must end in one branch, such as @refs/heads/main: any branch can change it`);
  }
  return faults;
}
