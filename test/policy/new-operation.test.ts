import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import { operationsHelp } from '../../src/cli/output/operations-help.ts';
import {
  askedName,
  OPERATIONS,
  type OperationList,
  operationsBy,
  operationsUnknownTo,
  policyDataOf,
} from '../../src/operations.ts';
import { accessAnswerSchema } from '../../src/policy/access.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import type { PolicyResult } from '../../src/policy/decision.ts';
import { createEngine, type Engine } from '../../src/policy/engine.ts';
import { applyGuardrails } from '../../src/policy/guardrails.ts';
import type { PolicyInput } from '../../src/policy/input.ts';
import type { Principal } from '../../src/principal.ts';
import { operationsTable, shownBy } from '../support/reference/operations.ts';

/*
 * An operation is added as data: one row of the list, and one entry of policy data that says its roles. No Rego and no
 * code of the broker knows its name.
 */

const NAME = 'flag.archive';
const list: OperationList = {
  ...OPERATIONS,
  [NAME]: {
    says: 'Put a flag away.',
    capability: 'override',
    shows: true,
    by: ['person', 'broker'],
    never: ['agent'],
    at: 'request',
    audiences: ['audit'],
    recorded: 'always',
    changes: 'flags',
    under_freeze: 'safe_only',
    when_parked: 'waits',
    lane: 'ordinary',
    formerly: 'request.propose',
  },
};

