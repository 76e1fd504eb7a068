import { isGlob } from '../glob.ts';
import { isPinned, type TrustRule, wantedOf } from '../rules.ts';
import { globFaults, idFaults, missUnless, NUMBER, type Platform } from './platform.ts';

/** Events that only users with write access can trigger. The code that runs is the repository's own. */
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
 * GitHub Actions. Names can be registered again, so rules pin ids. The format of `sub` differs by repository and age
 * (subjects of repositories created after 15 July 2026 contain ids), so it is not compared. A run for a pull request
 * can have the `ref` of the base branch (`pull_request_target`), so a rule must always name such events.
 *
 * @see docs.github.com, "OpenID Connect reference"
 */
export const github: Platform = {
  name: 'github',
  hasTokenId: true,
  personClaim: 'actor_id',
  attemptClaim: 'run_attempt',
  sourceClaims: {
    repository: 'repository',
    repository_id: 'repository_id',
    commit: 'sha',
    ref: 'ref',
    run: 'run_id',
  },
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
    ...idFaults(rule, 'repository_id', { form: NUMBER, hint: 'the numeric id of the repository' }),
    ...idFaults(rule, 'repository_owner_id', { form: NUMBER, hint: 'the numeric id of its owner' }),
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
  return globFaults(rule, 'event_name', 'pull_request and pull_request_target run untrusted code');
}

function refFaults(wanted: readonly string[]): string[] {
  const isWide = wanted.some((pattern) => isGlob(pattern) && !/^refs\/(?:heads|tags)\//.test(pattern));
  return isWide
    ? ['claims.ref with * must begin with refs/heads/ or refs/tags/: anybody can open refs/pull/']
    : [];
}

function workflowFaults(claim: string, wanted: readonly string[]): string[] {
  const faults: string[] = [];
  if (wanted.some((pattern) => pattern.split('/').slice(0, 2).some(isGlob))) {
    faults.push(
      `claims.${claim} must not contain * in owner and repository: name the repository of the workflow`,
    );
  }
  if (wanted.some(takesOtherBranches)) {
    faults.push(
      `claims.${claim} must end in an exact branch, such as @refs/heads/main: any other branch could change the workflow`,
    );
  }
  return faults;
}

/**
 * Whether a pattern of `owner/repository/file@ref` takes more than one branch. Names of files and of branches may contain
 * `@`, so the reference is after the last one. What is between can only be part of a file name if it has no slash.
 */
function takesOtherBranches(pattern: string): boolean {
  const [, ...between] = pattern.split('@');
  const ref = between.pop();
  if (ref === undefined || between.some((part) => isGlob(part) && part.includes('/'))) return true;
  return isGlob(ref) && !ref.startsWith('refs/tags/');
}
