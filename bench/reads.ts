import { type Bench, compare, job, type Side } from './bench.ts';
import { startChild } from './child.ts';
import type { formRequest } from './connection.ts';
import { contextOf, toggleFlag } from './flags.ts';
import { openGenerator } from './generator.ts';
import type { Server } from './measure.ts';
import { BASE, exchangeToken, startBrokerProcess } from './prepare.ts';
import { ask, askAgain, OFREP, type Questions } from './questions.ts';
import { ALL_FLAGS, BARE_FLOOR, BROKER, FLAGD, ONE_FLAG, OPA, UNCHANGED } from './ratios.ts';
import { COMPARISON } from './table.ts';

/** What applications ask, beside bare `node:http` and what people would use otherwise. */
export async function measureReads(bench: Bench): Promise<void> {
  const { stage, report, peers } = bench;
  await stage.copyDatabase(BASE, 'reads.db');
  const broker = await startBrokerProcess(stage, 'reads.db');
  const floor: Server = await startChild('floor-http.ts');
  const flagd = await peers.flagd();
  const opa = await peers.opaOnFlags();
  const { url } = await broker.ask({});
  const token = await exchangeToken(url, await stage.ci.checkoutToken(), 'data:production');
  const load = await openGenerator();
  report.heading(
    'Reads (OFREP)',
    `One flag, all flags, and all flags unchanged (304), each for one context. Bare node:http parses the body and answers from memory, without token, evaluation or tag. flagd and OPA’s server evaluate a flag with one rule, without a token. The load is made by ${load.name}.`,
  );
  report.header(COMPARISON);
  const side = (name: string, server: Server, questions: Questions): Side => ({
    name,
    server,
    jobFor: (clients) => ({ ...job(bench, 'fixed', clients), ...questions }),
  });

  const one = ask((client) => ({ path: `${OFREP}/${toggleFlag(client)}`, body: contextOf(client), token }));
  const sides = [
    side(BROKER, broker, one),
    side(BARE_FLOOR, floor, one),
    ...(flagd === null ? [] : [side(FLAGD, flagd, one)]),
    ...(opa === null ? [] : [side(OPA, opa, ask(opaQuestion))]),
  ];
  await compare(bench, { what: ONE_FLAG, load, sides });

  const all = ask((client) => ({ path: OFREP, body: contextOf(client), token }));
  const both = async (questionsOf: (server: Server) => Promise<Questions>) => [
    side(BROKER, broker, await questionsOf(broker)),
    side(BARE_FLOOR, floor, await questionsOf(floor)),
  ];
  await compare(bench, { what: ALL_FLAGS, load, sides: await both(async () => all) });
  const unchanged = (server: Server) => askAgain(server, { path: OFREP, token });
  await compare(bench, { what: UNCHANGED, load, sides: await both(unchanged) });

  await load.end();
  for (const server of [broker, floor, flagd, opa]) await server?.end();
}

function opaQuestion(client: number): Parameters<typeof formRequest>[0] {
  const input = { flag: toggleFlag(client), ...contextOf(client) };
  return { path: '/v1/data/flags/evaluation', token: null, body: { input } };
}
