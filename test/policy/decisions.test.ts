import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import { readBundle, readStoredBundle } from '../../src/policy/bundle.ts';
import { caseInput, type DecisionCase, readCases } from '../../src/policy/cases.ts';
import type { PolicyResult } from '../../src/policy/decision.ts';
import { createEngine, type Engine } from '../../src/policy/engine.ts';
import { inputSchemaOf } from '../../src/policy/input.ts';
import { createPolicy, type Policy, type Question } from '../../src/policy/policies.ts';
import { createZoneClock } from '../../src/policy/zones.ts';
import { inputJsonSchema } from '../../src/requests/input-schemas.ts';
import { REQUEST_KINDS } from '../../src/requests/kinds/kinds.ts';
import { readTestDataBundle } from '../support/bundles.ts';
import { INPUTS } from '../support/inputs.ts';

/**
 * The cases of fixtures/decisions through the module that is shipped. `opa test` runs the same cases through the
 * interpreter (`policies/countersign/decision_cases_test.rego`), so that the two engines are held to one answer.
 */

type JsonObject = Record<string, unknown>;

const FIXTURES = new URL('../../fixtures/decisions/', import.meta.url);
const POLICIES = new URL('../../policies/', import.meta.url);

const inputSchema = inputSchemaOf(REQUEST_KINDS);

/** As a bundle has them. */
const read = readCases(
  new Map(readdirSync(FIXTURES).map((name) => [`cases/${name}`, readFileSync(new URL(name, FIXTURES))])),
);
const files = [...read.files.keys()];
const cases = files.flatMap((file) =>
  (read.files.get(file) ?? []).map((example) => ({ file, example: example as Case })),
);
/** The cases here say everything that they expect. */
type Case = DecisionCase & { expected: Required<DecisionCase['expected']> };

function inputOf(example: DecisionCase): JsonObject {
  return caseInput(read, example) as JsonObject;
}

let engine: Engine;
let policy: Policy;
/** What `config/limits` says. */
let limits: JsonObject;

beforeAll(async () => {
  const bundle = await readTestDataBundle();
  engine = await createEngine(bundle);
  policy = await createPolicy(bundle, { inputs: INPUTS });
  limits = (bundle.data as { config: { limits: JsonObject } }).config.limits;
});

function decide(input: unknown): PolicyResult {
  return engine.evaluate(JSON.stringify(input));
}

describe.each(files)('%s', (file) => {
  it.each(
    cases.filter((entry) => entry.file === file).map(({ example }) => [example.name, example] as const),
  )('%s', (_name, example) => {
    const result = decide(inputSchema.parse(inputOf(example)));
    expect({ ...result, reasons: result.reasons.map((reason) => reason.code), limits: {} }).toEqual({
      ...example.expected,
      limits: {},
    });
    expect(result.limits).toEqual({ ...limits, ...example.expected.limits });
  });
});

describe('the fixtures', () => {
  it('have one name a case', () => {
    for (const file of files) {
      const names = cases.filter((entry) => entry.file === file).map(({ example }) => example.name);
      expect(new Set(names).size).toBe(names.length);
    }
  });

  it('read the clocks as the broker does', () => {
    const readZones = createZoneClock(['America/New_York', 'Europe/Berlin']);
    for (const { example } of cases) {
      const { clock } = inputSchema.parse(inputOf(example));
      expect(clock.zones, example.name).toEqual(readZones(clock.now_ms));
    }
  });

  it('and the eight that no case can give show every reason code that docs/policy.md lists, and no other', async () => {
    const text = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8');
    const section = /^## Reason codes$(.*?)^## /ms.exec(text)?.[1] ?? '';
    const documented = [...section.matchAll(/^\| `([a-z_]+)` \|/gm)].map((match) => match[1]);
    const shown = cases.flatMap(({ example }) => example.expected.reasons);
    expect([...new Set(documented)].sort()).toEqual(
      [...new Set([...shown, ...(await reasonsOutsideCases())])].sort(),
    );
  });
});

