import { monitorEventLoopDelay } from 'node:perf_hooks';
import { startBroker } from '../src/broker.ts';
import { systemClock } from '../src/clock.ts';
import { loadConfig } from '../src/config.ts';
import { createLog } from '../src/logger.ts';
import { serve, usage } from './child.ts';
import type { Lateness } from './measure.ts';

/** How often the thread is looked at, in milliseconds. */
const RESOLUTION_MS = 5;

/** The real broker in a process of its own. Argument: its configuration file. */
const config = loadConfig({ file: process.argv[2], env: {} });
const broker = await startBroker({ config, clock: systemClock, log: createLog(config.log_level) });
broker.scheduler.start();
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
serve({ answer: async () => ({ url: broker.url, ...usage(), ...lateness() }), end: broker.close });

/** The histogram counts the pause between two looks, too. */
function lateness(): Lateness {
  const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  const found = { lateP99Ms: late(delay.percentile(99)), lateMaxMs: late(delay.max) };
  delay.reset();
  return found;
}
