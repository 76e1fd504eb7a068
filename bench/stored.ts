import { type Bench, job, MOST_CLIENTS } from './bench.ts';
import { megabytes, whole } from './figures.ts';
import { interleave, warmUp } from './measure.ts';
import { BASE, startBrokerProcess } from './prepare.ts';
import { copyRequest } from './rows.ts';
import { figures } from './table.ts';

/** The same broker on few rows and on many. */
export async function measureStored(bench: Bench, toggledId: unknown): Promise<void> {
  const { stage, report, load, pace } = bench;
  await stage.copyDatabase(BASE, 'few.db');
  await stage.copyDatabase(BASE, 'many.db');
  copyRequest(stage.file('many.db'), { requestId: toggledId, count: pace.seeded });
  const count = whole(pace.seeded);
  const servers = {
    few: await startBrokerProcess(stage, 'few.db'),
    [count]: await startBrokerProcess(stage, 'many.db'),
  };
  report.heading(
    'Stored data does not slow writes down',
    `The same broker on an empty database, and on one with ${count} requests, ${count} records and ${count} flag versions more.`,
  );
  report.header([
    '',
    'clients',
    'stored',
    'per second',
    'p50 ms',
    'p99 ms',
    'p99.9 ms',
    'CPU µs each',
    'start ms',
    'memory after',
  ]);
  for (const scenario of ['toggle', 'cycle'] as const) {
    const contestants = Object.entries(servers).map(([name, server]) => ({
      name,
      server,
      job: job(bench, scenario, MOST_CLIENTS),
    }));
    await warmUp(load, contestants, pace.warmUpMs);
    const measured = await interleave(load, pace.rounds, () => contestants);
    for (const [place, { name, server }] of contestants.entries()) {
      const result = measured[place];
      if (result === undefined) throw new Error(`${name} was not measured`);
      const { rssBytes } = await server.ask({});
      const about = [whole(server.startedMs), megabytes(rssBytes)];
      report.row([scenario, String(MOST_CLIENTS), name, ...figures(result), ...about]);
    }
  }
  await Promise.all(Object.values(servers).map((server) => server.end()));
}
