import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchesGlob } from '../../src/trust/glob.ts';
import { matchTrustRule } from '../../src/trust/match.ts';
import { type TrustRule, trustRuleSchema, trustRulesSchema } from '../../src/trust/rules.ts';

const RULE: TrustRule = trustRuleSchema.parse({
  issuer: 'https://ci.example',
  audience: 'countersign',
  claims: {
    repository_id: '456789',
    repository_owner_id: '123456',
    ref: 'refs/heads/main',
    event_name: ['push', 'workflow_dispatch'],
    job_workflow_ref: 'acme/payments/.github/workflows/*.yml@refs/heads/main',
    runner_environment: 'github-hosted',
    run_attempt: '1',
  },
  person: { claim: 'actor_id', prefix: 'github:' },
  grant: {
    audiences: ['control'],
    operations: ['request.propose'],
    environments: ['production'],
    namespaces: ['payments'],
    token_ttl_s: 600,
  },
});

const CLAIMS = {
  iss: 'https://ci.example',
  aud: 'countersign',
  repository_id: '456789',
  repository_owner_id: '123456',
  ref: 'refs/heads/main',
  event_name: 'push',
  job_workflow_ref: 'acme/payments/.github/workflows/deploy.yml@refs/heads/main',
  runner_environment: 'github-hosted',
  actor_id: '5001',
  run_attempt: '1',
  jti: 'job-1',
};

describe('the name of a trust rule', () => {
  it('cannot make a workload look like one of the broker’s own principals', () => {
    expect(trustRulesSchema.safeParse({ 'payments-deploy': RULE }).success).toBe(true);
    expect(trustRulesSchema.safeParse({ countersign: RULE }).success).toBe(false);
  });
});

describe('a trust rule', () => {
  it('matches a token that has every claim', () => {
    expect(matchTrustRule({ deploy: RULE }, CLAIMS)).toEqual({ matched: ['deploy'], missed: [] });
    expect(matchTrustRule({ deploy: RULE }, { ...CLAIMS, aud: ['countersign'] }).matched).toEqual(['deploy']);
  });

  it.each([
    ['a repository of the same name with another id', 'repository_id', '999999'],
    ['another owner', 'repository_owner_id', '999999'],
    ['a pull request', 'event_name', 'pull_request'],
    ['a pull_request_target', 'event_name', 'pull_request_target'],
    ['another branch', 'ref', 'refs/heads/main2'],
    ['a tag of the same name', 'ref', 'refs/tags/main'],
    [
      'another workflow repository',
      'job_workflow_ref',
      'evil/payments/.github/workflows/deploy.yml@refs/heads/main',
    ],
    ['a workflow of a branch', 'job_workflow_ref', 'acme/payments/.github/workflows/deploy.yml@refs/heads/x'],
    [
      'a workflow in a folder',
      'job_workflow_ref',
      'acme/payments/.github/workflows/x/deploy.yml@refs/heads/main',
    ],
    ['a self-hosted runner', 'runner_environment', 'self-hosted'],
    ['another audience', 'aud', 'https://github.com/acme'],
    ['an extra audience', 'aud', ['countersign', 'evil']],
    ['a claim that is a list', 'event_name', ['push']],
    ['a claim that is an object', 'ref', { toString: 'refs/heads/main' }],
    ['a claim that is null', 'ref', null],
    ['nobody who triggered it', 'actor_id', ''],
  ])('does not match %s, and says which claim missed', (_name, claim, value) => {
    const match = matchTrustRule({ deploy: RULE }, { ...CLAIMS, [claim]: value });
    expect(match).toEqual({ matched: [], missed: [{ rule: 'deploy', claim }] });
  });

  it.each(Object.keys(CLAIMS).filter((claim) => claim !== 'iss'))(
    'does not match a token without %s',
    (claim) => {
      const { [claim as 'ref']: _gone, ...rest } = CLAIMS;
      expect(matchTrustRule({ deploy: RULE }, rest).matched).toEqual([]);
    },
  );

  it('says nothing about tokens of another issuer', () => {
    expect(matchTrustRule({ deploy: RULE }, { ...CLAIMS, iss: 'https://ci.example/' })).toEqual({
      matched: [],
      missed: [],
    });
  });

  it('reads claim names as they are, dots and slashes included, and JSON Pointers into nested claims', () => {
    const claims = {
      'oidc.example/team/id': 'flat',
      '/oidc.example/team/id': 't-1',
      '/a~1b/c~0d': 'escaped',
    };
    const rule = { ...RULE, claims, person: undefined } as unknown as TrustRule;
    const token = {
      ...CLAIMS,
      'oidc.example/team/id': 'flat',
      'oidc.example': { team: { id: 't-1' } },
      'a/b': { 'c~d': 'escaped' },
    };
    expect(matchTrustRule({ nested: rule }, token).matched).toEqual(['nested']);
    const wrong = { ...token, 'oidc.example': { team: 't-1' } };
    expect(matchTrustRule({ nested: rule }, wrong).matched).toEqual([]);
  });

  it.each([
    ['9007199254740993', '9007199254740992'],
    ['-9007199254740993', '-9007199254740992'],
    ['1e400', 'Infinity'],
  ])('does not take the number %s for %s, as which it is read', (sent, wanted) => {
    const rule = { ...RULE, claims: { workspace_id: wanted } };
    const claims = JSON.parse(`{"workspace_id": ${sent}}`);
    expect(matchTrustRule({ r: rule }, { ...CLAIMS, ...claims }).matched).toEqual([]);
    expect(matchTrustRule({ r: rule }, { ...CLAIMS, workspace_id: wanted }).matched).toEqual(['r']);
  });

  it('does not take a number that was rounded for the human behind a job', () => {
    const claims = JSON.parse('{"actor_id": 9007199254740993}');
    const { matched, missed } = matchTrustRule({ r: RULE }, { ...CLAIMS, ...claims });
    expect([matched, missed]).toEqual([[], [{ rule: 'r', claim: 'actor_id' }]]);
  });

  it('compares booleans and numbers as JSON writes them', () => {
    const rule = { ...RULE, claims: { ref_protected: 'true', build_number: '7' } };
    expect(matchTrustRule({ r: rule }, { ...CLAIMS, ref_protected: true, build_number: 7 }).matched).toEqual([
      'r',
    ]);
  });

  it.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])(
    'finds no claim %s that the token does not have',
    (claim) => {
      const rule = { ...RULE, claims: Object.fromEntries([[claim, '*']]) };
      expect(matchTrustRule({ r: rule }, CLAIMS).matched).toEqual([]);
    },
  );
});

