import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  askedName,
  CAPABILITIES,
  OPERATION_NAMES,
  OPERATIONS,
  type OperationList,
  policyDataOf,
} from '../../src/operations.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import { docPages } from '../docs/pages.ts';
import { shownBy } from '../support/reference/operations.ts';

/*
 * One list of operations: what else speaks of operations agrees with it, name by name.
 * `policy/new-operation` adds a row, and shows that what derives from the list follows.
 */

const ROOT = new URL('../../', import.meta.url);
const list: OperationList = OPERATIONS;
const rows = Object.entries(list);

function read(name: string): string {
  return readFileSync(new URL(name, ROOT), 'utf8');
}

/** The operations of which some policy data says something else than the list, has none, or has too much. */
function differences(operations: OperationList, data: Readonly<Record<string, object>>): string[] {
  const wanted = policyDataOf(operations);
  return [...new Set([...Object.keys(wanted), ...Object.keys(data)])].filter((name) => {
    const { roles: _, ...said } = (data[name] ?? {}) as { roles?: unknown };
    return !isDeepStrictEqual(said, wanted[name]);
  });
}

describe('the list', () => {
  it('lets nobody do what they never may, and no agent what it does not open to agents', () => {
    for (const [name, { by, never }] of rows) {
      expect(
        by.filter((kind) => kind !== 'broker' && never.includes(kind)),
        name,
      ).toEqual([]);
      expect(by.length, name).toBeGreaterThan(0);
      // The broker alone asks for it. Guardrails of version 1 refuse nobody.
      if (name === 'request.expire') continue;
      expect(by.includes('agent') || never.includes('agent'), name).toBe(true);
    }
  });

  it('records everything that changes something', () => {
    for (const [name, { recorded, changes }] of rows) {
      if (changes !== 'nothing') expect(recorded, name).toBe('always');
    }
  });

  it('lets a freeze stop whatever writes flags, except for what is safer by its own rule', () => {
    const passing = rows.flatMap(([name, { changes, under_freeze }]) =>
      changes === 'flags' && under_freeze === 'passes' ? [name] : [],
    );
    expect(passing).toEqual(['breakglass.apply']);
  });

  it('shows every capability, by operations that have it', () => {
    for (const capability of CAPABILITIES) expect(shownBy(list, capability), capability).not.toEqual([]);
    for (const [name, { shows, capability }] of rows) if (shows) expect(capability, name).not.toBeNull();
  });

  it('renames what exists, without cycles, and guards it as before', () => {
    for (const [name, row] of rows) {
      const names = new Set([name]);
      for (let { formerly } = row; formerly !== null; formerly = list[formerly]?.formerly ?? null) {
        expect(names.has(formerly), name).toBe(false);
        names.add(formerly);
        const former = list[formerly];
        expect(former, name).toBeDefined();
        // The input names the former one where a bundle knows no other: guardrails look there.
        const guards = ({ never, under_freeze, when_parked }: typeof row) => [
          never,
          under_freeze,
          when_parked,
        ];
        expect(former && guards(former), name).toEqual(guards(row));
      }
    }
  });

  it('says what each is for in one sentence of its own', () => {
    expect(new Set(rows.map(([, { says }]) => says)).size).toBe(rows.length);
    for (const [name, { says }] of rows) expect(says, name).toMatch(/^[A-Z][^|\n.]*\.$/);
  });
});

describe('the data of the shipped policy', () => {
  const source = parse(read('policies/starter/config/operations/data.yaml')) as Record<string, object>;

  it('says of each operation what the list says, and of no other', () => {
    expect(differences(list, source)).toEqual([]);
  });

  it('is in the built bundle', async () => {
    const { data } = await readBundle(readFileSync(new URL('policies/examples/demo/bundle.tar.gz', ROOT)));
    expect((data as { config: { operations: object } }).config.operations).toEqual(source);
  });

  it('says who has each that asks for a role', () => {
    for (const [name, { at }] of rows) {
      const { roles } = source[name] as { roles: object };
      expect(Object.keys(roles).length > 0, name).toBe(at !== 'own' && at !== 'none');
    }
  });

  it('is reported where it differs: a missing row, an extra one, and each member', () => {
    const { 'flag.read': flagRead = {}, ...without } = source;
    expect(differences(list, without)).toEqual(['flag.read']);
    expect(differences(list, { ...source, 'flag.write': {} })).toEqual(['flag.write']);
    for (const member of ['at', 'audiences', 'by', 'under_freeze', 'shows']) {
      expect(differences(list, { ...source, 'flag.read': { ...flagRead, [member]: 'x' } })).toEqual([
        'flag.read',
      ]);
    }
  });
});

describe('docs', () => {
  const policy = read('docs/policy.md');

  it('say what shows each capability', () => {
    for (const capability of CAPABILITIES) {
      const row = new RegExp(`^\\| \`${capability}\` \\|.*$`, 'm').exec(policy)?.[0] ?? '';
      const named = [...row.matchAll(/`([a-z]+\.[a-z]+)`/g)].map(([, name]) => name);
      expect(named.toSorted(), capability).toEqual(shownBy(list, capability).toSorted());
    }
  });

  it('name no operation that does not exist', () => {
    const areas = new Set(OPERATION_NAMES.map((name) => name.split('.')[0]));
    // Kinds of requests, and files.
    const others = /\.(change|lift|mjs|rego|wasm)$/;
    // The reference has paths of members, which read alike.
    const pages = docPages().filter((page) => page !== 'docs/policy-reference.md');
    for (const page of [...pages, 'README.md']) {
      const named = [...read(page).matchAll(/`([a-z]+)\.([a-z]+)`/g)]
        .filter(([, area = '']) => areas.has(area))
        .map(([, area, verb]) => `${area}.${verb}`)
        .filter((name) => !others.test(name));
      expect(
        named.filter((name) => list[name] === undefined),
        page,
      ).toEqual([]);
    }
  });
});

describe('a bundle is asked about an operation', () => {
  const renamed = {
    one: { formerly: null },
    two: { formerly: 'one' },
    three: { formerly: 'two' },
  } as const;
  let shipped: ReadonlySet<string>;

  beforeAll(async () => {
    const bundle = await readBundle(readFileSync(new URL('policies/examples/demo/bundle.tar.gz', ROOT)));
    shipped = bundle.broker.operations;
  });

  it.each([
    ['three', ['one', 'two', 'three'], 'three'],
    ['three', ['one', 'two'], 'two'],
    ['three', ['one'], 'one'],
    ['three', [], 'one'],
    ['three', ['other'], 'one'],
    ['two', ['three'], 'one'],
    ['one', ['two', 'three'], 'one'],
    ['one', [], 'one'],
  ] as const)('%s, knowing %j, as %s', (operation, known, asked) => {
    expect(askedName<string>(operation, new Set(known), renamed)).toBe(asked);
  });

  it('under its own name, by the shipped policy', () => {
    for (const name of OPERATION_NAMES) expect(askedName(name, shipped, OPERATIONS)).toBe(name);
  });

  it('under the name that it came with, where that is no operation', () => {
    for (const name of ['flag.destroy', 'constructor', '__proto__'])
      expect(askedName<string>(name, new Set(), OPERATIONS)).toBe(name);
  });
});
