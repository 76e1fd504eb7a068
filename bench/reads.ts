import { type Bench, compare, job, MOST_CLIENTS, type Side } from './bench.ts';
import { startChild } from './child.ts';
import { askOnce, formRequest } from './connection.ts';
import { contextOf, toggleFlag } from './flags.ts';
import { openGenerator } from './generator.ts';
import type { Server } from './measure.ts';
import { BASE, exchangeToken, startBrokerProcess } from './prepare.ts';
import { ALL_FLAGS, BARE_FLOOR, BROKER, FLAGD, ONE_FLAG, OPA, UNCHANGED } from './ratios.ts';
import { COMPARISON } from './table.ts';

const PATH = '/ofrep/v1/evaluate/flags';

/** What a side is asked by each client, in turn. */
interface Questions {
  requests: readonly string[];
  status: number;
}

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

  const one = ask((client) => ({ path: `${PATH}/${toggleFlag(client)}`, body: contextOf(client), token }));
  const sides = [
    side(BROKER, broker, one),
    side(BARE_FLOOR, floor, one),
    ...(flagd === null ? [] : [side(FLAGD, flagd, one)]),
    ...(opa === null ? [] : [side(OPA, opa, ask(opaQuestion))]),
  ];
  await compare(bench, { what: ONE_FLAG, load, sides });

  const all = ask((client) => ({ path: PATH, body: contextOf(client), token }));
  const both = async (questionsOf: (server: Server) => Promise<Questions>) => [
    side(BROKER, broker, await questionsOf(broker)),
    side(BARE_FLOOR, floor, await questionsOf(floor)),
  ];
  await compare(bench, { what: ALL_FLAGS, load, sides: await both(async () => all) });
  const unchanged = (server: Server) => askAgain(server, { path: PATH, token });
  await compare(bench, { what: UNCHANGED, load, sides: await both(unchanged) });

  await load.end();
  for (const server of [broker, floor, flagd, opa]) await server?.end();
}

/** One question a client. */
function ask(questionOf: (client: number) => Parameters<typeof formRequest>[0]): Questions {
  const clients = Array.from({ length: MOST_CLIENTS }, (_, client) => client);
  return { requests: clients.map((client) => formRequest(questionOf(client))), status: 200 };
}

function opaQuestion(client: number): Parameters<typeof formRequest>[0] {
  const input = { flag: toggleFlag(client), ...contextOf(client) };
  return { path: '/v1/data/flags/evaluation', token: null, body: { input } };
}

/** Asks once, and from then on for what has changed since. */
async function askAgain(
  server: Server,
  { path, token }: { path: string; token: string },
): Promise<Questions> {
  const { url } = await server.ask({});
  const requests: string[] = [];
  for (let client = 0; client < MOST_CLIENTS; client += 1) {
    const question = { path, token, body: contextOf(client) };
    const { head } = await askOnce(url, formRequest(question));
    const tag = /\r\netag: ([^\r]+)/i.exec(head)?.[1];
    if (tag === undefined) throw new Error(`an answer without a tag: ${head}`);
    requests.push(formRequest({ ...question, headers: `If-None-Match: ${tag}\r\n` }));
  }
  return { requests, status: 304 };
}
