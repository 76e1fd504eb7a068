import { createZoneClock, TZDB_VERSION } from '../../policy/zones.ts';
import { holdersOf, PIPELINE, type ProjectAnswers } from './project-data.ts';

const HOUR_MS = 60 * 60 * 1000;
/** A Tuesday. */
const DAY_MS = Date.UTC(2026, 5, 16);
const PROPOSED_BEFORE_MS = 10 * 60 * 1000;

/** The files of a new project's cases, as JSON documents: what its own data must decide. */
export function projectCases(answers: ProjectAnswers): { base: object; decisions: object[] } {
  const nowMs = duringWork(answers.zone);
  const holderOf = (role: string) => holdersOf(answers, role)[0] ?? role;
  const author = person('author', holderOf('flag-deployer'), answers, nowMs);
  const approver = person('approver', holderOf('flag-approver'), answers, nowMs);
  return {
    base: {
      input: inputOf(author, answers, nowMs),
      change: CHANGE,
      votes: { approver: { principal: approver, digest: 'sha256:1', at_ms: nowMs } },
      parts: {
        to_apply: { operation: 'request.apply' },
        as_nobody: { principal: nobody(author, answers) },
        as_author_approving: { operation: 'request.approve' },
      },
    },
    decisions: [...flagCases(answers), ...(answers.repository === null ? [] : pipelineCases(answers, nowMs))],
  };
}

function flagCases({ environments }: ProjectAnswers): object[] {
  const one = { kind: 'approval', role: 'flag-approver', count: 1 };
  const operational = [{ flag: { tier: 'operational' } }];
  const hasProduction = [...environments.values()].includes('production');
  return [
    {
      name: 'somebody without a role may do nothing',
      use: ['as_nobody'],
      changes: operational,
      expected: { effect: 'deny', reasons: ['unknown_principal'] },
    },
    {
      name: 'an author cannot approve their own request',
      use: ['as_author_approving'],
      changes: operational,
      expected: { effect: 'deny' },
    },
    ...(hasProduction
      ? [
          {
            name: 'an informational flag needs nobody else',
            changes: [{ flag: { tier: 'informational' } }],
            expected: { effect: 'allow', reasons: ['self_service'], obligations: [] },
          },
          {
            name: 'an operational flag in production needs one approval',
            changes: operational,
            expected: { effect: 'hold', obligations: [one] },
          },
          {
            name: 'an operational flag in production is changed with one approval',
            use: ['to_apply'],
            changes: operational,
            approvals: ['approver'],
            expected: { effect: 'allow', reasons: ['requirements_met'] },
          },
        ]
      : []),
  ];
}

function pipelineCases(answers: ProjectAnswers, nowMs: number): object[] {
  const [starter] = answers.aliases.keys();
  const pipeline = {
    ...person('pipeline', '', answers, nowMs),
    id: `workload:${PIPELINE}:main`,
    kind: 'workload',
    person: starter ?? null,
    issuer: 'https://token.actions.githubusercontent.com',
    groups: [],
    claims: {},
    token: {
      audience: 'control',
      scope: [],
      sender_constrained: true,
      trust_rule: PIPELINE,
      issued_ms: nowMs,
    },
  };
  const policy = {
    kind: 'policy.activate',
    changes: [],
    proposer: pipeline,
    authors: starter === undefined ? [] : [starter],
    object: {
      type: 'policy',
      id: 'sha256:2',
      archive_digest: 'sha256:3',
      revision: null,
      replaces: 'sha256:4',
      patch: null,
      weakens_activation: false,
    },
  };
  const asked = { principal: pipeline, environment: null, request: policy };
  return [
    {
      name: 'the pipeline proposes a policy, which waits for two others',
      input: asked,
      expected: {
        effect: 'hold',
        obligations: [
          { kind: 'approval', role: 'policy-maintainer', count: 1 },
          { kind: 'approval', role: 'security-approver', count: 1 },
        ],
      },
    },
    {
      name: 'the pipeline never approves',
      input: { ...asked, operation: 'request.approve' },
      expected: { effect: 'deny' },
    },
  ];
}

const CHANGE = {
  flag: {
    key: 'new-checkout',
    namespace: 'checkout',
    tier: 'operational',
    kind: 'release',
    owner: 'team-checkout',
    expires_ms: null,
  },
  action: 'enable',
  before: null,
  after: null,
  facts: {
    scope: 'state',
    direction: 'on',
    audience_grew: true,
    safe: false,
    swaps: [],
    organizations_named: [],
    reaches_everybody: false,
    organizations_added: [],
    organizations_removed: [],
    users_added: [],
    users_removed: [],
    default_changed: false,
    returns_to: null,
    tier_lowered_from: null,
    entitlement: false,
    exception_used: false,
  },
};

/** As that person, but with nothing that a role is bound to. Members of a case add to each other, so a claim is replaced. */
function nobody(author: object, { bindBy }: ProjectAnswers): object {
  const claims = bindBy === null ? {} : { [bindBy]: 'nobody' };
  return { ...author, groups: [], claims };
}

/** @param holder the group of that person, or the value of the claim by which roles are bound */
function person(name: string, holder: string, { issuer, bindBy }: ProjectAnswers, nowMs: number) {
  return {
    id: `person:corp:${name}`,
    kind: 'person',
    person: `${name}@example.com`,
    issuer,
    groups: bindBy === null ? [holder] : [],
    groups_seen_ms: nowMs,
    claims: bindBy === null ? {} : { [bindBy]: holder },
    auth: { level: 1, acr: null, amr: [], auth_time_ms: nowMs - PROPOSED_BEFORE_MS },
    token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null },
  };
}

function inputOf(author: object, { environments, zone }: ProjectAnswers, nowMs: number): object {
  const [first = ['production', 'production']] = environments;
  const [key, kind] = [...environments].find(([, each]) => each === 'production') ?? first;
  return {
    schema_version: 2,
    operation: 'request.propose',
    principal: author,
    environment: { key, kind },
    namespace: null,
    request: {
      id: 'req-1',
      kind: 'flag.change',
      digest: 'sha256:1',
      proposer: author,
      authors: ['author@example.com'],
      created_ms: nowMs - PROPOSED_BEFORE_MS,
      reason: 'launch',
      ticket: null,
      changes: [],
      object: null,
      facts: { direction: 'on', definition: false, organizations: [], namespaces: ['checkout'] },
    },
    approvals: [],
    rejections: [],
    emergency: { frozen: false, freezes: [], engage: null, breakglass: null, breakglass_recent: 0 },
    clock: { now_ms: nowMs, tzdb: TZDB_VERSION, zones: createZoneClock([zone])(nowMs) },
  };
}

/** About ten in the morning of that Tuesday in a zone, when the windows of a new project are open. */
function duringWork(zone: string): number {
  const clockAt = createZoneClock([zone]);
  const hours = Array.from({ length: 48 }, (_, hour) => DAY_MS + (hour - 12) * HOUR_MS);
  const isMorning = (atMs: number) => {
    const wall = clockAt(atMs)[zone];
    return wall?.date === '2026-06-16' && wall.minute_of_day >= 600 && wall.minute_of_day < 660;
  };
  return hours.find(isMorning) ?? DAY_MS;
}
