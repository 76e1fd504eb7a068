import { parentPort, workerData } from 'node:worker_threads';
import { askAccess } from './access.ts';
import { createEngine } from './engine.ts';
import { faultOf, type ProbeAnswer, type ProbeTask } from './probe.ts';

/*
 * The thread of a probe (`probe.ts`), which may be ended at any moment. It has no access to anything but its task.
 */

const { bundle, inputs, principal } = workerData as ProbeTask;
const answer = await probe().catch((error: unknown): ProbeAnswer => {
  return { fault: error instanceof Error ? error.message : String(error) };
});
parentPort?.postMessage(answer);

async function probe(): Promise<ProbeAnswer> {
  const engine = await createEngine(bundle);
  for (const { operation, input_json } of inputs) {
    const fault = faultOf(engine.evaluate(input_json));
    if (fault !== null) return { fault: `asked for ${operation}: ${fault}` };
  }
  askAccess([principal], engine.access);
  return { fault: null };
}
