import { describe, expect, it } from 'vitest';
import type { ChangeFacts } from '../../src/flags/change-facts.ts';
import type { PolicyResult } from '../../src/policy/decision.ts';
import { applyGuardrails, GUARDRAILS } from '../../src/policy/guardrails.ts';
import type { PolicyInput } from '../../src/policy/input.ts';
import type { Principal } from '../../src/principal.ts';

/*
 * What no policy may allow, over inputs of every kind. `policy/own-bundle` shows the same over HTTP.
 */

const yes: PolicyResult = {
  effect: 'allow',
  reasons: [{ code: 'ok', detail: '' }],
  obligations: [],
  limits: { a: 1 },
};

function principal(changes: Partial<Principal> = {}): Principal {
  return {
    id: 'person:demo:alex',
    kind: 'person',
    person: 'alex',
    issuer: 'https://idp.example',
    groups: [],
    claims: {},
    auth: { level: 1, acr: null, amr: [], auth_time_ms: 0 },
    token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null },
    ...changes,
  };
}

const facts: ChangeFacts = {
  scope: 'state',
  direction: 'off',
  audience_grew: false,
  safe: true,
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
};

function input(
  operation: PolicyInput['operation'],
  changes: Partial<ChangeFacts>[],
  extra: Partial<PolicyInput> = {},
): PolicyInput {
  return {
    schema_version: 2,
    operation,
    principal: principal(),
    environment: { key: 'production', kind: 'production' },
    namespace: null,
    request: {
      id: 'r',
      kind: 'flag.change',
      digest: 'd',
      proposer: principal({ id: 'person:demo:dana', person: 'dana' }),
      authors: ['dana', 'eve'],
      created_ms: 0,
      reason: 'x',
      ticket: null,
      changes: changes.map((change) => ({
        flag: {
          key: 'f',
          namespace: 'n',
          tier: 'operational',
          kind: 'release',
          owner: 'o',
          expires_ms: null,
        },
        action: 'set_audience',
        before: null,
        after: null,
        facts: { ...facts, ...change },
      })),
      object: null,
      facts: { direction: 'off', definition: false, organizations: [], namespaces: ['n'] },
    },
    approvals: [],
    rejections: [],
    emergency: { frozen: false, freezes: [], engage: null, breakglass: null, breakglass_recent: 0 },
    clock: { now_ms: 0, tzdb: 'x', zones: {} },
    ...extra,
  };
}

const frozen = { emergency: { ...input('request.apply', []).emergency, frozen: true } };
const session = { id: 's', opened_ms: 0, expires_ms: 1, incident: 'i', reason: 'r' };
const broken = { emergency: { ...input('breakglass.apply', []).emergency, breakglass: session } };

/** The bundle says that this account is eve, and which variants of flag f are more exposed than others. */
const DATA = {
  persons: new Map([['github:77', 'eve']]),
  exposure_order: new Map([['f', ['low', 'high']]]),
};

function reasonOf(given: PolicyInput, result: PolicyResult = yes): string {
  const answer = applyGuardrails(given, result, DATA);
  return answer.effect === 'deny' ? (answer.reasons[0]?.code ?? '') : answer.effect;
}

describe('an approval that policy allows', () => {
  it.each([
    ['a person who wrote nothing', {}, 'allow'],
    ['a workload', { kind: 'workload', person: null }, 'not_a_person'],
    ['a workload with a person behind it', { kind: 'workload', person: 'alex' }, 'not_a_person'],
    ['an agent of a person', { kind: 'agent', person: 'alex' }, 'not_a_person'],
    ['an agent of the proposer', { kind: 'agent', person: 'dana' }, 'not_a_person'],
    ['an agent of nobody', { kind: 'agent', person: null }, 'not_a_person'],
    [
      'an agent that calls itself a person',
      { id: 'person:demo:alex', kind: 'agent', person: 'alex', act: ['workload:helper:1'] },
      'not_a_person',
    ],
    ['a person without a name', { person: null }, 'not_a_person'],
    ['the proposer', { id: 'person:demo:dana', person: 'dana' }, 'self_approval'],
    ['another account of the proposer', { id: 'person:other:d', person: 'dana' }, 'self_approval'],
    [
      "the proposer's account under another name",
      { id: 'person:demo:dana', person: 'somebody' },
      'self_approval',
    ],
    ['an editor', { id: 'person:demo:eve', person: 'eve' }, 'self_approval'],
    ['an editor under an alias', { id: 'person:other:e', person: 'github:77' }, 'self_approval'],
  ] as [string, Partial<Principal>, string][])('by %s', (_name, who, answer) => {
    expect(reasonOf(input('request.approve', [{}], { principal: principal(who) }))).toBe(answer);
  });

  it.each([
    ['the sponsor', { id: 'person:demo:eve', person: 'eve' }],
    ['another account of the sponsor', { id: 'person:other:eve', person: 'github:77' }],
  ] as [string, Partial<Principal>][])(
    'of what an agent proposed, by %s, is one of their own',
    (_name, who) => {
      const given = input('request.approve', [{}], { principal: principal(who) });
      const proposer = principal({ id: 'agent:release-agent:repo', kind: 'agent', person: 'eve' });
      const request = given.request === null ? null : { ...given.request, proposer, authors: [] };
      expect(reasonOf({ ...given, request })).toBe('self_approval');
    },
  );

  it('of nothing is denied', () => {
    expect(reasonOf(input('request.approve', [], { request: null }))).toBe('missing_fact');
  });
});

