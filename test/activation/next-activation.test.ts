import { describe, expect, it } from 'vitest';
import { findNextActivation } from '../../src/activation/next-activation.ts';
import type { Policy } from '../../src/policy/policies.ts';
import type { Principal } from '../../src/principal.ts';
import { WORKING_HOURS_MS } from '../support/broker.ts';

/*
 * The search for who could make the next activation, against policies that say one thing and accept another.
 */

const ASKED = { kind: 'approval', role: 'policy-maintainer', count: 2 } as const;

/** A policy that asks for two approvals, and accepts an activation with those of which `suffices` is true. */
function policyWith(suffices: (approvers: string[]) => boolean): Policy {
  const decide: Policy['decide'] = ({ operation, approvals }) => {
    const isHeld =
      operation === 'request.propose' ||
      (operation === 'request.apply' && !suffices(approvals.map(({ principal }) => principal.id)));
    return {
      effect: isHeld ? 'hold' : 'allow',
      reasons: [],
      obligations: isHeld ? [ASKED] : [],
      limits: {},
    } as unknown as ReturnType<Policy['decide']>;
  };
  return { decide } as Policy;
}

function person(id: string): Principal {
  return {
    id,
    kind: 'person',
    person: id,
    issuer: 'https://people.example',
    groups: [id],
    claims: {},
    auth: { level: 2, acr: null, amr: [], auth_time_ms: null },
    token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null },
  };
}

const PERSONS = ['a', 'b', 'c', 'd'].map(person);
const ABOUT = { object: { type: 'policy', id: 'next' }, now_ms: WORKING_HOURS_MS } as never;

const approvalsOf = async (suffices: (approvers: string[]) => boolean) =>
  (await findNextActivation(policyWith(suffices), PERSONS, ABOUT))?.approvals;

describe('the number of approvals of the next activation', () => {
  it('is what it takes, if a policy asks for more', async () => {
    expect(await approvalsOf((approvers) => approvers.length >= 2)).toBe(2);
    expect(await approvalsOf((approvers) => approvers.length >= 1)).toBe(1);
    expect(await approvalsOf((approvers) => approvers.includes('d'))).toBe(1);
    expect(await approvalsOf(() => true)).toBe(0);
  });

  it('is unknown, if all approvals together are not enough', async () => {
    expect(await approvalsOf(() => false)).toBeUndefined();
  });
});
