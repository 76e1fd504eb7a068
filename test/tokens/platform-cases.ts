import { BUILDKITE_IDS, buildkiteJob } from '../../fixtures/identity/platforms/buildkite.ts';
import type { ClaimBuilder, ClaimOverrides } from '../../fixtures/identity/platforms/claims.ts';
import { githubJob, namedSubject } from '../../fixtures/identity/platforms/github.ts';
import { FORK_MERGE_REQUEST, gitlabJob } from '../../fixtures/identity/platforms/gitlab.ts';
import {
  boundTo,
  projectedToken,
  SERVICE_ACCOUNT_UID,
} from '../../fixtures/identity/platforms/kubernetes.ts';
import { jwtSvid } from '../../fixtures/identity/platforms/spiffe.ts';
import { terraformRun } from '../../fixtures/identity/platforms/terraform.ts';
import type { PlatformName } from '../../src/trust/rules.ts';

/** What a rule of one platform pins, a job that fulfils it, and jobs that must not. */
export interface PlatformCase {
  build: ClaimBuilder;
  /** `claims` and `person` of the rule. */
  rule: { claims: Record<string, string | string[]>; person?: { claim: string; prefix: string } };
  /** What the job counts as. */
  person: string | null;
  /** Claims of the job that the issued token carries. */
  carries: Record<string, string>;
  /** Jobs that are the rule's too, whatever looks different about them. */
  same: [name: string, claims: ClaimOverrides][];
  /** Jobs that are refused, and the claim that speaks against them. */
  others: [name: string, claims: ClaimOverrides, claim: string][];
}

const RENAMED = { repository: 'acme/payments', repository_id: '999999' };
const FORK_BEFORE_18_3 = Object.fromEntries(
  ['job_project_id', 'job_project_path', 'job_namespace_id', 'job_namespace_path'].map((claim) => [
    claim,
    undefined,
  ]),
);
const WORKFLOW = 'acme/payments/.github/workflows/deploy.yml@refs/heads/main';

