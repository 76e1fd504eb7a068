import { parentPort } from 'node:worker_threads';
import { SnapshotFault } from '../snapshot/fault.ts';
import type { BodyAnswer, BodyTask } from './body-thread.ts';
import { flagTexts } from './flag-texts.ts';

/* The thread that verifies large bodies. */

function answerTo({ bytes, name }: BodyTask): BodyAnswer {
  try {
    return { flags: flagTexts(Buffer.from(bytes), name) };
  } catch (error) {
    if (!(error instanceof SnapshotFault)) throw error;
    const { code, message } = error;
    return { fault: { code, message } };
  }
}

parentPort?.on('message', (task: BodyTask) => parentPort?.postMessage(answerTo(task)));