describe('what a disabled or revoked author left', () => {
  const parked = (operation: PolicyInput['operation'], state?: boolean): PolicyInput => {
    const given = input(operation, [{}]);
    const { request } = given;
    if (request === null || state === undefined) return given;
    return { ...given, request: { ...request, parked: state } };
  };

  it.each(['request.propose', 'request.schedule', 'request.apply'] as const)(
    'waits at %s, whether policy allows it or holds it',
    (operation) => {
      expect(reasonOf(parked(operation, true))).toBe('parked');
      expect(reasonOf(parked(operation, true), { ...yes, effect: 'hold' })).toBe('parked');
      expect(reasonOf(parked(operation, false))).toBe('allow');
      expect(reasonOf(parked(operation))).toBe('allow');
    },
  );

  it.each(['request.read', 'request.withdraw', 'request.approve', 'request.expire'] as const)(
    'can still have %s',
    (operation) => {
      expect(reasonOf(parked(operation, true))).toBe('allow');
    },
  );

  it('waits under a freeze too, in a safe direction', () => {
    const given = { ...parked('request.apply', true), ...frozen };
    expect(reasonOf(given)).toBe('parked');
  });
});

describe('a write under a freeze that policy allows', () => {
  it.each(['request.propose', 'request.apply'] as const)(
    'by %s passes only in a safe direction, all of it',
    (operation) => {
      expect(reasonOf(input(operation, [{ direction: 'off' }, { direction: 'narrow' }], frozen))).toBe(
        'allow',
      );
      for (const change of [
        { direction: 'on', safe: false },
        { direction: 'widen', safe: false },
        { direction: 'narrow', safe: false },
        { direction: 'neutral' },
        { direction: 'widen', safe: false, swaps: [{ from: 'low', to: 'high' }] },
        { scope: 'definition' },
      ] as Partial<ChangeFacts>[]) {
        expect(reasonOf(input(operation, [{ direction: 'off' }, change], frozen))).toBe('frozen');
        expect(reasonOf(input(operation, [change]))).toBe('allow');
      }
    },
  );

  it('may be held: nothing is written then', () => {
    expect(
      reasonOf(input('request.propose', [{ direction: 'on' }], frozen), { ...yes, effect: 'hold' }),
    ).toBe('hold');
  });
});

