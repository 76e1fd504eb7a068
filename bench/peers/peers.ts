import type { Server } from '../measure.ts';
import { FLAGD, OPA, UNLEASH, UNLEASH_PROXY } from '../ratios.ts';
import type { Stage } from '../stage.ts';
import type { Report } from '../table.ts';
import { installFlagd, startFlagd } from './flagd.ts';
import { installOpa, startOpaOnFlags, startOpaOnPolicy } from './opa.ts';
import { installUnleash, type RunningUnleash, startUnleash } from './unleash.ts';
import { installUnleashProxy, startUnleashProxy } from './unleash-proxy.ts';

/*
 * What people would use otherwise, measured in the same run. None of it is a dependency of the project: it is found on
 * the machine, or installed into `.cache/peers`.
 */

/** Starts each of them. Null: it was not asked for, or could not be had, and the report says so. */
export interface Peers {
  /** Unleash with PostgreSQL, with the flags of the toggles, and the token that may switch them. */
  unleash(): Promise<RunningUnleash | null>;
  /** OPA, which decides by the policy of the broker. */
  opaOnPolicy(): Promise<Server | null>;
  /** OPA, which evaluates flags by a policy of a few lines. */
  opaOnFlags(): Promise<Server | null>;
  flagd(): Promise<Server | null>;
  /** The proxy of Unleash, with as many flags as are asked for, each with one rule. */
  unleashProxy(flags: number): Promise<Server | null>;
}

const none = async () => null;

/** Measures no peers. */
export const NO_PEERS: Peers = {
  unleash: none,
  opaOnPolicy: none,
  opaOnFlags: none,
  flagd: none,
  unleashProxy: none,
};

/** Finds or installs each peer. The report names those that are skipped, with what they need. */
export async function openPeers(stage: Stage, report: Report): Promise<Peers> {
  /** One that cannot be had does not end the run of the others. */
  const tryTo = async <T>(name: string, work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      report.skip(name, error instanceof Error ? error.message : String(error));
      return null;
    }
  };
  const starting = <Installed, T>(
    name: string,
    installed: Installed | null,
    start: (installed: Installed) => Promise<T>,
  ) => (installed === null ? none : () => tryTo(name, () => start(installed)));

  const unleash = await tryTo(UNLEASH, installUnleash);
  const opa = await tryTo(OPA, installOpa);
  const flagd = await tryTo(FLAGD, installFlagd);
  const proxy = await tryTo(UNLEASH_PROXY, installUnleashProxy);
  return {
    unleash: starting(UNLEASH, unleash, startUnleash),
    opaOnPolicy: starting(OPA, opa, (program) => startOpaOnPolicy(program, stage)),
    opaOnFlags: starting(OPA, opa, (program) => startOpaOnFlags(program, stage)),
    flagd: starting(FLAGD, flagd, (program) => startFlagd(program, stage)),
    unleashProxy: async (flags) =>
      proxy === null ? null : tryTo(UNLEASH_PROXY, () => startUnleashProxy(proxy, flags)),
  };
}
