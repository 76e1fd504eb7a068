import { beforeAll, describe, expect, it } from 'vitest';
import {
  compareNextActivation,
  type NextActivationDiff,
  nextActivationCheck,
} from '../../src/activation/checks/next-activation-check.ts';
import { type AskPolicy, findNextActivation } from '../../src/activation/next-activation.ts';
import type { GuardedResult } from '../../src/policy/guardrails.ts';
import type { Policy } from '../../src/policy/policies.ts';
import type { Principal } from '../../src/principal.ts';
import type { Config } from '../support/activation.ts';
import { WORKING_HOURS_MS } from '../support/broker.ts';
import { comparing, policyOf, SHIPPED, shippedWith } from '../support/compared-policies.ts';

/*
 * The search for who could make the next activation: against policies that say one thing and accept another, and under the
 * shipped rules with other data.
 */

const ISSUER = 'http://127.0.0.1:9401';
const ASKED = { kind: 'approval', role: 'policy-maintainer', count: 2 } as const;

function person(id: string, groups = [id]): Principal {
  return {
    id: `person:demo:${id}`,
    kind: 'person',
    person: id,
    issuer: ISSUER,
    groups,
    claims: {},
    auth: { level: 2, acr: null, amr: [], auth_time_ms: null },
    token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null, issued_ms: 0 },
  };
}

let shipped: Policy;

beforeAll(async () => {
  shipped = await policyOf(SHIPPED);
});

describe('the number of approvals of the next activation', () => {
  /** A policy that asks for two approvals, and accepts an activation with those of which `suffices` is true. */
  const asking =
    (suffices: (approvers: (string | null)[]) => boolean): AskPolicy =>
    async (questions) =>
      questions.map(({ question: { operation, approvals } }) => {
        const isHeld =
          operation === 'request.propose' ||
          (operation === 'request.apply' && !suffices(approvals.map(({ principal }) => principal.person)));
        const answer: GuardedResult = {
          effect: isHeld ? 'hold' : 'allow',
          reasons: [],
          obligations: isHeld ? [ASKED] : [],
          limits: {},
        };
        return answer;
      });

  const approvalsOf = async (suffices: (approvers: (string | null)[]) => boolean) => {
    const found = await findNextActivation(shipped, asking(suffices), {
      groups: ['a', 'b', 'c', 'd'].map((id) => [person(id)]),
      object: { type: 'policy' },
      now_ms: WORKING_HOURS_MS,
    });
    return 'why' in found ? found.why : found.approvals;
  };

  it('is what it takes, if a policy asks for more', async () => {
    expect(await approvalsOf((approvers) => approvers.length >= 2)).toBe(2);
    expect(await approvalsOf((approvers) => approvers.length >= 1)).toBe(1);
    expect(await approvalsOf((approvers) => approvers.includes('d'))).toBe(1);
    expect(await approvalsOf(() => true)).toBe(0);
  });

  it('is unknown, if all approvals together are not enough', async () => {
    expect(await approvalsOf(() => false)).toBe('not_enough_approve');
  });
});

const PEOPLE = [person('morgan', ['platform']), person('jordan', ['platform']), person('sam', ['security'])];

type Kinds = Record<string, { rule: Record<string, unknown>; roles: Record<string, string[]> }>;
const activation = (config: Config) => {
  const kind = (config.request_kinds as unknown as Kinds)['policy.activate'];
  if (kind === undefined) throw new Error('no such kind');
  return kind;
};
const groupsOf = (config: Config) => {
  const { groups } = config.role_bindings as { groups: Record<string, Record<string, object[]>> };
  return groups[ISSUER] ?? {};
};

async function compared(
  edit: (config: Config) => void,
  { persons = PEOPLE, now_ms = WORKING_HOURS_MS } = {},
): Promise<NextActivationDiff> {
  const candidate = await shippedWith(edit);
  return compareNextActivation(comparing({ active: shipped, candidate }, { now_ms }), persons);
}

const blackout = (start: string, end: string) => ({
  ...{ zone: 'Europe/Berlin', reason: 'a test', request_kinds: ['policy.activate'] },
  start: { date: start, hour: 0, minute: 0 },
  end: { date: end, hour: 0, minute: 0 },
});

