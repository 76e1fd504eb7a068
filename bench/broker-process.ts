import { startBroker } from '../src/broker.ts';
import { systemClock } from '../src/clock.ts';
import { loadConfig } from '../src/config.ts';
import { createLog } from '../src/logger.ts';
import { serve, usage } from './child.ts';

/** The real broker in a process of its own. Argument: its configuration file. */
const config = loadConfig({ file: process.argv[2], env: {} });
const broker = await startBroker({ config, clock: systemClock, log: createLog(config.log_level) });
broker.scheduler.start();
serve({ answer: async () => ({ url: broker.url, ...usage() }), end: broker.close });
