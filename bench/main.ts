import { measureActivations } from './activations.ts';
import { measureBacktests } from './backtests.ts';
import { MOST_CLIENTS, type Pace } from './bench.ts';
import { startChild } from './child.ts';
import { measureCounts } from './counts.ts';
import { measureDecisions } from './decisions.ts';
import { measureDue } from './due.ts';
import { measureFilters } from './filters.ts';
import { measureIdentity } from './identity.ts';
import type { Measurement, Run } from './load.ts';
import { NO_PEERS, openPeers } from './peers/peers.ts';
import { prepare } from './prepare.ts';
import { measureReads } from './reads.ts';
import { measureRelay } from './relay.ts';
import { measureSeveral } from './several.ts';
import { setStage } from './stage.ts';
import { measureStored } from './stored.ts';
import { createReport } from './table.ts';
import { measureVerified } from './verified.ts';
import { measureFirstCalls, measureWrites } from './writes.ts';

/**
 * `make bench`: measures the product, and beside it, in the same run, bare floors of the same work. Prints tables and
 * keeps the last ones in `bench/last.md`, with the ratios first. Asserts nothing on time.
 *
 * `--peers` also measures what people would use otherwise. `--quick` measures shorter and once. Names of parts
 * (`counts`, `writes`, `several`, `first`, `stored`, `filters`, `verified`, `due`, `decisions`, `identity`, `reads`,
 * `relay`, `activations`, `backtests`) measure only those. Neither of the last two is kept.
 */
const OPTIONS = ['--quick', '--peers'];
const quick = process.argv.includes('--quick');
const named = process.argv.slice(2).filter((argument) => !OPTIONS.includes(argument));
const ROWS = {
  seeded: 100_000,
  listed: 1_000_000,
  verified: 100_000,
  due: 2000,
  ...{ relayFlags: 5000, streams: 1000, served: 200 },
};
const QUICK_ROWS = {
  seeded: 10_000,
  listed: 30_000,
  verified: 3000,
  due: 200,
  ...{ relayFlags: 400, streams: 200, served: 10 },
};
const PACE: Pace = quick
  ? { ...{ rounds: 1, clients: [8], warmUpMs: 500, settleMs: 200, measureMs: 600 }, ...QUICK_ROWS }
  : { ...{ rounds: 3, clients: [1, 8, 32], warmUpMs: 2500, settleMs: 500, measureMs: 1500 }, ...ROWS };

async function main(): Promise<void> {
  const report = createReport(Date.now());
  const stage = await setStage();
  const load = await startChild<Run, Measurement>('load.ts');
  try {
    const peers = process.argv.includes('--peers') ? await openPeers(stage, report) : NO_PEERS;
    const { toggledId } = await prepare(stage);
    const tokens = await stage.personTokens('dana', MOST_CLIENTS);
    const approverTokens = await stage.personTokens('alex', MOST_CLIENTS);
    const bench = { stage, load, report, pace: PACE, peers, tokens, approverTokens };
    const parts: Record<string, () => Promise<void>> = {
      counts: () => measureCounts(bench),
      writes: () => measureWrites(bench),
      several: () => measureSeveral(bench),
      first: () => measureFirstCalls(bench),
      stored: () => measureStored(bench, toggledId),
      filters: () => measureFilters(bench, toggledId),
      verified: () => measureVerified(bench),
      due: () => measureDue(bench),
      decisions: () => measureDecisions(bench),
      identity: () => measureIdentity(bench),
      reads: () => measureReads(bench),
      relay: () => measureRelay(bench),
      activations: () => measureActivations(bench),
      backtests: () => measureBacktests(bench, toggledId),
    };
    const unknown = named.filter((name) => parts[name] === undefined);
    if (unknown.length > 0) {
      throw new Error(`there is no part ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`);
    }
    for (const [name, measurePart] of Object.entries(parts)) {
      if (named.length === 0 || named.includes(name)) await measurePart();
    }
  } finally {
    await load.end();
    await stage.close();
  }
  report.finish();
  if (!quick && named.length === 0) report.save(new URL('last.md', import.meta.url));
}

await main();