describe('the next activation under a candidate', () => {
  it('names who could propose and who could approve it', async () => {
    expect(await compared(() => undefined)).toMatchObject({
      proposers: ['morgan', 'jordan'],
      approvers: ['jordan', 'sam'],
      approvals: 2,
      approvals_now: 2,
      earliest_ms: null,
      needs: ['1 approval by policy-maintainer', '1 approval by security-approver'],
      nobody: null,
      warnings: [],
    });
  });

  it('may need many persons who are alike', async () => {
    const five = (config: Config) => {
      activation(config).rule.approvals = { 'policy-maintainer': 5 };
    };
    const maintainers = Array.from({ length: 6 }, (_, n) => person(`m${n}`, ['platform']));
    expect(await compared(five, { persons: maintainers })).toMatchObject({ approvals: 5, nobody: null });
    expect(await compared(five, { persons: maintainers.slice(1) })).toMatchObject({
      nobody: { why: 'not_enough_approve' },
    });
  });

  it('does not take two names of one human for two persons', async () => {
    const alias = (config: Config) => {
      (config.persons as Record<string, string>).jordan = 'morgan';
    };
    expect((await compared(alias)).nobody).toEqual({ why: 'not_enough_approve', opens_ms: null });
  });

  it('finds somebody who is bound by their id, among many with the same groups', async () => {
    const strangers = Array.from({ length: 20 }, (_, n) => person(`x${n}`, []));
    const bound = (config: Config) => {
      groupsOf(config).platform = [{ roles: ['flag-reader'], namespaces: ['*'], environments: ['*'] }];
      const row = { roles: ['policy-maintainer', 'flag-reader'], namespaces: ['*'], environments: ['*'] };
      const { principals } = config.role_bindings as { principals: Record<string, object[]> };
      for (const name of ['x7', 'x12']) principals[`person:demo:${name}`] = [row];
    };
    const found = await compared(bound, { persons: [...PEOPLE, ...strangers] });
    expect(found).toMatchObject({ proposers: ['x7', 'x12'], approvers: ['sam', 'x12'], nobody: null });
  });

  it('says that nobody may propose it', async () => {
    const found = await compared((config) => {
      activation(config).roles['request.propose'] = ['provisioner'];
    });
    expect(found.nobody).toEqual({ why: 'nobody_proposes', opens_ms: null });
  });

  it('says when a blackout ends, within 14 days and beyond', async () => {
    const until = (end: string) => (config: Config) => {
      config.blackouts = { audit: blackout('2026-11-01', end) };
    };
    expect(await compared(until('2026-11-25'))).toMatchObject({
      nobody: null,
      earliest_ms: Date.UTC(2026, 10, 24, 23),
    });
    expect((await compared(until('2027-02-01'))).nobody).toEqual({
      why: 'closed',
      opens_ms: Date.UTC(2027, 0, 31, 23),
    });
  });

  it('warns of fewer roles, and of others who may propose or approve', async () => {
    const fewer = await compared(
      (config) => {
        activation(config).rule.approvals = { 'policy-maintainer': 2 };
      },
      { persons: [...PEOPLE, person('kim', ['platform'])] },
    );
    expect(fewer).toMatchObject({ approvals: 2 });
    expect(fewer.warnings).toEqual([
      { code: 'role_not_asked', detail: 'The next activation no longer needs: security-approver.' },
    ]);
    const more = await compared(
      (config) => {
        groupsOf(config).interns = [
          { roles: ['policy-maintainer', 'flag-reader'], namespaces: ['*'], environments: ['*'] },
        ];
      },
      { persons: [...PEOPLE, person('mallory', ['interns'])] },
    );
    expect(more.warnings.map(({ code, detail }) => `${code}: ${detail}`)).toEqual([
      'more_proposers: mallory may propose the next activation, too.',
      'more_approvers: mallory may approve the next activation, too.',
    ]);
  });

  it('warns if nobody could freeze, audit or apply on time any more', async () => {
    const persons = [...PEOPLE, person('riley', ['responders']), person('avery', ['auditors'])];
    const found = await compared(
      (config) => {
        delete groupsOf(config).responders;
        delete groupsOf(config).auditors;
        (config.role_bindings as { principals: object }).principals = {};
      },
      { persons },
    );
    expect(found.warnings.map(({ code }) => code)).toEqual([
      'nobody_freezes',
      'nobody_audits',
      'scheduler_denied',
    ]);
  });

  it('is worse than what was approved if it takes fewer approvals', async () => {
    const approved = await compared(() => undefined);
    const present = await compared((config) => {
      activation(config).rule.approvals = { 'policy-maintainer': 1 };
    });
    expect(nextActivationCheck.worse(approved, approved)).toBeNull();
    expect(nextActivationCheck.worse(approved, present)).toContain('takes 1 approvals, and took 2');
    expect(nextActivationCheck.isNothing(approved)).toBe(true);
    expect(nextActivationCheck.isNothing(present)).toBe(false);
  });
});

describe('a search among hundreds of groups of persons', () => {
  const crowd = Array.from({ length: 300 }, (_, n) => [person(`x${n}`, [`group-${n}`])]);

  async function questionsFor(
    edit: (config: Config) => void,
    groups: Principal[][],
  ): Promise<[number, unknown]> {
    const policy = await shippedWith(edit);
    let asked = 0;
    const ask: AskPolicy = async (questions) => {
      asked += questions.length;
      return questions.map(({ question, now_ms }) => policy.decide(question, now_ms));
    };
    const found = await findNextActivation(policy, ask, {
      groups,
      object: {
        type: 'policy',
        id: 'x',
        archive_digest: null,
        revision: null,
        replaces: null,
        patch: null,
        weakens_activation: false,
      },
      now_ms: WORKING_HOURS_MS,
    });
    return [asked, found];
  }

  it('asks each a few times if there is somebody', async () => {
    const [asked, found] = await questionsFor(() => undefined, [...crowd, ...PEOPLE.map((one) => [one])]);
    expect(found).toMatchObject({ proposers: ['morgan', 'jordan'] });
    expect(asked).toBeLessThan(4 * 303);
  });

  it('is bounded if there is nobody', async () => {
    const everybody = (config: Config) => {
      const row = { roles: ['policy-maintainer', 'flag-reader'], namespaces: ['*'], environments: ['*'] };
      for (let n = 0; n < 300; n += 1) groupsOf(config)[`group-${n}`] = [row];
    };
    // All of them may propose, and nobody has the second role.
    const [asked, found] = await questionsFor(everybody, crowd);
    expect(found).toEqual({ why: 'not_enough_approve', opens_ms: null });
    expect(asked).toBeLessThan(300 + 8 * 2 * 300 + 100);
  });
});
