import type { AnswerOf } from '../src/routes.ts';
import type { Bench } from './bench.ts';
import { megabytes, whole } from './figures.ts';
import { BASE, startBrokerProcess } from './prepare.ts';
import { copyRequest } from './rows.ts';

type Run = AnswerOf<'checkPolicy'>;

const PATCHES = [
  ['a limit, which changes no decision', '/config/limits/request_ttl_s', 1000],
  [
    'an approval, which changes about each',
    '/config/tiers/informational/production/raise/approvals',
    { 'flag-approver': 1 },
  ],
] as const;

/** Recorded decisions asked again under a candidate, as checks without a proposal. */
export async function measureBacktests(bench: Bench, toggledId: unknown): Promise<void> {
  const { stage, report, pace } = bench;
  await stage.copyDatabase(BASE, 'backtests.db');
  copyRequest(stage.file('backtests.db'), { requestId: toggledId, count: pace.seeded });
  const broker = await startBrokerProcess(stage, 'backtests.db');
  const { url, rssBytes: before } = await broker.ask({});
  const [token = ''] = await stage.personTokens('morgan', 1);
  report.heading(
    'Backtest of a policy',
    `A whole log of ${whole(pace.seeded)} recorded decisions and some, replayed against a candidate that differs by one row of data. Memory is of the whole process, with the thread and its policies.`,
  );
  report.header(['', 'decisions', 'changed', 'decisions per second', 'memory before', 'memory after']);
  for (const [name, path, value] of PATCHES) {
    const patch = [{ op: 'replace', path, value }];
    const { report: found, measured } = await checksOf(url, token, { patch, span: 'all' });
    const { rssBytes } = await broker.ask({});
    report.row([
      name,
      whole(found.backtest.decisions),
      whole(found.backtest.changed),
      whole(measured.decisions_per_s ?? 0),
      megabytes(before),
      megabytes(rssBytes),
    ]);
  }
  await broker.end();
}

async function checksOf(url: string, token: string, body: object): Promise<NonNullable<Run['result']>> {
  let run = await call(url, token, 'POST', '/v1/policy/checks', body);
  while (run.state === 'running') {
    await new Promise((resolve) => setTimeout(resolve, 250));
    run = await call(url, token, 'GET', `/v1/policy/checks/${run.id}`);
  }
  if (run.result === null) throw new Error(JSON.stringify(run.fault));
  return run.result;
}

async function call(url: string, token: string, method: string, path: string, body?: object): Promise<Run> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return JSON.parse(text) as Run;
}
