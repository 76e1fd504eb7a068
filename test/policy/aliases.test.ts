import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { type Bundle, readBundle, readStoredBundle } from '../../src/policy/bundle.ts';
import { resolvePerson } from '../../src/policy/persons.ts';
import { createPolicy } from '../../src/policy/policies.ts';
import { withConfig } from '../support/activation.ts';
import { INPUTS } from '../support/inputs.ts';
import { personOf } from '../support/local-control.ts';

/*
 * Aliases of persons: one human stays one person over every chain, in the broker and in Rego.
 */

async function bundleWith(persons: Record<string, string>, read = readBundle): Promise<Bundle> {
  const shipped = await readFile(new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url));
  return read(await withConfig(shipped, (config) => Object.assign(config, { persons })));
}

const CHAIN = {
  'github:5001': 'corp:dana',
  'corp:dana': 'badge-7',
  'badge-7': 'emp-1001',
  'emp-1001': 'emp-1001',
};

describe('a chain of aliases', () => {
  it.each(Object.keys(CHAIN))('is resolved from %s to its end', async (alias) => {
    expect(resolvePerson(await bundleWith(CHAIN), alias)).toBe('emp-1001');
  });

  it.each(Object.keys(CHAIN))(
    'makes %s the author of what any of its names proposed, in Rego too',
    async (approver) => {
      const policy = await createPolicy(await bundleWith(CHAIN), { inputs: INPUTS });
      const author = personOf('author', ['payments-developers'], 'github:5001');
      const decision = policy.decide(
        {
          operation: 'request.withdraw',
          principal: personOf('other-account', [], approver),
          environment: { key: 'production', kind: 'production' },
          namespace: null,
          request: {
            id: 'r',
            kind: 'flag.change',
            digest: 'sha256:1',
            proposer: author,
            authors: ['github:5001'],
            created_ms: 0,
            reason: '',
            ticket: null,
            changes: [],
            object: null,
            facts: { direction: 'neutral', definition: false, organizations: [], namespaces: [] },
          },
          approvals: [],
          rejections: [],
          emergency: { frozen: false, freezes: [], engage: null, breakglass: null, breakglass_recent: 0 },
        },
        0,
      );
      expect(decision.effect).toBe('allow');
    },
  );

  it.each([
    ['two names', { a: 'b', b: 'a' }, 'a -> b -> a has no end'],
    ['more names', { d: 'a', a: 'b', b: 'c', c: 'a' }, 'a -> b -> c -> a has no end'],
  ])('without an end is refused: %s', async (_what, persons, says) => {
    await expect(bundleWith(persons)).rejects.toThrow(says);
  });

  it('without an end is one human in a bundle that is stored already', async () => {
    const bundle = await bundleWith({ d: 'c', c: 'b', b: 'c', B: 'c' }, readStoredBundle);
    for (const name of ['b', 'c', 'd', 'B']) expect(resolvePerson(bundle, name)).toBe('b');
  });
});

describe('a name that is not canonical', () => {
  it.each([
    ['another case', 'GitHub:5001', 'write "github:5001"'],
    ['NFD', 'zoe\u0308', 'write "zo\u00eb"'],
    ['a letter that folds to two', 'stra\u00dfe', 'write "strasse"'],
    ['a compatibility character', '\uff45mp-1001', 'write "emp-1001"'],
    ['a trailing blank', 'emp-1001 ', 'contains a blank: remove it'],
    ['an invisible character', 'emp\u200b', 'contains an invisible character: remove it'],
    ['an unassigned code point', 'emp\u0378', 'does not assign: remove it'],
    ['nothing', '', 'is empty: remove it'],
    ['the id of a principal', 'person:corp:dana', 'without the kind'],
  ])('is refused as alias and as target, with the right one: %s', async (_what, name, says) => {
    await expect(bundleWith({ [name]: 'emp-1' })).rejects.toThrow(says);
    await expect(bundleWith({ 'github:1': name })).rejects.toThrow(says);
  });

  it('is folded in a bundle that is stored already', async () => {
    const bundle = await bundleWith({ 'zoe\u0308': 'stra\u00dfe ' }, readStoredBundle);
    expect(resolvePerson(bundle, 'ZO\u00cb')).toBe('strasse');
  });
});
