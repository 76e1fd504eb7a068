import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '../../src/http/metrics.ts';
import { PROBLEMS } from '../../src/problems.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag } from '../support/flags.ts';
import { listedIn, readPage } from './pages.ts';

const run = promisify(execFile);
const FOLDER = 'docs/examples/monitoring';
const page = readPage('docs/monitoring.md');

interface Rule {
  alert: string;
  expr: string;
  annotations: { summary: string; runbook_url: string };
}
const alerts = parse(readPage(`${FOLDER}/alerts.yaml`)) as { groups: { rules: Rule[] }[] };
const rules = alerts.groups.flatMap((group) => group.rules);

interface Panel {
  title: string;
  targets: { expr: string; legendFormat: string }[];
}
const { panels } = JSON.parse(readPage(`${FOLDER}/dashboard.json`)) as { panels: Panel[] };

/** The metrics of a broker by name, each with its labels. */
let metrics: ReadonlyMap<string, ReadonlySet<string>>;
let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
  // Metrics with labels show them once they have counted something.
  await createFlag(t, 'watched.flag');
  await t.call(null, 'GET', '/v1/requests');
  await t.call('dana', 'POST', '/ofrep/v1/evaluate/flags/watched.flag', { context: {} });
  metrics = metricsIn(await (await fetch(`${t.url}/metrics`)).text());
});
afterAll(() => t.close());

function metricsIn(text: string): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const [, name = ''] of text.matchAll(/^# TYPE (\S+)/gm)) found.set(name, new Set());
  for (const [, name = '', labels = ''] of text.matchAll(/^(\w+)\{(.*?)\} /gm)) {
    const base = found.has(name) ? name : name.replace(/_(?:bucket|sum|count)$/, '');
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) found.get(base)?.add(label);
  }
  return found;
}

/** The metrics that an expression reads, with the labels that it selects by, outside of what Prometheus itself adds. */
function readIn(expr: string): { name: string; labels: string[] }[] {
  return [...expr.matchAll(/\b((?:countersign|process|nodejs)_\w+)(?:\{(.*?)\})?/g)].map(
    ([, name = '', selector = '']) => ({
      name,
      labels: [...selector.matchAll(/(\w+) ?=~?/g)].map(([, label = '']) => label),
    }),
  );
}

const SCRAPED = new Set(['job', 'instance', 'le']);

const expressions = [
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
  ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)),
];

describe('the alerts and the dashboard', () => {
  it.each(expressions)('%s reads metrics and labels that the broker has', (title, expr) => {
    const read = readIn(expr);
    if (title !== 'CountersignDown') expect(read).not.toEqual([]);
    for (const { name, labels } of read) {
      const base = metrics.has(name) ? name : name.replace(/_(?:bucket|sum|count)$/, '');
      const has = metrics.get(base);
      expect(has, name).toBeDefined();
      const grouped = [...expr.matchAll(/\b(?:by|without) \(([\w, ]+)\)/g)].flatMap(([, list = '']) =>
        list.split(/, */),
      );
      for (const label of [...labels, ...grouped].filter((each) => !SCRAPED.has(each))) {
        // A label that is shown only once something happened is in the page's table.
        const documented = rowOf(base);
        expect([...(has ?? []), ...documented], `${name} ${label}`).toContain(label);
      }
    }
  });

  it.each(rules)('$alert names a section that says what to do', ({ alert, annotations }) => {
    expect(annotations.runbook_url).toBe(`docs/monitoring.md#${alert.toLowerCase()}`);
    expect(page).toContain(`### ${alert}\n`);
  });

  it('pass the checks and tests of promtool', async ({ skip }) => {
    const folder = fileURLToPath(new URL(`../../${FOLDER}`, import.meta.url));
    const promtool = (...words: string[]) => run('promtool', words, { cwd: folder });
    const found = await promtool('--version').then(
      () => true,
      () => false,
    );
    if (!found) skip('promtool is not installed (Debian: prometheus)');
    expect((await promtool('check', 'rules', 'alerts.yaml')).stdout).toContain(`${rules.length} rules found`);
    expect((await promtool('test', 'rules', 'alerts.test.yaml')).stdout).toContain('SUCCESS');
  });
});

/** The labels of a metric by the table of the page. */
function rowOf(metric: string): string[] {
  const row = page.split('\n').find((line) => line.startsWith(`| \`${metric}\` |`));
  return (row?.split(' | ')[1] ?? '').split(', ').map((label) => label.trim());
}

describe('the page', () => {
  it('has every metric of the broker, and no other', () => {
    const own = [...metrics.keys()].filter((name) => name.startsWith('countersign_'));
    expect(listedIn(page, 'metric').toSorted()).toEqual(own.toSorted());
  });

  it('has the labels that the broker writes', () => {
    for (const [name, labels] of metrics) {
      if (!name.startsWith('countersign_')) continue;
      for (const label of labels) if (label !== 'le') expect(rowOf(name), name).toContain(label);
    }
  });

  it('explains problem codes that there are', () => {
    const codes = listedIn(page, 'code').flatMap((cell) => cell.split(', '));
    expect(codes.length).toBeGreaterThan(4);
    for (const code of codes) expect(Object.keys(PROBLEMS)).toContain(code);
  });
});

it('what cannot be read is left out of the metrics, and the others are still there', async () => {
  const fail = async (): Promise<never> => {
    throw new Error('database disk image is malformed');
  };
  const { text } = createMetrics({
    openRequests: fail,
    activeFreezes: () => 2,
    unknownOperations: () => 0,
    calls: () => [],
    wal: () => ({ bytes: 0, blocked_ms: 0, checkpoints: {} }),
    writesRefused: async () => 'store_damaged',
    logSize: fail,
    logIsIntact: () => true,
    streams: () => [{ kind: 'flags', open: 1, opened: 1, refused: 1, cut_off: 1 }],
    snapshots: { published: fail, relays: fail, receipts: fail },
    evaluations: () => ({ waiting: 0, shortened: 0 }),
  });
  const lines = (await text()).split('\n');
  expect(lines).toContain('countersign_active_freezes 2');
  expect(lines).toContain('countersign_writes_refused{code="store_damaged"} 1');
  expect(lines.filter((line) => /^countersign_(?:open_requests|log_records)/.test(line))).toEqual([]);
});