/** The pitfalls of each platform. What its issuer and its keys do is tested beside them. */
export const PLATFORM_CASES: Readonly<Record<PlatformName, PlatformCase>> = {
  github: {
    build: githubJob,
    rule: {
      claims: {
        repository_id: '456789',
        repository_owner_id: '123456',
        ref: 'refs/heads/main',
        job_workflow_ref: WORKFLOW,
        runner_environment: 'github-hosted',
        run_attempt: '1',
      },
      person: { claim: 'actor_id', prefix: 'github:' },
    },
    person: 'github:5001',
    carries: { repository_id: '456789', run_id: '987654321', job_workflow_ref: WORKFLOW },
    same: [
      ['with a subject of names', { sub: namedSubject('acme/payments', 'refs/heads/main') }],
      [
        'with a subject that its organization customised',
        { sub: 'repository_owner_id:123456:workflow:deploy' },
      ],
      ['of the repository under a new name', { repository: 'acme/billing', job_workflow_ref: WORKFLOW }],
      ['started by hand', { event_name: 'workflow_dispatch' }],
    ],
    others: [
      ['of another repository under the old name', RENAMED, 'repository_id'],
      [
        'of another repository with the subject of the old one',
        { ...RENAMED, sub: namedSubject('acme/payments', 'refs/heads/main') },
        'repository_id',
      ],
      ['of the repository at another owner', { repository_owner_id: '666' }, 'repository_owner_id'],
      ['of a pull request', { event_name: 'pull_request', ref: 'refs/pull/7/merge' }, 'ref'],
      ['of a pull request that claims the branch', { event_name: 'pull_request' }, 'event_name'],
      ['of pull_request_target on the base branch', { event_name: 'pull_request_target' }, 'event_name'],
      ['of a comment on an issue', { event_name: 'issue_comment' }, 'event_name'],
      ['of a run after that of a fork', { event_name: 'workflow_run' }, 'event_name'],
      ['of no event', { event_name: undefined }, 'event_name'],
      ['of another branch', { ref: 'refs/heads/x', job_workflow_ref: WORKFLOW }, 'ref'],
      ['of a tag with the name of the branch', { ref: 'refs/tags/main', job_workflow_ref: WORKFLOW }, 'ref'],
      [
        'of another workflow file',
        { job_workflow_ref: 'acme/payments/.github/workflows/test.yml@refs/heads/main' },
        'job_workflow_ref',
      ],
      [
        'of the workflow file as another branch has it',
        { job_workflow_ref: 'acme/payments/.github/workflows/deploy.yml@refs/heads/x' },
        'job_workflow_ref',
      ],
      ['on a runner of somebody', { runner_environment: 'self-hosted' }, 'runner_environment'],
      ['of nobody in particular', { actor_id: undefined }, 'actor_id'],
      ['without the id that GitHub gives each token', { jti: undefined }, 'jti'],
      ['for GitHub’s own audience', { aud: 'https://github.com/acme' }, 'aud'],
      ['for another reader too', { aud: ['countersign', 'https://evil.example'] }, 'aud'],
    ],
  },
  gitlab: {
    build: gitlabJob,
    rule: {
      claims: {
        project_id: '22',
        ref: 'main',
        ref_protected: 'true',
        environment: 'production',
        environment_protected: 'true',
      },
      person: { claim: 'user_id', prefix: 'gitlab:' },
    },
    person: 'gitlab:42',
    carries: { project_id: '22', job_project_id: '22', pipeline_id: '574', ref_protected: 'true' },
    same: [
      ['of a GitLab before 18.3', FORK_BEFORE_18_3],
      ['of the project under a new path', { project_path: 'acme/billing', job_project_path: 'acme/billing' }],
      ['of a schedule', { pipeline_source: 'schedule' }],
      ['with a subject that its group customised', { sub: 'project_id:22' }],
    ],
    others: [
      ['of a merge request from a fork', FORK_MERGE_REQUEST, 'project_id'],
      ['of one before 18.3', { ...FORK_MERGE_REQUEST, ...FORK_BEFORE_18_3 }, 'project_id'],
      [
        'of one before 18.2.2, which has the id of the parent',
        { pipeline_source: 'merge_request_event', ...FORK_BEFORE_18_3 },
        'pipeline_source',
      ],
      ['of an external pull request', { pipeline_source: 'external_pull_request_event' }, 'pipeline_source'],
      ['of a pipeline of somebody’s trigger token', { pipeline_source: 'trigger' }, 'pipeline_source'],
      ['of no source', { pipeline_source: undefined }, 'pipeline_source'],
      ['that runs in another project', { job_project_id: '4711' }, 'job_project_id'],
      ['whose source is another project', { source_project_id: '4711' }, 'source_project_id'],
      ['whose project of the run is a list', { job_project_id: ['22'] }, 'job_project_id'],
      ['of another project under the old path', { project_id: '99', job_project_id: '99' }, 'project_id'],
      ['of a branch that is not protected', { ref_protected: 'false' }, 'ref_protected'],
      [
        'of an environment that is not protected',
        { environment_protected: 'false' },
        'environment_protected',
      ],
      ['without an environment', { environment: undefined }, 'environment'],
      ['of another branch', { ref: 'x' }, 'ref'],
      ['for the instance itself', { aud: 'https://gitlab.example' }, 'aud'],
      ['without the id that GitLab gives each token', { jti: undefined }, 'jti'],
    ],
  },
  kubernetes: {
    build: projectedToken,
    rule: {
      claims: {
        '/kubernetes.io/serviceaccount/uid': SERVICE_ACCOUNT_UID,
        '/kubernetes.io/namespace': 'payments',
      },
    },
    person: null,
    carries: {
      '/kubernetes.io/serviceaccount/uid': SERVICE_ACCOUNT_UID,
      '/kubernetes.io/pod/name': 'deploy-6b7f',
    },
    same: [
      ['with its one audience as a string', { aud: 'countersign' }],
      ['from an older cluster, without an id', { jti: undefined }],
    ],
    others: [
      [
        'of a service account that was made again',
        { 'kubernetes.io': boundTo({ uid: '7d0c2a36-1111-4222-8333-944445555666' }) },
        '/kubernetes.io/serviceaccount/uid',
      ],
      [
        'of another service account',
        {
          sub: 'system:serviceaccount:payments:default',
          'kubernetes.io': boundTo({ name: 'default', uid: '7d0c2a36-1111-4222-8333-944445555777' }),
        },
        '/kubernetes.io/serviceaccount/uid',
      ],
      [
        'with the claims of a token from a Secret beside its own',
        { 'kubernetes.io/serviceaccount/service-account.uid': SERVICE_ACCOUNT_UID },
        'kubernetes.io/serviceaccount/service-account.uid',
      ],
      [
        'whose uid is under a name with slashes',
        { 'kubernetes.io': undefined, '/kubernetes.io/serviceaccount/uid': SERVICE_ACCOUNT_UID },
        '/kubernetes.io/serviceaccount/uid',
      ],
      ['for the API server', { aud: ['https://kubernetes.default.svc.cluster.local'] }, 'aud'],
      [
        'for the API server too',
        { aud: ['countersign', 'https://kubernetes.default.svc.cluster.local'] },
        'aud',
      ],
    ],
  },
  spiffe: {
    build: jwtSvid,
    rule: {
      claims: { sub: ['spiffe://acme.example/ns/payments/sa/deploy', 'spiffe://acme.example/ci/*/deploy'] },
    },
    person: null,
    carries: {},
    same: [
      ['of a part that the rule leaves open', { sub: 'spiffe://acme.example/ci/runner-7/deploy' }],
      ['with an iss of whatever kind', { iss: 'https://spire.acme.example' }],
      ['with the iss of another trust domain', { iss: 'spiffe://evil.example' }],
      ['with an id', { jti: 'svid-1' }],
    ],
    others: [
      ['of another workload', { sub: 'spiffe://acme.example/ns/payments/sa/default' }, 'sub'],
      ['below the workload', { sub: 'spiffe://acme.example/ns/payments/sa/deploy/x' }, 'sub'],
      ['of two parts in the place of one', { sub: 'spiffe://acme.example/ci/a/b/deploy' }, 'sub'],
      ['for another reader too', { aud: ['countersign', 'other'] }, 'aud'],
    ],
  },
  buildkite: {
    build: buildkiteJob,
    rule: { claims: { ...BUILDKITE_IDS, build_branch: 'main' } },
    person: null,
    carries: { ...BUILDKITE_IDS, build_number: '7', job_id: '0184990a-477b-4fa8-9968-496074483cee' },
    same: [
      ['of a pipeline under a new slug', { pipeline_slug: 'billing' }],
      ['of a step without a key', { step_key: null }],
    ],
    others: [
      [
        'of another organization with the same slugs',
        { organization_id: '0184990a-477b-4fa8-9968-496074483666' },
        'organization_id',
      ],
      ['of another pipeline', { pipeline_id: '0184990a-477b-4fa8-9968-496074483666' }, 'pipeline_id'],
      [
        'that did not ask for the ids',
        { organization_id: undefined, pipeline_id: undefined },
        'organization_id',
      ],
      ['of another branch', { build_branch: 'mallory:main' }, 'build_branch'],
      ['for Buildkite’s own audience', { aud: 'https://buildkite.com/acme' }, 'aud'],
    ],
  },
  oidc: {
    build: terraformRun,
    rule: {
      claims: {
        terraform_organization_id: 'org-GRNbCjYNpBB6NEBH',
        terraform_workspace_id: 'ws-mbsd5E3Ktt5Rg2Xm',
        terraform_run_phase: 'apply',
      },
    },
    person: null,
    carries: { terraform_workspace_id: 'ws-mbsd5E3Ktt5Rg2Xm' },
    same: [['of a workspace under a new name', { terraform_workspace_name: 'billing' }]],
    others: [
      ['of another organization', { terraform_organization_id: 'org-666' }, 'terraform_organization_id'],
      [
        'of another workspace under the same name',
        { terraform_workspace_id: 'ws-666' },
        'terraform_workspace_id',
      ],
      ['that only plans', { terraform_run_phase: 'plan' }, 'terraform_run_phase'],
    ],
  },
};