describe('the schema of trust rules', () => {
  it.each([
    ['an unknown key', { ...RULE, subject: 'x' }],
    ['an unknown key in the grant', { ...RULE, grant: { ...RULE.grant, roles: ['admin'] } }],
    ['no audience', { ...RULE, audience: '' }],
    ['an operation that does not exist', { ...RULE, grant: { ...RULE.grant, operations: ['flag.write'] } }],
    ['an audience that does not exist', { ...RULE, grant: { ...RULE.grant, audiences: ['data:*'] } }],
    ['no audience to grant', { ...RULE, grant: { ...RULE.grant, audiences: [] } }],
    ['tokens of an hour', { ...RULE, grant: { ...RULE.grant, token_ttl_s: 3600 } }],
    ['a claim that may be nothing', { ...RULE, claims: { repository_id: [] } }],
    ['a claim that is a pattern object', { ...RULE, claims: { repository_id: { pattern: '.*' } } }],
  ])('refuses %s', (_name, rule) => {
    expect(trustRuleSchema.safeParse(rule).success).toBe(false);
  });
});

describe('a glob', () => {
  it.each([
    ['*', '', true],
    ['*', 'main', true],
    ['*', 'a/b', false],
    ['*', 'a:b', false],
    ['*', 'a@b', false],
    ['refs/heads/*', 'refs/heads/main', true],
    ['refs/heads/*', 'refs/heads/a/b', false],
    ['refs/heads/*', 'refs/heads', false],
    ['release-*', 'release-1.2', true],
    ['release-*', 'xrelease-1', false],
    ['a*b*c', 'aXXbYYc', true],
    ['a*b*c', 'acb', false],
    ['ab*ba', 'aba', false],
    ['a|b', 'a', false],
    ['.*', 'x', false],
    ['main', 'main\n', false],
  ])('%s for %j is %s', (pattern, value, want) => {
    expect(matchesGlob(pattern, value)).toBe(want);
  });

  it('agrees with the anchored regular expression that it stands for', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '*', '/', ':', '@', '.'), maxLength: 12 });
    fc.assert(
      fc.property(text, text, (pattern, value) => {
        const escaped = pattern.replaceAll('.', '\\.').replaceAll('*', '[^/:@]*');
        expect(matchesGlob(pattern, value)).toBe(new RegExp(`^(?:${escaped})$`, 's').test(value));
      }),
      { numRuns: 20_000 },
    );
  });

  it('ends for a pattern that would stop a regular expression', () => {
    expect(matchesGlob(`${'a*'.repeat(100)}b`, 'a'.repeat(8000))).toBe(false);
  });
});

describe('a rule of a bundle that was activated before the humans behind a job were asked for', () => {
  const { person, ...unnamed } = RULE;
  const { run_attempt, ...anyAttempt } = RULE.claims;
  const reading = { ...RULE.grant, operations: ['flag.read' as const] };
  const missed = (rule: TrustRule, claims: object = {}) =>
    matchTrustRule({ rule }, { ...CLAIMS, ...claims }).missed.map(({ claim }) => claim);

  it('trusts no job that writes without naming who started it, of workloads and of agents', () => {
    for (const kind of ['workload', 'agent'] as const) {
      expect(missed({ ...unnamed, kind })).toEqual(['actor_id']);
      expect(missed({ ...unnamed, kind, grant: reading })).toEqual([]);
    }
    expect(person).toBeDefined();
  });

  it('trusts no job that was started again by somebody whom the token does not name', () => {
    const rule = { ...RULE, claims: anyAttempt };
    expect(missed(rule)).toEqual([]);
    expect(missed(rule, { run_attempt: '2' })).toEqual([`run_attempt`]);
    expect(missed({ ...rule, grant: reading }, { run_attempt: '2' })).toEqual([]);
    const rerun_by = { claim: 'triggering_actor_id', prefix: 'github:' };
    expect(missed({ ...rule, rerun_by }, { run_attempt: '2', triggering_actor_id: '5002' })).toEqual([]);
    expect(missed({ ...rule, rerun_by }, { run_attempt: '2' })).toEqual(['triggering_actor_id']);
    expect(run_attempt).toBe('1');
  });
});
