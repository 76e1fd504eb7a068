import { type Bench, compare, job } from './bench.ts';
import { together } from './peers/outside.ts';
import { createFlags, startBrokerProcess } from './prepare.ts';
import { BROKER, SEVERAL } from './ratios.ts';
import { COMPARISON } from './table.ts';
import { unleashSide } from './writes.ts';

/** Governed writes of two brokers on one PostgreSQL server, beside unleash-server on the same server. */
export async function measureSeveral(bench: Bench): Promise<void> {
  const { stage, report, peers, pace, tokens, approverTokens } = bench;
  const unleash = await peers.unleash();
  // Who was asked for and could not be had is in the headline.
  if (unleash === null) return;
  const { server, addDatabase } = unleash.postgres;
  const database = { database: await addDatabase('countersign') };
  const first = await startBrokerProcess(stage, 'several.db', database);
  const { url } = await first.ask({});
  const [author = '', approver = ''] = [tokens[0], approverTokens[0]];
  await createFlags(url, { author, approver });
  const second = await startBrokerProcess(stage, 'several.db', database);
  report.heading(
    'Governed writes of two brokers on PostgreSQL',
    'A toggle on two brokers that share one database, each with half of the clients; unleash-server has its database on the same server, which counts for whoever is asked. One disk, no standby.',
  );
  report.header(COMPARISON);
  const brokers = {
    name: BROKER,
    server: together([server, first, second]),
    jobFor: (clients: number) => ({ ...job(bench, 'toggle', clients), others: [url] }),
  };
  const most = { ...bench, pace: { ...pace, clients: [Math.max(...pace.clients)] } };
  await compare(most, { what: SEVERAL, sides: [brokers, unleashSide(bench, unleash)] });
  await Promise.all([first.end(), second.end()]);
  await unleash.server.end();
}