describe('a break-glass change that policy allows', () => {
  const swap = (from: string, to: string) => ({ from, to });
  const widen = { direction: 'widen', safe: false } as const;
  it.each([
    ['off', { direction: 'off' }, 'allow'],
    ['narrow', { direction: 'narrow' }, 'allow'],
    ['narrow that is not shown to be safe', { direction: 'narrow', safe: false }, 'breakglass_unsafe'],
    ['a return that changes nothing for anybody', { direction: 'neutral', returns_to: 3 }, 'allow'],
    ['a return that swaps variants', { ...widen, returns_to: 3 }, 'breakglass_unsafe'],
    ['a swap for a less exposed variant', { ...widen, swaps: [swap('high', 'low')] }, 'allow'],
    ['a swap for a more exposed variant', { ...widen, swaps: [swap('low', 'high')] }, 'breakglass_unsafe'],
    [
      'two swaps, one of them for a more exposed variant',
      { ...widen, swaps: [swap('high', 'low'), swap('low', 'high')] },
      'breakglass_unsafe',
    ],
    [
      'a swap for a variant without a place in the order',
      { ...widen, swaps: [swap('high', 'x')] },
      'breakglass_unsafe',
    ],
    [
      'a swap of a variant without a place in the order',
      { ...widen, swaps: [swap('x', 'low')] },
      'breakglass_unsafe',
    ],
    [
      'a return that shows somebody more',
      { direction: 'neutral', returns_to: 3, audience_grew: true },
      'breakglass_unsafe',
    ],
    ['a return that switches on', { direction: 'on', returns_to: 3 }, 'breakglass_unsafe'],
    ['on', { direction: 'on' }, 'breakglass_unsafe'],
    ['widen', widen, 'breakglass_unsafe'],
    ['neutral', { direction: 'neutral' }, 'breakglass_unsafe'],
    ['a definition', { scope: 'definition' }, 'breakglass_unsafe'],
  ] as [string, Partial<ChangeFacts>, string][])('%s', (_name, change, answer) => {
    expect(reasonOf(input('breakglass.apply', [change], broken))).toBe(answer);
    expect(reasonOf(input('breakglass.apply', [change, {}], broken))).toBe(answer);
  });

  it('of version 1 of the input is judged by its direction', () => {
    const judged = (direction: ChangeFacts['direction']) => {
      const { safe: _, swaps: __, ...former } = { ...facts, direction, returns_to: 3 };
      const given = input('breakglass.apply', [{}], broken);
      const changes = given.request?.changes.map((change) => ({ ...change, facts: former })) ?? [];
      return reasonOf({ ...given, request: given.request === null ? null : { ...given.request, changes } });
    };
    expect(judged('off')).toBe('allow');
    expect(judged('widen')).toBe('breakglass_unsafe');
  });

  it('needs a session, and something to change', () => {
    expect(reasonOf(input('breakglass.apply', [{}]))).toBe('breakglass_missing');
    expect(reasonOf(input('breakglass.apply', [], broken))).toBe('breakglass_unsafe');
  });
});

describe.each(['freeze.lift', 'policy.activate'])('a %s that policy allows', (kind) => {
  const asked = (operation: 'request.propose' | 'request.apply', approvers: (string | null)[]) => {
    const given = input(operation, []);
    const approvals = approvers.map((person) => ({
      principal: principal({ person }),
      digest: 'd',
      at_ms: 0,
    }));
    return {
      ...given,
      approvals,
      request: given.request && { ...given.request, kind },
    } as PolicyInput;
  };

  it.each([
    ['alone', []],
    ['with an author', ['dana', 'eve']],
    ['with another account of an author', ['github:77']],
    ['with nobody that is known', [null]],
  ])('waits for a second person: %s', (_how, approvers) => {
    for (const operation of ['request.propose', 'request.apply'] as const) {
      expect(applyGuardrails(asked(operation, approvers), yes, DATA)).toMatchObject({
        effect: 'hold',
        guardrail: 'two_persons',
        obligations: [{ kind: 'approval', count: 1 }],
      });
    }
    // Decisions of version 1 are decided again as they were.
    expect(GUARDRAILS.get(1)?.(asked('request.apply', approvers), yes, DATA)).toBe(yes);
  });

  it('goes on with the approval of a second person', () => {
    expect(applyGuardrails(asked('request.apply', ['eve', 'alex']), yes, DATA)).toBe(yes);
  });
});

