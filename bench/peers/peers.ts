import type { Server } from '../measure.ts';
import { FLAGD, OPA, UNLEASH } from '../ratios.ts';
import type { Stage } from '../stage.ts';
import type { Report } from '../table.ts';
import { installFlagd, startFlagd } from './flagd.ts';
import { installOpa, startOpaOnFlags, startOpaOnPolicy } from './opa.ts';
import { installUnleash, startUnleash } from './unleash.ts';

/*
 * What people would use otherwise, measured in the same run. None of it is a dependency of the project: it is found on
 * the machine, or installed into `.cache/peers`.
 */

/** Those that can be started; null for each that was not asked for, or could not be had. */
export interface Peers {
  /** Unleash with PostgreSQL, with the flags of the toggles, and the token that may switch them. */
  unleash: (() => Promise<{ server: Server; token: string }>) | null;
  /** OPA, which decides by the policy of the broker. */
  opaOnPolicy: (() => Promise<Server>) | null;
  /** OPA, which evaluates flags by a policy of a few lines. */
  opaOnFlags: (() => Promise<Server>) | null;
  flagd: (() => Promise<Server>) | null;
}

/** Measures no peers. */
export const NO_PEERS: Peers = { unleash: null, opaOnPolicy: null, opaOnFlags: null, flagd: null };

/** Finds or installs each peer. The report names those that are skipped, with what they need. */
export async function openPeers(stage: Stage, report: Report): Promise<Peers> {
  const unleash = await tryTo(report, UNLEASH, installUnleash);
  const opa = await tryTo(report, OPA, installOpa);
  const flagd = await tryTo(report, FLAGD, installFlagd);
  return {
    unleash: unleash === null ? null : () => startUnleash(unleash),
    opaOnPolicy: opa === null ? null : () => startOpaOnPolicy(opa, stage),
    opaOnFlags: opa === null ? null : () => startOpaOnFlags(opa, stage),
    flagd: flagd === null ? null : () => startFlagd(flagd, stage),
  };
}

async function tryTo<T>(report: Report, name: string, install: () => Promise<T>): Promise<T | null> {
  try {
    return await install();
  } catch (error) {
    report.skip(name, error instanceof Error ? error.message : String(error));
    return null;
  }
}