/** Cases are whole inputs of known operations under the shipped data; what else is denied, and why. */
async function reasonsOutsideCases(): Promise<string[]> {
  const exchanged = inputOf(caseOf(({ effect }) => effect === 'allow', 'token.exchange'));
  const { archive: present } = await readTestDataBundle();
  const withFolders = async (edit: (config: Record<string, JsonObject>) => JsonObject) => {
    const archive = await rebundle(present, (data) => {
      const { config } = data as { config: Record<string, JsonObject> };
      return { ...(data as JsonObject), config: { ...config, ...edit(config) } };
    });
    return createEngine(await readBundle(archive));
  };
  const lifeless = await withFolders(() => ({ token_lifetimes: {} }));
  const brief = await withFolders(() => ({ token_lifetimes: { default: 600, sign_in: 1 } }));
  const witnessed = await withFolders(() => ({ cosigned: { production: { max_age_s: 600 } } }));
  const patient = await withFolders(({ request_kinds = {} }) => {
    const promotion = { min_age_s: 100, min_decisions: 10 };
    const row = { ...(request_kinds['policy.activate'] as JsonObject), promotion };
    return { request_kinds: { ...request_kinds, 'policy.activate': row } };
  });
  const forgetful = await withFolders(({ request_kinds = {} }) => {
    const { retention: _, ...row } = request_kinds['person.erase'] as JsonObject;
    return { request_kinds: { ...request_kinds, 'person.erase': row } };
  });
  const erased = cases.find(({ example }) => example.name === 'erasure: nobody has approved yet');
  const activated = cases.find(({ example }) => example.name === 'activation: both are');
  const { request, ...activation } = inputOf(activated?.example as Case) as { request: JsonObject };
  const object = { ...(request.object as JsonObject), promotes: { age_s: 1, decisions: 1 } };
  // As one that was stored before data was checked: a new bundle like this is refused.
  const unclear = await createEngine(await readStoredBundle(await withUnclearCalendar()));
  const isHeldByWindow = ({ obligations }: Case['expected']) =>
    obligations?.some(({ kind }) => kind === 'window') === true;
  const closed = inputOf(caseOf(isHeldByWindow));
  const codes = [
    decide({ ...closed, operation: 'request.bless' }),
    decide({ ...closed, clock: { ...(closed.clock as JsonObject), zones: {} } }),
    lifeless.evaluate(JSON.stringify(exchanged)),
    brief.evaluate(JSON.stringify(closed)),
    witnessed.evaluate(JSON.stringify(closed)),
    patient.evaluate(JSON.stringify({ ...activation, request: { ...request, object } })),
    forgetful.evaluate(JSON.stringify(inputOf(erased?.example as Case))),
    unclear.evaluate(JSON.stringify(closed)),
  ].map(({ reasons }) => reasons.map(({ code }) => code));
  expect(codes).toEqual([
    expect.arrayContaining(['unknown_operation']),
    expect.arrayContaining(['zone_missing']),
    expect.arrayContaining(['lifetime_missing']),
    expect.arrayContaining(['sign_in_too_old']),
    expect.arrayContaining(['held_for_witnesses']),
    expect.arrayContaining(['promotion_too_early']),
    expect.arrayContaining(['retention_missing']),
    expect.arrayContaining(['holidays_missing', 'blackout_incomplete']),
  ]);
  return codes.flat();
}

/** The bundle without its holidays, and with a blackout that does not say when it ends. */
async function withUnclearCalendar(): Promise<Buffer> {
  return rebundle((await readTestDataBundle()).archive, (data) => {
    const { config } = data as { config: JsonObject };
    const blackouts = { endless: { zone: 'Europe/Berlin' } };
    return { ...(data as JsonObject), config: { ...config, holidays: {}, blackouts } };
  });
}

function caseOf(isWanted: (expected: Case['expected']) => boolean, operation?: string): Case {
  const found = cases.find(
    ({ example }) =>
      isWanted(example.expected) && (operation === undefined || inputOf(example).operation === operation),
  );
  if (found === undefined) throw new Error('there is no such case');
  return found.example;
}

describe('the input schema', () => {
  it('that Rego is checked against is the one the broker validates with', () => {
    expect(readFileSync(new URL('schemas/input.json', POLICIES), 'utf8')).toBe(inputJsonSchema());
  });
});

