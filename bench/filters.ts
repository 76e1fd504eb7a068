import { type Bench, job } from './bench.ts';
import { formRequest } from './connection.ts';
import { fixed, whole } from './figures.ts';
import { toggleFlag } from './flags.ts';
import { quantileMs } from './latency.ts';
import { BASE, startBrokerProcess } from './prepare.ts';
import { copyRequests } from './rows.ts';

/** How much of what is stored is about the flag that is asked for. */
const SHARE_OF_FLAG = 0.1;

/** A page of a list is answered within, in milliseconds. */
const PAGE_MS = 20;

/** What is asked, by whom, on many rows: each as its first page. */
const PAGES = [
  ['requests by flag', 'dana', `/v1/requests?flag=${toggleFlag(1)}`],
  ['requests by kind, none', 'dana', '/v1/requests?kind=freeze.lift'],
  ['decisions by flag', 'avery', `/v1/decisions?flag=${toggleFlag(1)}`],
  ['decisions by environment', 'avery', '/v1/decisions?environment=production'],
  ['decisions by operation, none', 'avery', '/v1/decisions?operation=freeze.engage'],
] as const;

/** Lists with filters, on a database with much in it. */
export async function measureFilters(bench: Bench, toggledId: unknown): Promise<void> {
  const { stage, report, load, pace } = bench;
  const ofFlag = Math.round(pace.listed * SHARE_OF_FLAG);
  await stage.copyDatabase(BASE, 'filters.db');
  copyRequests(stage.file('filters.db'), {
    requestId: toggledId,
    copies: [{ count: pace.listed - ofFlag }, { count: ofFlag, flag: toggleFlag(1) }],
    isWhole: false,
  });
  const broker = await startBrokerProcess(stage, 'filters.db');
  const { url } = await broker.ask({});
  const rows = `${whole(pace.listed)} requests and records`;
  report.heading(
    'Lists with filters',
    `The first page of each, asked again and again by one client, on ${rows}, of which ${whole(ofFlag)} are about the flag. What is named "none" has no hits.`,
  );
  report.header(['', 'per second', 'p50 ms', 'p99 ms']);
  for (const [what, who, path] of PAGES) {
    const [token = ''] = await stage.personTokens(who, 1);
    const requests = [formRequest({ method: 'GET', path, token, body: undefined })];
    const asked = { ...job(bench, 'fixed', 1), requests, url };
    await load.ask({ ...asked, measureMs: pace.settleMs });
    const { perSecond, latencies } = await load.ask(asked);
    const p99 = quantileMs(latencies, 0.99);
    report.row([what, whole(perSecond), fixed(quantileMs(latencies, 0.5), 2), fixed(p99, 2)]);
    report.measures([{ what: `${what}, p99 on ${rows}`, value: p99, unit: 'ms', aim: { atMost: PAGE_MS } }]);
  }
  await broker.end();
}
