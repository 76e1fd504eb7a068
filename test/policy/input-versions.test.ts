import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { rebundle } from '../../fixtures/rebundle.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import { type InputRequest, NO_EMERGENCY } from '../../src/policy/input.ts';
import { jsonSchemaText } from '../../src/policy/json-schema.ts';
import { createPolicy, type Policy, type Question } from '../../src/policy/policies.ts';
import { schedulerPrincipal } from '../../src/principal.ts';
import { INPUTS } from '../support/inputs.ts';

/*
 * A bundle declares the version of the input document that it reads, and gets exactly that. Those that declare none were
 * made when there was one version; their documents are decided on again for years.
 */

const SHIPPED = new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url);
const NOW_MS = Date.UTC(2026, 10, 18, 9, 30);

async function policyThatReads(version: number | undefined): Promise<Policy> {
  const archive = await rebundle(await readFile(SHIPPED), (data) => {
    const { config } = data as { config: object };
    return { config: { ...config, input_version: version } };
  });
  return createPolicy(await readBundle(archive), { inputs: INPUTS });
}

const freeze = {
  id: 'frz-1',
  scope: 'namespace',
  environment: null,
  namespace: 'payments',
  flag: null,
  incident: 'INC-7',
  reason: 'checkout errors',
};
const revocation = {
  id: 'rev-1',
  kind: 'subject',
  value: 'emp-1001',
  issued_before_ms: null,
  incident: 'INC-8',
  reason: 'a lost laptop',
};

function questionAbout(request: Partial<InputRequest>): Question {
  return {
    operation: 'request.propose',
    principal: schedulerPrincipal,
    environment: null,
    namespace: null,
    request: {
      id: 'req-1',
      kind: 'flag.change',
      digest: 'sha256:1',
      proposer: schedulerPrincipal,
      authors: [],
      created_ms: NOW_MS,
      reason: 'x',
      ticket: null,
      changes: [],
      object: null,
      facts: { direction: 'neutral', definition: false, organizations: [], namespaces: [] },
      ...request,
    },
    approvals: [],
    rejections: [],
    emergency: NO_EMERGENCY,
  };
}

let former: Policy;
let present: Policy;

beforeAll(async () => {
  former = await policyThatReads(undefined);
  present = await policyThatReads(2);
});

function shownTo(policy: Policy, question: Question) {
  const { input_json, versions, reasons } = policy.decide(question, NOW_MS);
  return { document: JSON.parse(input_json), versions, reasons };
}

describe('a bundle that declares no version', () => {
  it('is shown version 1: a freeze to lift as `freeze`, and no object', () => {
    const { document, versions } = shownTo(
      former,
      questionAbout({ kind: 'freeze.lift', object: { type: 'freeze', ...freeze } }),
    );
    expect(versions.input).toBe(1);
    expect(document.schema_version).toBe(1);
    expect(document.request).toMatchObject({ kind: 'freeze.lift', freeze });
    expect(Object.keys(document.request)).not.toContain('object');
    expect(Object.keys(document.request)).not.toContain('revocation');
  });

  it('is shown a revocation to lift as `revocation`, without the tag', () => {
    const { document } = shownTo(
      former,
      questionAbout({ kind: 'revocation.lift', object: { type: 'revocation', ...revocation } }),
    );
    expect(document.request.revocation).toEqual(revocation);
    expect(document.request.freeze).toBeNull();
  });

  it('is shown a change of flags as it always was, parked or not', () => {
    expect(shownTo(former, questionAbout({})).document.request).toMatchObject({ freeze: null });
    expect(shownTo(former, questionAbout({ parked: true })).document.request.parked).toBe(true);
    expect(Object.keys(shownTo(former, questionAbout({})).document.request)).not.toContain('parked');
  });

  it('is not asked about a kind that version 1 does not have: the fact is missing', () => {
    const { reasons } = shownTo(
      former,
      questionAbout({ kind: 'note.post', object: { type: 'note', text: 'x' } }),
    );
    expect(reasons).toMatchObject([{ code: 'missing_fact' }]);
  });
});

describe('the schema of version 1', () => {
  /** Without what is free to differ: the order of members, what is said about them, and the operations, which grow. */
  function comparable(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(comparable);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .filter(([name, member]) => name !== 'description' || typeof member !== 'string')
        .toSorted(([one], [other]) => (one < other ? -1 : 1))
        .map(([name, member]) => {
          if (name === 'required') return [name, [...(member as string[])].sort()];
          return [name, name === 'operation' ? 'any operation' : comparable(member)];
        }),
    );
  }

  it('is what it was when it was the only one, whatever is added to later versions', async () => {
    const then = await readFile(new URL('../../fixtures/schemas/input-v1.json', import.meta.url), 'utf8');
    const schema = INPUTS.get(1)?.schema;
    expect(schema).toBeDefined();
    const now = jsonSchemaText(schema ?? z.never());
    expect(comparable(JSON.parse(now))).toEqual(comparable(JSON.parse(then)));
  });
});

describe('a bundle that declares version 2', () => {
  it('is shown one tagged object', () => {
    const object = { type: 'freeze', ...freeze };
    const { document, versions } = shownTo(present, questionAbout({ kind: 'freeze.lift', object }));
    expect(versions.input).toBe(2);
    expect(document).toMatchObject({ schema_version: 2, request: { object } });
    expect(Object.keys(document.request)).not.toContain('freeze');
  });

  it('is asked nothing about an object of another shape, or of no kind', () => {
    const broken = { type: 'freeze', ...freeze, scope: 'galaxy' };
    for (const object of [broken, { type: 'gate' }, { ...freeze, type: 'revocation' }]) {
      const { reasons } = shownTo(present, questionAbout({ kind: 'freeze.lift', object }));
      expect(reasons).toMatchObject([{ code: 'missing_fact' }]);
    }
  });
});

describe('a declared version', () => {
  it.each([0, 3, '2', 1.5, null])('of %s is refused with the bundle', async (version) => {
    await expect(policyThatReads(version as number)).rejects.toThrow(/input_version/);
  });
});

describe('a replay', () => {
  it('answers by the versions that decided then, whatever the bundle reads now', () => {
    const decided = former.decide(questionAbout({}), NOW_MS);
    const { effect, reasons, obligations, limits } = decided;
    expect(former.replay(decided.input_json, decided.versions)).toEqual({
      effect,
      reasons,
      obligations,
      limits,
    });
    // The document is of version 1, so that as version 2 it lacks what it must have.
    expect(former.replay(decided.input_json, { ...decided.versions, input: 2 }).reasons).toMatchObject([
      { code: 'missing_fact' },
    ]);
  });

  it.each(['input', 'result', 'guardrails'] as const)(
    'with an unknown version of the %s fails aloud',
    (what) => {
      const { input_json, versions } = former.decide(questionAbout({}), NOW_MS);
      expect(() => former.replay(input_json, { ...versions, [what]: 99 })).toThrow(/version 99/);
    },
  );
});
