import { parentPort, workerData } from 'node:worker_threads';
import { checkTables } from './file-check.ts';

/* The thread that checks a database for damage. */

checkTables(workerData as string, (message) => parentPort?.postMessage(message));
