import { describe, expect, it } from 'vitest';
import { importsOf, readSources, type Source } from './support/sources.ts';

const sources = readSources('src', '.ts');

/** Small files at the bottom, which everybody may use. */
const GROUND = /^src\/(errors|clock|json|json-members|operations|schema-faults|version)\.ts$/;

/** Files that speak HTTP: they may reach every use case, and nothing below them may reach them. */
const EDGE =
  /^src\/([a-z-]+\/([a-z-]+-)?routes|use-case\/edge|data\/ofrep|data\/ofrep-reply|data\/request-body)\.ts$/;

/** What each part may import besides itself and the ground (design section 13). The first row that fits counts. */
const PARTS: readonly { part: RegExp; may: RegExp | null }[] = [
  { part: GROUND, may: null },
  { part: /^src\/main\.ts$/, may: /^src\/cli\// },
  {
    part: /^src\/cli\//,
    may: /^src\/(broker|config)\.ts$|^src\/(access|audit|control|emergency|flags|http|identity|policy|revocation|sessions|store|tokens)\//,
  },
  { part: /^src\/parts\.ts$/, may: /^src\/config\.ts$|^src\/[a-z-]+\/(?!.*routes)/ },
  { part: /^src\/broker\.ts$/, may: /^src\/(app|caller|config|parts)\.ts$|^src\/[a-z-]+\/(?!.*routes)/ },
  { part: /^src\/caller\.ts$/, may: /^src\/(identity|policy|sessions|store)\// },
  { part: /^src\/app\.ts$/, may: /^src\/[a-z-]+\/(.*routes|edge|ofrep)\.ts$|^src\/(http|identity)\// },
  {
    part: /^src\/config\.ts$/,
    may: /^src\/config-addresses\.ts$|^src\/identity\/(issuers|master-key-config)\.ts$/,
  },
  { part: /^src\/config-addresses\.ts$/, may: null },
  {
    part: EDGE,
    may: /^src\/(access|audit|control|data|emergency|flags|http|identity|policy|revocation|sessions|store|tokens|use-case)\//,
  },
  { part: /^src\/http\//, may: null },
  { part: /^src\/store\//, may: null },
  { part: /^src\/audit\//, may: /^src\/(policy|store)\// },
  { part: /^src\/policy\//, may: null },
  { part: /^src\/flags\//, may: /^src\/policy\// },
  { part: /^src\/data\//, may: /^src\/(flags|store|http)\// },
  { part: /^src\/identity\//, may: /^src\/(identity|policy)\// },
  {
    part: /^src\/revocation\//,
    may: /^src\/(identity|policy|store|use-case)\/|^src\/(audit\/log|sessions\/sessions)\.ts$/,
  },
  {
    part: /^src\/sessions\//,
    may: /^src\/(identity|policy|store|use-case)\/|^src\/revocation\/revoke\.ts$/,
  },
  { part: /^src\/(access|tokens)\//, may: /^src\/(identity|policy|store|use-case)\// },
  {
    part: /^src\/control\//,
    may: /^src\/(audit|flags|policy|store|use-case)\/|^src\/http\/log\.ts$/,
  },
  { part: /^src\/emergency\//, may: /^src\/(control|flags|policy|store|use-case)\// },
  {
    part: /^src\/use-case\//,
    may: /^src\/(flags|policy|store)\/|^src\/audit\/log\.ts$|^src\/identity\/(credential|keys|master-key.*|refusal|revocations)\.ts$/,
  },
];

/** Where each package may be known, so that replacing one stays a change of one place. */
const VENDORS: Readonly<Record<string, RegExp>> = {
  express: /^src\/(app\.ts|http\/.*|use-case\/edge\.ts|.*routes\.ts)$/,
  helmet: /^src\/app\.ts$/,
  jose: /^src\/(identity|tokens|sessions|cli)\//,
  'openid-client': /^src\/(sessions|cli)\//,
  '@open-policy-agent/opa-wasm': /^src\/policy\/engine\.ts$/,
  'better-sqlite3': /^src\/store\/database\.ts$/,
  kysely: /^src\/store\//,
  'kysely/migration': /^src\/store\//,
  pino: /^src\/http\/log\.ts$/,
  'prom-client': /^src\/http\/metrics\.ts$/,
  'rate-limiter-flexible': /^src\/http\/rate-limit\.ts$/,
  'tar-stream': /^src\/policy\/bundle\.ts$/,
  imurmurhash: /^src\/flags\/bucket\.ts$/,
  canonicalize: /^src\/json\.ts$/,
  commander: /^src\/cli\//,
};

function folderOf(path: string): string {
  return path.split('/').slice(0, -1).join('/');
}

function isAllowed(from: Source, to: string): boolean {
  const row = PARTS.find(({ part }) => part.test(from.path));
  if (row === undefined) return false;
  if (GROUND.test(to) || row.may?.test(to) === true) return true;
  // Within a folder everybody may know everybody, but nobody the edge.
  return folderOf(from.path) === folderOf(to) && folderOf(to) !== 'src' && !EDGE.test(to);
}

/** The first cycle that a walk from `path` meets, or null. */
function findCycle(
  path: string,
  graph: ReadonlyMap<string, string[]>,
  done: Set<string>,
  trail: string[] = [],
): string[] | null {
  if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
  if (done.has(path)) return null;
  for (const next of graph.get(path) ?? []) {
    const cycle = findCycle(next, graph, done, [...trail, path]);
    if (cycle !== null) return cycle;
  }
  done.add(path);
  return null;
}

describe('imports', () => {
  it('point one way', () => {
    const wrong = sources.flatMap((source) =>
      importsOf(source)
        .filter((to) => to.startsWith('src/') && !isAllowed(source, to))
        .map((to) => `${source.path} -> ${to}`),
    );
    expect(wrong).toEqual([]);
  });

  it('name files that exist', () => {
    const paths = new Set(sources.map((source) => source.path));
    const own = sources.flatMap(importsOf).filter((to) => to.startsWith('src/'));
    expect(own.length).toBeGreaterThan(100);
    expect(own.filter((to) => !paths.has(to))).toEqual([]);
  });

  it('go in no circle, not even for types', () => {
    const graph = new Map(
      sources.map((source) => [source.path, importsOf(source).filter((to) => to.startsWith('src/'))]),
    );
    const done = new Set<string>();
    expect(
      sources.map(({ path }) => findCycle(path, graph, done)).find((cycle) => cycle !== null),
    ).toBeUndefined();
  });

  it.each(Object.keys(VENDORS))('of %s stay where it is wrapped', (vendor) => {
    const users = sources.filter((source) => importsOf(source).includes(vendor)).map((source) => source.path);
    expect(users.length).toBeGreaterThan(0);
    expect(users.filter((path) => VENDORS[vendor]?.test(path) !== true)).toEqual([]);
  });
});

describe('a file', () => {
  const all = [
    ...sources,
    ...readSources('test', '.ts'),
    ...readSources('fixtures', '.ts'),
    ...readSources('policies', '.rego'),
  ];

  it('has at most 500 lines', () => {
    expect(all.length).toBeGreaterThan(100);
    expect(all.filter(({ text }) => text.split('\n').length > 501).map(({ path }) => path)).toEqual([]);
  });

  it('is no barrel: none is called index, none exports everything of another', () => {
    expect(all.filter(({ path }) => path.endsWith('/index.ts')).map(({ path }) => path)).toEqual([]);
    expect(all.filter(({ text }) => /^export \*/m.test(text)).map(({ path }) => path)).toEqual([]);
  });
});
