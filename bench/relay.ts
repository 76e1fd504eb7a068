import { type Bench, compare, job, type Side } from './bench.ts';
import { startChild } from './child.ts';
import { CYCLE_FLAGS, contextOf, relayPreparations, TOGGLE_FLAGS, toggleFlag } from './flags.ts';
import { openGenerator } from './generator.ts';
import type { Server } from './measure.ts';
import { proxyQuestion } from './peers/unleash-proxy.ts';
import { BASE, createFlags, exchangeToken, startBrokerProcess } from './prepare.ts';
import { ask, askAgain, OFREP, type Questions } from './questions.ts';
import {
  BARE_FLOOR,
  FLAGD,
  RELAY,
  RELAY_ALL_FLAGS,
  RELAY_ONE_FLAG,
  RELAY_UNCHANGED,
  UNLEASH_PROXY,
} from './ratios.ts';
import { measureFollowing } from './relay-following.ts';
import { configureRelay, type RelaySetting, until } from './relay-process.ts';
import { COMPARISON } from './table.ts';

/** All flags of the comparison with the proxy of Unleash. */
const FLAGS = 350;
const ADDED = FLAGS - TOGGLE_FLAGS - CYCLE_FLAGS;

/** A relay that follows a broker: what applications ask it, how soon it has a change, and what it takes. */
export async function measureRelay(bench: Bench): Promise<void> {
  const { stage } = bench;
  await stage.copyDatabase(BASE, 'relay.db');
  const broker = await startBrokerProcess(stage, 'relay.db', { snapshots: { environments: ['production'] } });
  const { url } = await broker.ask({});
  const [author = '', approver = ''] = [bench.tokens[0], bench.approverTokens[0]];
  const addFlags = (from: number, to: number, toggles = 0) =>
    createFlags(url, { author, approver }, relayPreparations(from, to, toggles));
  await addFlags(0, ADDED, TOGGLE_FLAGS);
  const { start, renew } = await configureRelay(stage, url);
  const relay = await start();
  const token = () =>
    stage.ci.checkoutToken().then((subject) => exchangeToken(url, subject, 'data:production'));
  const setting: RelaySetting = { broker, relay, start, token: await token() };
  await until(async () => (await flagsAt(setting)) === FLAGS, 'the relay has all flags');

  await compareReads(bench, setting);
  // Tokens end after some minutes.
  await renew();
  await measureFollowing(bench, {
    ...setting,
    token: await token(),
    fill: async (flags) => {
      await addFlags(ADDED, ADDED + flags - FLAGS);
      await until(async () => (await flagsAt(setting)) === flags, `the relay has ${flags} flags`);
    },
  });
}

async function compareReads(bench: Bench, { relay, token }: RelaySetting): Promise<void> {
  const { report, peers } = bench;
  const floor: Server = await startChild('floor-http.ts');
  const flagd = await peers.flagd();
  const proxy = await peers.unleashProxy(FLAGS);
  const load = await openGenerator();
  report.heading(
    'Reads at a relay (OFREP)',
    `A relay in a process of its own, which follows the broker’s snapshots. One flag, all ${FLAGS} flags unchanged (304), and, beside @unleash/proxy, all ${FLAGS} flags, each for one context; nearly all have a rule. Bare node:http and flagd answer as under reads; @unleash/proxy has as many flags, each with one rule. The load is made by ${load.name}.`,
  );
  report.header([...COMPARISON.slice(0, -1), 'relay against it']);
  const side = (name: string, server: Server, questions: Questions): Side => ({
    name,
    server,
    jobFor: (clients) => ({ ...job(bench, 'fixed', clients), ...questions }),
  });

  const one = ask((client) => ({ path: `${OFREP}/${toggleFlag(client)}`, body: contextOf(client), token }));
  const others = [side(BARE_FLOOR, floor, one), ...(flagd === null ? [] : [side(FLAGD, flagd, one)])];
  await compare(bench, { what: RELAY_ONE_FLAG, load, sides: [side(RELAY, relay, one), ...others] });

  const question = { path: OFREP, token };
  const unchanged = [
    side(RELAY, relay, await askAgain(relay, question)),
    side(BARE_FLOOR, floor, await askAgain(floor, question)),
  ];
  await compare(bench, { what: RELAY_UNCHANGED, load, sides: unchanged });

  if (proxy !== null) {
    const all = [
      side(
        RELAY,
        relay,
        ask((client) => ({ ...question, body: contextOf(client) })),
      ),
      side(UNLEASH_PROXY, proxy, ask(proxyQuestion)),
    ];
    await compare(bench, { what: RELAY_ALL_FLAGS, load, sides: all });
  }

  await load.end();
  for (const server of [floor, flagd, proxy]) await server?.end();
}

/** How many flags a relay serves to a client. */
async function flagsAt({ relay, token }: RelaySetting): Promise<number> {
  const { url } = await relay.ask({});
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${url}${OFREP}`, { method: 'POST', headers });
  const { flags = [] } = (await response.json()) as { flags?: object[] };
  return flags.length;
}
