import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { importsOf, readSources, type Source } from './support/sources.ts';

const sources = [...readSources('src', '.ts'), ...readSources('src', '.tsx')];

/** Small files at the bottom, which everybody may use. */
const GROUND =
  /^src\/(errors|problems|clock|durable-file|json|json-members|json-numbers|logger|moment|operations|person-name|principal|random|reason|schema-faults|unicode-tables|unknown-name|strong-tag|sync-folder|tracing|version|yaml)\.ts$/;

/** Files that speak HTTP: they may reach every use case, and nothing below them may reach them. */
const EDGE =
  /^src\/([a-z-]+\/([a-z-]+-)?routes|decide\/edge|data\/(flagd|ofrep(-paths|-reply|-stream)?|request-body|snapshot-events))\.ts$/;

/** The folders that each folder may import, besides itself and the ground (design section 13). */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  // What others are built on.
  tree: [],
  store: ['tree'],
  flags: [],
  identity: [],
  http: [],
  log: ['store', 'tree'],
  witness: ['store', 'tree'],
  // What relays and auditors verify, so it knows no broker.
  snapshot: ['flags', 'tree'],
  policy: ['flags', 'log', 'store'],
  decide: ['flags', 'identity', 'log', 'policy', 'store'],
  // Domains. Request kinds import them; they never import requests.
  issuers: ['identity'],
  trust: ['identity', 'issuers', 'policy'],
  keys: ['decide', 'identity', 'store', 'tree'],
  emergency: ['decide', 'flags', 'policy', 'store'],
  revocation: ['decide', 'identity', 'keys', 'log', 'policy', 'store', 'trust'],
  access: ['decide', 'identity', 'policy', 'store', 'trust'],
  activation: ['decide', 'flags', 'policy', 'store', 'trust'],
  erasure: ['decide', 'flags', 'log', 'policy', 'revocation', 'store'],
  retention: ['decide', 'erasure', 'log', 'store'],
  // What people, pipelines and time ask for.
  requests: ['activation', 'decide', 'emergency', 'erasure', 'flags', 'log', 'policy', 'revocation', 'store'],
  schedule: ['decide', 'requests', 'store'],
  tokens: ['decide', 'identity', 'issuers', 'keys', 'policy', 'revocation', 'store', 'trust'],
  sessions: ['decide', 'identity', 'issuers', 'policy', 'revocation', 'store'],
  explain: ['decide', 'emergency', 'log', 'policy', 'requests', 'store'],
  // What people see of it.
  inbox: ['decide', 'policy', 'requests', 'store'],
  preview: ['data', 'decide', 'explain', 'flags', 'requests', 'store'],
  organizations: ['data', 'decide', 'flags', 'preview', 'requests', 'store'],
  events: ['decide', 'emergency', 'http', 'identity', 'log', 'policy', 'store'],
  // What an operator decides at the machine.
  operator: ['log', 'policy', 'store'],
  audit: ['decide', 'flags', 'log', 'policy', 'snapshot', 'store', 'tree'],
  publication: [
    'decide',
    'flags',
    'identity',
    'issuers',
    'log',
    'policy',
    'snapshot',
    'store',
    'tree',
    'trust',
  ],
  // Applications: neither policy nor decide is asked.
  data: ['flags', 'http', 'store'],
  // The same read side, with public keys and without a store.
  relay: ['data', 'flags', 'http', 'identity', 'issuers', 'snapshot', 'tree', 'trust'],
  cli: [
    'access',
    'activation',
    'audit',
    'emergency',
    'erasure',
    'explain',
    'flags',
    'http',
    'identity',
    'inbox',
    'issuers',
    'keys',
    'log',
    'operator',
    'policy',
    'relay',
    'requests',
    'retention',
    'revocation',
    'sessions',
    'snapshot',
    'store',
    'tokens',
    'tree',
    'trust',
    'witness',
  ],
};