describe('a policy that asks for witnesses', () => {
  const cosigned = { kind: 'cosigned', max_age_s: 600 } as const;
  const ticket = { kind: 'ticket', pattern: '' } as const;
  const held = (...obligations: PolicyResult['obligations']): PolicyResult => ({
    ...yes,
    effect: 'hold',
    obligations,
  });
  const raise: Partial<ChangeFacts> = { direction: 'on', safe: false, audience_grew: true };
  const lower: Partial<ChangeFacts> = { direction: 'off', safe: true };
  const ofKind = (kind: string) => {
    const given = input('request.apply', []);
    return { ...given, request: given.request && { ...given.request, kind } } as PolicyInput;
  };

  it.each(['request.propose', 'request.schedule', 'request.apply'] as const)(
    'may hold a change that makes something less safe: %s',
    (operation) => {
      const result = held(cosigned);
      expect(applyGuardrails(input(operation, [raise]), result, DATA)).toBe(result);
      expect(applyGuardrails(input(operation, [lower, raise]), result, DATA)).toBe(result);
    },
  );

  it.each([
    ['switching off', input('request.apply', [lower])],
    ['a proposal to switch off', input('request.propose', [lower, lower])],
    ['a change in a break-glass session', input('breakglass.apply', [lower], broken)],
    ['opening a session', input('breakglass.open', [])],
    ['a freeze', input('freeze.engage', [])],
    ['a revocation', input('revocation.add', [])],
    ['a session of a browser', input('session.end', [])],
    ['lifting a revocation', ofKind('revocation.lift')],
    ['an approval', input('request.approve', [raise])],
    ['a token', input('token.exchange', [])],
  ])('never holds %s', (_what, given) => {
    expect(applyGuardrails(given, held(cosigned), DATA)).toMatchObject({
      effect: 'allow',
      obligations: [],
      guardrail: 'witnesses_waived',
    });
    // Whatever else is missing is still missing, and other guardrails still overrule.
    expect(applyGuardrails(given, held(cosigned, ticket), DATA)).toMatchObject({
      effect: 'hold',
      obligations: [ticket],
    });
    const denied: PolicyResult = { ...yes, effect: 'deny' };
    expect(applyGuardrails(given, denied, DATA)).toBe(denied);
  });

  it('makes nothing pass that another guardrail refuses', () => {
    const own = input('request.approve', [{}], { principal: principal({ person: 'dana' }) });
    expect(applyGuardrails(own, held(cosigned), DATA)).toMatchObject({ guardrail: 'self_approval' });
    expect(applyGuardrails(ofKind('freeze.lift'), held(cosigned), DATA)).toMatchObject({
      effect: 'hold',
      guardrail: 'two_persons',
    });
    expect(applyGuardrails(input('breakglass.apply', [raise], broken), held(cosigned), DATA)).toMatchObject({
      guardrail: 'breakglass_unsafe',
    });
  });
});

describe('an erasure that policy allows', () => {
  const asked = (operation: PolicyInput['operation'], approvers: string[], more: object = {}) => {
    const given = input(operation, []);
    const approvals = approvers.map((person) => ({
      principal: principal({ person, id: `person:demo:${person}` }),
      digest: 'd',
      at_ms: 0,
    }));
    const request = given.request && { ...given.request, kind: 'person.erase', ...more };
    return { ...given, approvals, request } as PolicyInput;
  };

  it.each([
    [[], 2],
    [['alex'], 1],
    [['alex', 'dana', 'eve'], 1],
    [['alex', 'alex'], 1],
  ])('waits for two others: %s', (approvers, count) => {
    for (const operation of ['request.propose', 'request.apply'] as const) {
      expect(applyGuardrails(asked(operation, approvers), yes, DATA)).toMatchObject({
        effect: 'hold',
        guardrail: 'two_persons',
        obligations: [{ kind: 'approval', role: 'flag-auditor', count }],
      });
    }
    expect(GUARDRAILS.get(2)?.(asked('request.apply', approvers), yes, DATA)).toBe(yes);
  });

  it('goes on with two others, and never with the person', () => {
    const operations = ['propose', 'edit', 'schedule', 'apply', 'approve', 'reject'] as const;
    for (const verb of operations) {
      const given = asked(`request.${verb}`, ['alex', 'sam'], { subject_takes_part: true });
      const other = { ...given, principal: principal({ person: 'noor' }) };
      expect(applyGuardrails(other, yes, DATA)).toMatchObject({
        effect: 'deny',
        reasons: [{ code: 'own_erasure' }],
      });
      const without = asked(`request.${verb}`, ['alex', 'sam'], { subject_takes_part: false });
      expect(applyGuardrails({ ...without, principal: other.principal }, yes, DATA)).toBe(yes);
      expect(GUARDRAILS.get(2)?.(other, yes, DATA)).toBe(yes);
    }
    const withdrawn = asked('request.withdraw', [], { subject_takes_part: true });
    expect(applyGuardrails(withdrawn, yes, DATA)).toBe(yes);
  });
});

describe('any other answer', () => {
  it('is left as it is', () => {
    const deny: PolicyResult = { ...yes, effect: 'deny' };
    expect(applyGuardrails(input('request.approve', []), deny, DATA)).toBe(deny);
    expect(applyGuardrails(input('flag.read', []), yes, DATA)).toBe(yes);
  });

  it('that is overruled keeps nothing to wait for', () => {
    const held: PolicyResult = { ...yes, effect: 'hold', obligations: [{ kind: 'ticket', pattern: '' }] };
    const own = input('request.approve', [{}], { principal: principal({ person: 'dana' }) });
    expect(applyGuardrails(own, held, DATA)).toMatchObject({ effect: 'deny', obligations: [] });
  });
});