const SHIPPED = readFileSync(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
const base = JSON.parse(
  readFileSync(new URL('../../fixtures/decisions/base.json', import.meta.url), 'utf8'),
) as {
  input: PolicyInput;
  change: NonNullable<PolicyInput['request']>['changes'][number];
  parts: Record<string, { principal?: Partial<Principal> }>;
};

let before: Engine;
let engine: Engine;

beforeAll(async () => {
  before = await createEngine(await readBundle(SHIPPED));
  const archive = await rebundle(SHIPPED, (data) => {
    const { config } = data as { config: { operations: Record<string, object> } };
    config.operations[NAME] = { ...policyDataOf(list)[NAME], roles: { any: ['flag-deployer'] } };
    return data;
  });
  engine = await createEngine(await readBundle(archive));
});

type Direction = 'on' | 'off';

function principal(part: string): Principal {
  const found = base.parts[part]?.principal;
  if (found === undefined) throw new Error(`base.json has no principal "${part}"`);
  const whole = { ...base.input.principal, ...found };
  return { ...whole, token: { ...whole.token, audience: 'audit', scope: [] } };
}

/** Somebody puts away a flag that asks for nobody else's word. */
function input(
  who: Principal,
  more: { direction?: Direction; frozen?: boolean; parked?: boolean } = {},
): PolicyInput {
  const { direction = 'off', frozen = false, parked = false } = more;
  const { request } = base.input;
  if (request === null) throw new Error('base.json has no request');
  const change = {
    ...base.change,
    flag: { ...base.change.flag, tier: 'informational' as const },
    facts: { ...base.change.facts, direction, audience_grew: direction === 'on', safe: direction === 'off' },
  };
  return {
    ...base.input,
    operation: NAME as PolicyInput['operation'],
    principal: who,
    request: { ...request, changes: [change], parked },
    emergency: { ...base.input.emergency, frozen },
  };
}

/** What the Rego says of it; the broker's schema, which has the real list, is not in between. */
function codes(given: PolicyInput, asked = engine): string[] {
  const { effect, reasons } = asked.evaluate(JSON.stringify(given));
  return [effect, ...reasons.map(({ code }) => code)];
}

describe('the shipped Rego, with an entry of data', () => {
  it('decides it by its role, and did not know it before', () => {
    expect(codes(input(principal('by_dana')))[0]).toBe('allow');
    expect(codes(input(principal('by_avery')))).toEqual(['deny', 'role_missing']);
    expect(codes(input(principal('by_dana')), before)).toContain('unknown_operation');
  });

  it('opens it to those named, and of workloads to the broker only', () => {
    for (const who of ['by_job', 'by_agent']) expect(codes(input(principal(who)))).toContain('not_a_person');
    expect(codes(input(principal('by_scheduler')))).not.toContain('not_a_person');
  });

  it('takes only the tokens named', () => {
    const dana = principal('by_dana');
    expect(codes(input({ ...dana, token: { ...dana.token, audience: 'control' } }))).toEqual([
      'deny',
      'token_audience',
    ]);
  });

  it('stops it under a freeze, except in a safe direction', () => {
    const dana = principal('by_dana');
    expect(codes(input(dana, { frozen: true, direction: 'on' }))).toEqual(['deny', 'frozen']);
    expect(codes(input(dana, { frozen: true, direction: 'off' }))[0]).toBe('allow');
  });

  it('shows its capability to whoever may', () => {
    const capabilities = (asked: Engine) => {
      const answer = asked.access(JSON.stringify({ principals: [principal('by_dana')] }));
      return new Set(accessAnswerSchema.parse(answer).grants.map(({ capability }) => capability));
    };
    expect(capabilities(before)).not.toContain('override');
    expect(capabilities(engine)).toContain('override');
  });
});

describe('the guardrails, with a row', () => {
  const allow: PolicyResult = { effect: 'allow', reasons: [], obligations: [], limits: {} };
  const guarded = (given: PolicyInput, operations = list, result = allow) => {
    const { effect, reasons } = applyGuardrails(
      given,
      result,
      { persons: new Map(), exposure_order: new Map() },
      operations,
    );
    return reasons[0]?.code ?? effect;
  };

  it('keep agents, freezes and parked authors from it under any policy', () => {
    const dana = principal('by_dana');
    expect(guarded(input(dana))).toBe('allow');
    expect(guarded(input(principal('by_job')))).toBe('allow');
    expect(guarded(input(principal('by_agent')))).toBe('not_a_person');
    expect(guarded(input(dana, { parked: true }))).toBe('parked');
    expect(guarded(input(dana, { frozen: true, direction: 'on' }))).toBe('frozen');
    expect(guarded(input(dana, { frozen: true, direction: 'off' }))).toBe('allow');
    expect(guarded(input(dana, { frozen: true, direction: 'on' }), list, { ...allow, effect: 'hold' })).toBe(
      'hold',
    );
  });

  it('follow the row where it says otherwise', () => {
    const row = list[NAME];
    if (row === undefined) throw new Error('the row is gone');
    const dana = principal('by_dana');
    const frozen = input(dana, { frozen: true, direction: 'off' });
    expect(guarded(frozen, { [NAME]: { ...row, under_freeze: 'refused' } })).toBe('frozen');
    const on = input(dana, { frozen: true, direction: 'on' });
    expect(guarded(on, { [NAME]: { ...row, under_freeze: 'passes' } })).toBe('allow');
    expect(guarded(input(dana), { [NAME]: { ...row, never: ['person'] } })).toBe('not_a_person');
    expect(guarded(input(dana, { parked: true }), { [NAME]: { ...row, when_parked: 'passes' } })).toBe(
      'allow',
    );
  });

  it('let no policy allow what the list does not have', () => {
    expect(guarded(input(principal('by_dana')), OPERATIONS)).toBe('unknown_operation');
  });
});

describe('everything else that derives from the list', () => {
  it('has it: policy data, older bundles, help, docs', () => {
    expect(policyDataOf(list)[NAME]).toEqual({
      at: 'request',
      audiences: ['audit'],
      by: ['person', 'broker'],
      under_freeze: 'safe_only',
      shows: 'override',
    });
    expect(askedName(NAME, new Set(['request.propose']), list)).toBe('request.propose');
    expect(operationsBy('person', list)).toContain(NAME);
    const all = Object.keys(OPERATIONS);
    expect(operationsUnknownTo(new Set(all), list)).toEqual([]);
    const withoutFormer = new Set(all.filter((name) => name !== 'request.propose'));
    expect(operationsUnknownTo(withoutFormer, list)).toEqual(['request.propose', NAME]);
    expect(operationsUnknownTo(new Set(), list)).toEqual([]);
    expect(operationsBy('agent', list)).not.toContain(NAME);
    expect(operationsHelp([NAME], list)).toContain(`${NAME}  Put a flag away.`);
    expect(shownBy(list, 'override')).toContain(NAME);
    expect(operationsTable(list)).toContain(
      `| \`${NAME}\` (formerly \`request.propose\`) | Put a flag away. | persons, the broker | agents |`,
    );
  });
});
