import { describe, expect, it } from 'vitest';
import { SERVICE_ACCOUNT_UID } from '../../fixtures/identity/platforms/kubernetes.ts';
import { lintTrustRules } from '../../src/trust/lint.ts';
import { platformOf } from '../../src/trust/platforms/platforms.ts';
import { type TrustRule, trustRuleSchema } from '../../src/trust/rules.ts';
import { GRANT, type Name, ruleOf, SOUND, UID } from './sound-rules.ts';

function faultsOf(rule: TrustRule): string[] {
  return lintTrustRules({ rule }).map(({ detail }) => detail);
}

describe('a sound rule', () => {
  it.each(Object.keys(SOUND) as Name[])('for %s has no fault, and is known to be for it', (name) => {
    expect(faultsOf(ruleOf(name))).toEqual([]);
    expect(platformOf(ruleOf(name)).name).toBe(name);
  });

  it.each<[string, TrustRule]>([
    ['lists several repositories', ruleOf('github', { repository_id: ['1', '2'] })],
    ['takes any branch, for some events', ruleOf('github', { ref: undefined, event_name: ['push'] })],
    ['takes any branch, in an environment', ruleOf('github', { ref: undefined, environment: 'production' })],
    ['takes release tags', ruleOf('github', { ref: 'refs/tags/v*', event_name: 'push' })],
    [
      'takes any workflow file of its repository on main',
      ruleOf('github', { job_workflow_ref: 'acme/payments/.github/workflows/*.yml@refs/heads/main' }),
    ],
    ...[
      'deploy@v1.yml@refs/heads/main',
      'deploy@v*.yml@refs/heads/main',
      'd@1.yml@refs/tags/v*',
      'd.yml@refs/heads/a@b',
    ].map((file): [string, TrustRule] => [
      `takes the workflow ${file}`,
      ruleOf('github', { job_workflow_ref: `acme/payments/.github/workflows/${file}` }),
    ]),
    ['names pull requests on purpose', ruleOf('github', { event_name: ['pull_request'] })],
    [
      'only reads, whoever started it',
      ruleOf('github', {}, { person: undefined, grant: { ...GRANT, operations: ['flag.read'] } }),
    ],
    [
      'takes any attempt, and names who started it again',
      ruleOf(
        'github',
        { run_attempt: undefined },
        { rerun_by: { claim: 'triggering_actor_id', prefix: 'github:' } },
      ),
    ],
    [
      'only reads, in any attempt',
      ruleOf('github', { run_attempt: undefined }, { grant: { ...GRANT, operations: ['flag.read'] } }),
    ],
    ['is for an agent, and names who starts its job', ruleOf('github', {}, { kind: 'agent' })],
    ['takes an enterprise', ruleOf('github', {}, { issuer: `${SOUND.github.issuer}/acme` })],
    [
      'takes a protected environment',
      ruleOf('gitlab', { environment: 'prod', environment_protected: 'true' }),
    ],
    [
      'takes all service accounts of a namespace',
      ruleOf('spiffe', { sub: 'spiffe://acme.example/ns/payments/sa/*' }),
    ],
    ['is for a loopback issuer', ruleOf('gitlab', {}, { issuer: 'http://127.0.0.1:9402' })],
    [
      'pins the project of another issuer than GitLab, and says so',
      ruleOf('oidc', { project_id: 'prj_1' }, { issuer: 'https://oidc.example', platform: 'oidc' }),
    ],
    [
      'grants flags of an environment',
      ruleOf('github', {}, { grant: { ...GRANT, audiences: ['data:production'], operations: [] } }),
    ],
  ])('may be one that %s', (_name, rule) => {
    expect(faultsOf(rule)).toEqual([]);
  });
});

describe('a rule is told to be for', () => {
  it.each<[string, string, TrustRule]>([
    [
      'github',
      'a GitHub Enterprise Server',
      ruleOf('github', {}, { issuer: 'https://git.example/_services/token' }),
    ],
    [
      'github',
      'GitHub with data residency',
      ruleOf('github', {}, { issuer: 'https://token.actions.acme.ghe.com' }),
    ],
    ['gitlab', 'its own GitLab', ruleOf('gitlab', {}, { issuer: 'https://git.example' })],
    [
      'kubernetes',
      'a managed cluster',
      ruleOf('kubernetes', {}, { issuer: 'https://oidc.eks.example/id/1' }),
    ],
    ['buildkite', 'a stand-in of Buildkite', ruleOf('buildkite', {}, { issuer: 'http://127.0.0.1:9402' })],
    [
      'spiffe',
      'a trust domain with the name of a host',
      ruleOf('spiffe', {}, { issuer: 'spiffe://gitlab.com' }),
    ],
    ['oidc', 'an issuer of which nothing is known', ruleOf('oidc', {}, { issuer: 'https://oidc.example' })],
    ['gitlab', 'what it says', ruleOf('oidc', {}, { issuer: 'https://oidc.example', platform: 'gitlab' })],
  ])('%s by %s', (name, _how, rule) => {
    expect(platformOf(rule).name).toBe(name);
  });
});

