import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import { GUARDRAILS_VERSION } from '../../src/policy/guardrails.ts';
import { createPolicy, type Decision, type Policy, type Question } from '../../src/policy/policies.ts';
import { firstDifference, type KeptDecision, replayDecision } from '../../src/policy/replay.ts';
import { readFixtureBundle } from '../support/bundles.ts';
import { INPUTS } from '../support/inputs.ts';

/*
 * A decision is made again as it was made then: with the bundle, the version of the input and the guardrails of then.
 */

const NOW_MS = Date.UTC(2026, 10, 18, 9, 30);
let anybody: Policy;
let former: Policy;

beforeAll(async () => {
  anybody = await createPolicy(await readBundle(await readFixtureBundle('anybody')), { inputs: INPUTS });
  const shipped = await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
  const archive = await rebundle(shipped, (data) => {
    const { config } = data as { config: object };
    return { config: { ...config, input_version: 1 } };
  });
  former = await createPolicy(await readBundle(archive), { inputs: INPUTS });
});

async function question(): Promise<Question> {
  const base = new URL('../../fixtures/decisions/base.json', import.meta.url);
  return (JSON.parse(await readFile(base, 'utf8')) as { input: Question }).input;
}

function kept(decision: Decision): KeptDecision {
  const { effect, reasons, obligations, limits, guardrail = null } = decision;
  const { policy_hash, versions, input_json } = decision;
  return { policy_hash, versions, input_json, guardrail, result: { effect, reasons, obligations, limits } };
}

describe('a decision', () => {
  it('of version 1 of the input comes out the same', async () => {
    const decision = kept(former.decide(await question(), NOW_MS));
    expect(decision.versions.input).toBe(1);
    expect(replayDecision(former, decision)).toEqual({ outcome: 'same' });
  });

  it('is overruled by the guardrails of then, not by those of now', async () => {
    // Version 1 let one person lift a freeze, if the policy did.
    const asked = await question();
    const freeze = { id: 'frz-1', scope: 'all', environment: null, namespace: null, flag: null };
    const request = {
      ...(asked.request ?? expect.unreachable()),
      kind: 'freeze.lift',
      changes: [],
      object: { type: 'freeze', ...freeze, incident: 'INC-7', reason: 'over' },
    };
    const author = { ...request.proposer, groups: ['anybody'] };
    const approvals = [{ principal: author, digest: request.digest, at_ms: NOW_MS }];
    const decided = anybody.decide({ ...asked, operation: 'request.apply', approvals, request }, NOW_MS);
    expect(decided).toMatchObject({ effect: 'hold', guardrail: 'two_persons' });
    expect(replayDecision(anybody, kept(decided))).toEqual({ outcome: 'same' });
    const versions = { ...decided.versions, guardrails: 1 };
    const then = anybody.replay(decided.input_json, versions);
    expect(then.effect).toBe('allow');
    const { effect, reasons, obligations, limits } = then;
    const result = { effect, reasons, obligations, limits };
    expect(replayDecision(anybody, { ...kept(decided), versions, result, guardrail: null })).toEqual({
      outcome: 'same',
    });
    expect(replayDecision(anybody, { ...kept(decided), result, guardrail: null })).toMatchObject({
      outcome: 'different',
      difference: { part: 'result', pointer: '/effect', recorded: 'allow', replayed: 'hold' },
    });
  });

  it.each([{ input: 99 }, { result: 99 }, { guardrails: GUARDRAILS_VERSION + 1 }])(
    'of versions that this broker does not know (%j) is not judged',
    async (version) => {
      const decision = kept(former.decide(await question(), NOW_MS));
      const versions = { ...decision.versions, ...version };
      expect(replayDecision(former, { ...decision, versions })).toEqual({
        outcome: 'not_replayable',
        code: 'version_unknown',
      });
    },
  );
});

describe('the first difference', () => {
  it.each([
    [{ a: 1, b: 2 }, { b: 2, a: 1 }, null],
    [{ a: 1 }, { a: 2 }, { pointer: '/a', recorded: 1, replayed: 2 }],
    [
      { b: 1, a: [1, 2] },
      { b: 2, a: [1, 3] },
      { pointer: '/a/1', recorded: 2, replayed: 3 },
    ],
    [{ a: [] }, { a: {} }, { pointer: '/a', recorded: [], replayed: {} }],
    [{}, { a: 1 }, { pointer: '/a', recorded: undefined, replayed: 1 }],
    [{ a: null }, {}, { pointer: '/a', recorded: null, replayed: undefined }],
    [{ 'a/b~c': 1 }, { 'a/b~c': 2 }, { pointer: '/a~1b~0c', recorded: 1, replayed: 2 }],
    [[1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1], [1, 2, 3, 4, 5, 6, 7, 8, 9, 0], { pointer: '/10', recorded: 1 }],
  ])('of %j and %j is %j (RFC 8785, RFC 6901)', (recorded, replayed, difference) => {
    const found = firstDifference(recorded, replayed);
    if (difference === null) expect(found).toBeNull();
    else expect(found).toEqual(difference);
  });
});