/** Files outside of the folders, and the edge; the first row that fits counts. */
const FILES: readonly { part: RegExp; may: RegExp | null }[] = [
  { part: GROUND, may: null },
  { part: /^src\/main\.ts$/, may: /^src\/cli\// },
  {
    part: /^src\/broker(-inside|-surface)?\.ts$/,
    may: /^src\/(app|broker-inside|broker-surface|config|routes)\.ts$|^src\/[a-z-]+\/(?!.*routes)/,
  },
  // The list of routes; `app.ts` serves it.
  { part: /^src\/routes\.ts$/, may: /^src\/[a-z-]+\/(.*routes|route)\.ts$|^src\/decide\/control\.ts$/ },
  {
    part: /^src\/app\.ts$/,
    may: /^src\/routes\.ts$|^src\/[a-z-]+\/(.*routes|edge|flagd|ofrep|snapshot-events)\.ts$|^src\/http\//,
  },
  {
    part: /^src\/config(-schema)?\.ts$/,
    may: /^src\/config-(addresses|faults|schema)\.ts$|^src\/(data\/sync-config|http\/client-address|issuers\/(issuers|subjects)|keys\/master-key-config|policy\/bundle-keys|store\/database-address|tree\/cosignature)\.ts$/,
  },
  { part: /^src\/config-(addresses|faults)\.ts$/, may: null },
  { part: EDGE, may: /^src\/[a-z-]+\// },
  { part: /^src\/relay\/listener\.ts$/, may: /^src\/data\/(flagd|ofrep|ofrep-stream)\.ts$/ },
  { part: /^src\/relay\/config\.ts$/, may: /^src\/config-(addresses|faults)\.ts$/ },
  // The console knows shapes alone; see below.
  { part: /^src\/console\//, may: /^src\/[a-z-]+\/|^src\/(routes|errors)\.ts$/ },
  // Routes say what shape answers have.
  { part: /^src\/cli\//, may: /^src\/(broker|config)\.ts$|routes\.ts$/ },
];

/** Where each package may be known, so that replacing one stays a change of one place. */
const VENDORS: Readonly<Record<string, RegExp>> = {
  express: /^src\/(app\.ts|http\/.*|.*routes\.ts)$/,
  helmet: /^src\/app\.ts$/,
  'zod-openapi': /^src\/http\/openapi(-answers)?\.ts$/,
  jose: /^src\/((identity|issuers|keys|publication|relay|snapshot|tokens|sessions|cli)\/|policy\/bundle-signature\.ts$)/,
  'openid-client': /^src\/(sessions|cli)\//,
  '@open-policy-agent/opa-wasm': /^src\/policy\/engine\.ts$/,
  '@openfeature/flagd-core': /^src\/data\/flagd-documents\.ts$/,
  '@grpc/grpc-js': /^src\/data\/flagd-sync(-server)?\.ts$/,
  '@grpc/proto-loader': /^src\/data\/flagd-sync-server\.ts$/,
  'better-sqlite3': /^src\/store\//,
  pg: /^src\/store\/postgres\//,
  kysely: /^src\/store\//,
  'kysely/migration': /^src\/store\//,
  pino: /^src\/logger\.ts$/,
  '@opentelemetry/api': /^src\/tracing\.ts$/,
  'prom-client': /^src\/http\/((relay|snapshot)-)?metrics\.ts$/,
  'rate-limiter-flexible': /^src\/http\/rate-limit\.ts$/,
  'tar-stream': /^src\/policy\/archive\.ts$/,
  imurmurhash: /^src\/flags\/bucket\.ts$/,
  rfc6902: /^src\/activation\/patch\.ts$/,
  canonicalize: /^src\/json\.ts$/,
  commander: /^src\/cli\//,
  react: /^src\/console\//,
  'react-dom/client': /^src\/console\/main\.tsx$/,
  '@tanstack/react-query': /^src\/console\//,
  '@tanstack/react-router': /^src\/console\//,
  vite: /^src\/console\/vite\.config\.ts$/,
};

/** The folder of `src` that a file is in, or undefined. */
function roomOf(path: string): string | undefined {
  return /^src\/([a-z-]+)\//.exec(path)?.[1];
}

function isAllowed(from: Source, to: string): boolean {
  if (GROUND.test(to)) return true;
  const row = FILES.find(({ part }) => part.test(from.path));
  if (row?.may?.test(to) === true) return true;
  const [room, other] = [roomOf(from.path), roomOf(to)];
  if (room === undefined || other === undefined || EDGE.test(to)) return false;
  return room === other || ROOMS[room]?.includes(other) === true;
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
    const paths = new Set([...sources, ...readSources('src', '.css')].map((source) => source.path));
    const own = sources.flatMap(importsOf).filter((to) => to.startsWith('src/'));
    expect(own.length).toBeGreaterThan(100);
    expect(own.filter((to) => !paths.has(to))).toEqual([]);
  });

  it('have no cycles, not even for types', () => {
    const graph = new Map(
      sources.map((source) => [source.path, importsOf(source).filter((to) => to.startsWith('src/'))]),
    );
    const done = new Set<string>();
    expect(
      sources.map(({ path }) => findCycle(path, graph, done)).find((cycle) => cycle !== null),
    ).toBeUndefined();
  });

  it('of the console are types wherever they leave it, so that no code of the broker reaches a browser', () => {
    const code = sources
      .filter(({ path }) => path.startsWith('src/console/'))
      .flatMap(({ path, text }) =>
        importsOf({ path, text: text.replaceAll(/^import type .*?;$/gms, '') })
          .filter((to) => to.startsWith('src/') && !to.startsWith('src/console/'))
          .map((to) => `${path} -> ${to}`),
      );
    expect(code).toEqual([]);
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
    ...readSources('src', '.css'),
    ...readSources('test', '.ts'),
    ...readSources('fixtures', '.ts'),
    ...readSources('policies', '.rego'),
  ];

  it('has at most 500 lines', () => {
    expect(all.length).toBeGreaterThan(100);
    expect(all.filter(({ text }) => text.split('\n').length > 501).map(({ path }) => path)).toEqual([]);
  });

  it('is not a barrel: none is called index, none exports everything of another', () => {
    expect(all.filter(({ path }) => path.endsWith('/index.ts')).map(({ path }) => path)).toEqual([]);
    expect(all.filter(({ text }) => /^export \*/m.test(text)).map(({ path }) => path)).toEqual([]);
  });
});

describe('the walk of one write in the README', () => {
  const page = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const walk = /^## The journey of one write$(.*?)^## /ms.exec(page)?.[1] ?? '';
  const steps = walk.split(/\n(?=\d+\. )/).slice(1);
  const named = steps.map((step) => [...step.matchAll(/\]\((src[^)]+)\)/g)].map((match) => match[1] ?? ''));

  it('names about a dozen existing files', () => {
    const paths = new Set(sources.map(({ path }) => path));
    const walked = named.slice(0, -1).flat();
    expect(walked.length).toBeGreaterThan(11);
    expect(walked.length).toBeLessThan(16);
    expect(named.flat().filter((path) => !paths.has(path))).toEqual([]);
  });

  it('reads downwards: each step may import the next, but for the two that are marked', () => {
    expect(steps.filter((step) => step.includes('↑'))).toHaveLength(2);
    for (const [index, step] of steps.entries()) {
      const [from, to] = [named[index - 1]?.[0], named[index]?.[0]];
      if (from === undefined || to === undefined) continue;
      expect(isAllowed({ path: from, text: '' }, to), `${from} -> ${to}`).toBe(!step.includes('↑'));
    }
  });
});