describe('a faulty rule is reported with the way to fix it', () => {
  it.each<[string, TrustRule, RegExp]>([
    // Issuer.
    [
      'a wide issuer',
      ruleOf('gitlab', {}, { issuer: 'https://*.example' }),
      /^issuer must be an exact https URL/,
    ],
    [
      'an issuer that is no URL',
      ruleOf('gitlab', {}, { issuer: 'kubernetes/serviceaccount' }),
      /^issuer must be/,
    ],
    ['an issuer over plain http', ruleOf('gitlab', {}, { issuer: 'http://git.example' }), /^issuer must be/],
    ['an issuer with a space', ruleOf('gitlab', {}, { issuer: ' https://git.example' }), /^issuer must be/],
    [
      'an issuer with a password',
      ruleOf('gitlab', {}, { issuer: 'https://a:b@git.example' }),
      /^issuer must be/,
    ],
    [
      'a trust domain with a path',
      ruleOf('spiffe', {}, { issuer: 'spiffe://acme.example/ns' }),
      /^issuer must be/,
    ],
    [
      'a trust domain in capitals',
      ruleOf('spiffe', {}, { issuer: 'spiffe://ACME.example' }),
      /^issuer must be/,
    ],
    [
      "another platform than its issuer's",
      ruleOf('github', {}, { platform: 'oidc' }),
      /^platform must be github/,
    ],
    [
      'the platform spiffe and a URL',
      ruleOf('spiffe', {}, { issuer: 'https://spire.example', platform: 'spiffe' }),
      /^issuer must be spiffe:\/\//,
    ],
    // Audience.
    ['a wide audience', ruleOf('github', {}, { audience: '*' }), /^audience must be exact/],
    [
      "GitHub's default audience",
      ruleOf('github', {}, { audience: 'https://github.com/acme' }),
      /^audience must belong to this broker/,
    ],
    [
      "Buildkite's default audience",
      ruleOf('buildkite', {}, { audience: 'https://buildkite.com/acme' }),
      /^audience/,
    ],
    [
      'the audience of the Kubernetes API',
      ruleOf('kubernetes', {}, { audience: 'https://kubernetes.default.svc.cluster.local' }),
      /^audience/,
    ],
    ['the audience of AWS', ruleOf('github', {}, { audience: 'sts.amazonaws.com' }), /^audience/],
    ['nobody behind a job that writes', ruleOf('github', {}, { person: undefined }), /^person.*actor_id/],
    [
      'nobody behind the job of an agent that writes',
      ruleOf('github', {}, { kind: 'agent', person: undefined }),
      /^person.*actor_id/,
    ],
    [
      'nobody behind the pipeline of an agent that writes',
      ruleOf('gitlab', {}, { kind: 'agent', person: undefined }),
      /^person.*user_id/,
    ],
    [
      'any attempt of a job that writes',
      ruleOf('github', { run_attempt: undefined }),
      /^claims\.run_attempt must be "1"/,
    ],
    ...['2', '*', ['1', '2']].map((run_attempt): [string, TrustRule, RegExp] => [
      `the attempts ${run_attempt} of a job that writes`,
      ruleOf('github', { run_attempt }, { kind: 'agent' }),
      /^claims\.run_attempt must be "1"/,
    ]),
    [
      'a login for whoever starts a job again',
      ruleOf('github', {}, { rerun_by: { claim: 'triggering_actor', prefix: 'github:' } }),
      /^rerun_by\.claim must be an id/,
    ],
    [
      'whoever starts a job again, but not who started it',
      ruleOf('oidc', {}, { rerun_by: { claim: 'restarted_by_id', prefix: 'ci:' } }),
      /^rerun_by needs person/,
    ],
    ['nobody behind a pipeline that writes', ruleOf('gitlab', {}, { person: undefined }), /^person.*user_id/],
    ['the issuer as audience', ruleOf('gitlab', {}, { audience: SOUND.gitlab.issuer }), /^audience/],
    // Any platform.
    ['a claim that is verified anyway', ruleOf('github', { iss: 'x' }), /^claims\.iss has no effect/],
    ['a token id', ruleOf('github', { jti: 'x' }), /^claims\.jti has no effect/],
    ['a wide subject', ruleOf('github', { sub: 'repo:acme/*' }), /^claims\.sub must not contain \*/],
    [
      'a wide owner',
      ruleOf('github', { repository: '*/payments' }),
      /^claims\.repository must not contain \*/,
    ],
    [
      'a SPIFFE ID under a URL',
      ruleOf('oidc', { sub: SOUND.spiffe.claims.sub }),
      /^issuer must be the trust domain/,
    ],
    // GitHub.
    ['no repository', ruleOf('github', { repository_id: undefined }), /^claims\.repository_id is missing/],
    [
      'no owner',
      ruleOf('github', { repository_owner_id: undefined }),
      /^claims\.repository_owner_id is missing/,
    ],
    [
      'a name for an id',
      ruleOf('github', { repository_id: 'acme/payments' }),
      /^claims\.repository_id must be an exact id/,
    ],
    [
      'any repository',
      ruleOf('github', { repository_id: '*' }),
      /^claims\.repository_id must be an exact id/,
    ],
    [
      'one wide id of two',
      ruleOf('github', { repository_id: ['456789', '4*'] }),
      /^claims\.repository_id must be/,
    ],
    [
      'only a subject',
      ruleOf('github', {
        repository_id: undefined,
        repository_owner_id: undefined,
        sub: 'repo:acme/payments:ref:refs/heads/main',
      }),
      /^claims\.repository_id is missing/,
    ],
    ['neither events nor ref', ruleOf('github', { ref: undefined }), /^claims\.event_name is missing/],
    ['any branch and any event', ruleOf('github', { ref: 'refs/heads/*' }), /^claims\.event_name is missing/],
    ['any event', ruleOf('github', { event_name: '*' }), /^claims\.event_name must list its values/],
    [
      'any kind of pull',
      ruleOf('github', { event_name: 'pull_*' }),
      /^claims\.event_name must list its values/,
    ],
    [
      'refs of pull requests',
      ruleOf('github', { ref: 'refs/*/main', event_name: 'push' }),
      /^claims\.ref with \*/,
    ],
    [
      'a workflow of any owner',
      ruleOf('github', { job_workflow_ref: '*/x/.github/workflows/d.yml@refs/heads/main' }),
      /^claims\.job_workflow_ref must not contain \* in owner/,
    ],
    [
      'a workflow of any repository',
      ruleOf('github', { workflow_ref: 'acme/*/.github/workflows/d.yml@refs/heads/main' }),
      /^claims\.workflow_ref must not contain \* in owner/,
    ],
    [
      'a workflow of any branch',
      ruleOf('github', { job_workflow_ref: 'acme/x/.github/workflows/d.yml@refs/heads/*' }),
      /^claims\.job_workflow_ref must end in an exact branch/,
    ],
    // Names of files and branches may contain `@`.
    ...[
      'deploy@v1.yml@refs/heads/*',
      'deploy@refs/tags/v1.yml@refs/heads/*',
      'd.yml@refs/heads/*@refs/tags/v1',
      'd.yml@refs/heads/*@x',
      'd.yml@refs/heads/*@refs/heads/main',
      'deploy@v1.yml@*/heads/main',
      'd.yml',
    ].map((file): [string, TrustRule, RegExp] => [
      `a workflow of any branch, written ${file}`,
      ruleOf('github', { job_workflow_ref: `acme/x/.github/workflows/${file}` }),
      /^claims\.job_workflow_ref must end in an exact branch/,
    ]),
    // GitLab.
    ['no project', ruleOf('gitlab', { project_id: undefined }), /^claims\.project_id is missing/],
    [
      'a path for an id',
      ruleOf('gitlab', { project_id: 'acme/payments' }),
      /^claims\.project_id must be an exact id/,
    ],
    ['any branch', ruleOf('gitlab', { ref_protected: undefined }), /^claims\.ref_protected must be "true"/],
    [
      'protected or not',
      ruleOf('gitlab', { ref_protected: ['true', 'false'] }),
      /^claims\.ref_protected must be/,
    ],
    [
      'an environment of anybody',
      ruleOf('gitlab', { environment: 'prod' }),
      /^claims\.environment_protected must be/,
    ],
    [
      'any source',
      ruleOf('gitlab', { pipeline_source: '*' }),
      /^claims\.pipeline_source must list its values/,
    ],
    // Kubernetes.
    ['no uid', ruleOf('kubernetes', { [UID]: undefined }), /serviceaccount\/uid is missing/],
    [
      'a name for a uid',
      ruleOf('kubernetes', { [UID]: 'deploy' }),
      /serviceaccount\/uid must be an exact id/,
    ],
    [
      'claims of tokens from Secrets',
      ruleOf('kubernetes', { 'kubernetes.io/serviceaccount/service-account.uid': SERVICE_ACCOUNT_UID }),
      /belongs to tokens from Secrets, which never expire/,
    ],
    // SPIFFE.
    ['no subject', ruleOf('spiffe', { sub: undefined, team: 'a' }), /^claims\.sub is missing/],
    [
      'a whole trust domain',
      ruleOf('spiffe', { sub: 'spiffe://acme.example/*' }),
      /in the first segment of its path/,
    ],
    ['all namespaces', ruleOf('spiffe', { sub: 'spiffe://acme.example/*/payments' }), /in the first segment/],
    [
      'a trust domain for a workload',
      ruleOf('spiffe', { sub: 'spiffe://acme.example' }),
      /must be the SPIFFE ID/,
    ],
    [
      'another trust domain',
      ruleOf('spiffe', { sub: 'spiffe://evil.example/a' }),
      /must be in the trust domain/,
    ],
    ['any trust domain', ruleOf('spiffe', { sub: 'spiffe://*.example/a' }), /must be in the trust domain/],
    ['a path with dots', ruleOf('spiffe', { sub: 'spiffe://acme.example/a/../b' }), /must be the SPIFFE ID/],
    // Buildkite.
    [
      'no organization',
      ruleOf('buildkite', { organization_id: undefined }),
      /^claims\.organization_id is missing/,
    ],
    ['no pipeline', ruleOf('buildkite', { pipeline_id: undefined }), /^claims\.pipeline_id is missing/],
    [
      'a slug for an id',
      ruleOf('buildkite', { organization_id: 'acme' }),
      /^claims\.organization_id must be an exact id/,
    ],
    // Any issuer.
    [
      'no tenant',
      ruleOf('oidc', { terraform_organization_id: undefined }),
      /several tenants share this issuer/,
    ],
    [
      'nothing that stays',
      ruleOf(
        'oidc',
        { terraform_organization_id: undefined, terraform_workspace_id: undefined },
        { issuer: 'https://oidc.example' },
      ),
      /^claims must pin an identifier/,
    ],
    [
      'only who started the job',
      trustRuleSchema.parse({
        issuer: 'https://oidc.example',
        audience: 'x',
        claims: { user_id: '1', run_id: '2', sub: 'job' },
        grant: GRANT,
      }),
      /^claims must pin an identifier/,
    ],
    [
      'only who started the job, by a pointer',
      trustRuleSchema.parse({
        issuer: 'https://oidc.example',
        audience: 'x',
        claims: { '/user_id': '1', '/context/run_id': '2' },
        grant: GRANT,
      }),
      /^claims must pin an identifier/,
    ],
    // Person.
    ...[
      'actor',
      'user_login',
      'user_email',
      'email',
      'preferred_username',
      'nickname',
      '/triggered_by/login',
    ].map((claim): [string, TrustRule, RegExp] => [
      `a human by ${claim}`,
      ruleOf('gitlab', {}, { person: { claim, prefix: 'ci:' } }),
      /^person\.claim must be an id/,
    ]),
    // Grant.
    [
      'the control plane without operations',
      ruleOf('github', {}, { grant: { ...GRANT, operations: [] } }),
      /^grant\.operations must name/,
    ],
    [
      'flags of an environment that it does not reach',
      ruleOf('github', {}, { grant: { ...GRANT, audiences: ['data:staging'] } }),
      /^grant\.audiences has data:staging/,
    ],
  ])('for %s', (_name, rule, fault) => {
    const faults = faultsOf(rule);
    expect(faults.filter((detail) => fault.test(detail))).toHaveLength(1);
    // What is wrong, and what to do about it.
    for (const detail of faults)
      expect(detail).toMatch(/^(?:claims|issuer|audience|platform|person|rerun_by|grant).{40,}$/);
  });
});