describe('the shipped policy', () => {
  const approvers = [
    'alex',
    'alex_strong',
    'sam',
    'sam_strong',
    'casey',
    'dana',
    'dana_alt',
    'job',
    'approving_agent',
  ];
  const tiers = ['informational', 'operational', 'sensitive', 'high-risk'];

  function proposal(
    tier: string,
    votes: readonly string[],
    { use = [], input = {} }: Pick<DecisionCase, 'use' | 'input'> = {},
  ): JsonObject {
    const changes = [{ flag: { tier } }];
    const expected = { effect: 'deny' } as const;
    return inputOf({ name: '', use: ['ticket', ...use], changes, approvals: [...votes], input, expected });
  }

  it('never takes away an obligation because an approval more has been given than is needed', () => {
    const rank = { deny: 0, hold: 1, allow: 2 };
    fc.assert(
      fc.property(
        fc.constantFrom(...tiers),
        fc.subarray(approvers),
        fc.constantFrom(...approvers),
        (tier, votes, one) => {
          const before = decide(proposal(tier, votes));
          const after = decide(proposal(tier, [...votes, one]));
          expect(rank[after.effect]).toBeGreaterThanOrEqual(rank[before.effect]);
        },
      ),
    );
  });

  it('never allows what only the author, workloads and agents have approved', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('operational', 'sensitive', 'high-risk'),
        fc.subarray(['dana', 'dana_alt', 'job', 'approving_agent']),
        (tier, votes) => {
          expect(decide(proposal(tier, votes)).effect).toBe('hold');
        },
      ),
    );
  });

  it('never counts an approval by the human behind the job, however their names are written', () => {
    const humans = [
      { alias: 'github:5001', votes: ['dana', 'dana_alt'] },
      {
        alias: 'github:5002',
        votes: ['alex', 'alex_strong', 'alex_second_account'],
      },
      { alias: 'github:5003', votes: ['sam', 'sam_strong'] },
      { alias: 'github:7777', votes: approvers },
    ];
    const written = fc.constantFrom(
      (alias: string) => alias,
      (alias: string) => alias.toUpperCase(),
      (alias: string) => alias.replace('github', 'GitHub'),
      (alias: string) => alias.replace('5', '\uff15'),
    );
    fc.assert(
      fc.property(
        fc.constantFrom('operational', 'sensitive', 'high-risk'),
        fc.constantFrom('request.propose', 'request.apply'),
        fc
          .constantFrom(...humans)
          .chain(({ alias, votes }) => fc.tuple(fc.constant(alias), fc.subarray(votes))),
        written,
        written,
        (tier, operation, [alias, votes], write, writeVote) => {
          const person = write(alias);
          const ofJob = { principal: { person }, request: { proposer: { person }, authors: [person] } };
          const input = proposal(tier, votes, {
            use: ['by_job', 'from_job'],
            input: { operation, ...ofJob },
          });
          const document = inputSchema.parse(input);
          const { schema_version: _, clock, approvals, ...question } = document;
          const written = approvals.map(({ principal, ...vote }) => ({
            ...vote,
            principal: { ...principal, person: principal.person && writeVote(principal.person) },
          }));
          // The broker gives the policy the canonical form; Rego only compares.
          const result = policy.decide({ ...question, approvals: written } as Question, clock.now_ms);
          expect(result.effect).toBe(alias === 'github:7777' ? 'deny' : 'hold');
        },
      ),
    );
  });

  it('never asks for less because of single users in the audience', () => {
    const rank = { deny: 0, hold: 1, allow: 2 };
    fc.assert(
      fc.property(fc.constantFrom(...tiers), fc.subarray(approvers), (tier, votes) => {
        const asked = (exception_used: boolean) =>
          decide(
            inputOf({
              name: '',
              use: ['ticket'],
              changes: [{ flag: { tier }, facts: { exception_used } }],
              approvals: votes,
              expected: { effect: 'deny' },
            }),
          );
        expect(rank[asked(true).effect]).toBeLessThanOrEqual(rank[asked(false).effect]);
      }),
    );
  });

  it('never allows high-risk with approvals of fewer than two humans', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...approvers), { maxLength: 8 }), (votes) => {
        const both = votes.includes('alex_strong') && votes.includes('sam_strong');
        expect(decide(proposal('high-risk', votes)).effect).toBe(both ? 'allow' : 'hold');
      }),
    );
  });

  it('denies an invalid input', () => {
    fc.assert(
      fc.property(fc.oneof(fc.object(), fc.array(fc.jsonValue()), fc.string()), (garbage) => {
        const result = decide(garbage);
        expect(result.effect).toBe('deny');
        expect(result.reasons.length).toBeGreaterThan(0);
      }),
    );
  });

  it('has the same answer for the same input', () => {
    for (const { example } of cases) expect(decide(inputOf(example))).toEqual(decide(inputOf(example)));
  });
});
