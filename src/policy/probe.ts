import { Worker } from 'node:worker_threads';
import { askedName, OPERATION_NAMES, OPERATIONS } from '../operations.ts';
import type { Principal } from '../principal.ts';
import type { Bundle } from './bundle.ts';
import { BundleError } from './bundle-error.ts';
import type { BrokerData } from './data.ts';
import type { PolicyResult } from './decision.ts';
import type { EngineBundle } from './engine.ts';
import { INPUT_SCHEMA_VERSION } from './input.ts';
import type { InputVersions } from './input-versions.ts';
import type { Policy, Question } from './policies.ts';
import { createZoneClock, TZDB_VERSION } from './zones.ts';

/*
 * Evaluations run on the thread that answers everybody, and cannot be interrupted there. Therefore a bundle that somebody
 * sends is instantiated and asked in a thread of its own first, which is ended if it takes too long.
 */

/** Far longer than a sound bundle takes, on a busy machine too. */
const DEADLINE_MS = 15_000;

/** For the data as JavaScript values; the module's own memory is limited by `module.ts`. */
const MAX_HEAP_MB = 256;

/** What the thread gets. */
export interface ProbeTask {
  bundle: EngineBundle;
  /** One input for each operation. */
  inputs: readonly { operation: string; input_json: string }[];
  /** The principal to ask `countersign/access` about. */
  principal: Principal;
}

/** What the thread answers. */
export interface ProbeAnswer {
  fault: string | null;
}

/** Somebody whom no policy can know. */
const NOBODY: Principal = {
  id: 'person:probe:nobody',
  kind: 'person',
  person: 'nobody',
  issuer: 'https://probe.invalid',
  groups: [],
  claims: {},
  auth: { level: 1, acr: null, amr: [], auth_time_ms: null },
  token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null },
};

/**
 * Instantiates a bundle in a thread of its own, and asks it for each operation once.
 *
 * @param options.deadlineMs the time after which the thread is ended, in milliseconds; default 15 seconds
 * @throws BundleError if it does not load, does not answer in time, needs too much memory, fails, or answers something
 *   that is no decision
 */
export async function probeBundle(
  bundle: Bundle,
  inputs: InputVersions,
  { deadlineMs = DEADLINE_MS }: { deadlineMs?: number } = {},
): Promise<void> {
  const { hash, wasm, data, broker } = bundle;
  const workerData: ProbeTask = {
    bundle: { hash, wasm, data, broker },
    inputs: inputsOf(bundle, inputs),
    principal: NOBODY,
  };
  const worker = new Worker(workerFile(), {
    workerData,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    // Nothing of the broker's environment, and nothing that a module prints.
    env: {},
    execArgv: [],
    stdout: true,
    stderr: true,
  });
  const { fault } = await answerOf(worker, deadlineMs);
  if (fault !== null) throw new BundleError(`the policy was refused when it was tried: ${fault}`);
}

/**
 * Asks a policy for each operation once, where it was instantiated: for the first start, which nobody waits for.
 *
 * @throws BundleError if it answers something that is no decision
 */
export function assertDecides({ broker, decide }: Policy): void {
  for (const operation of OPERATION_NAMES) {
    const fault = faultOf(decide({ ...question(broker), operation }, 0));
    if (fault !== null)
      throw new BundleError(`the policy was refused when it was tried: asked for ${operation}: ${fault}`);
  }
}

/** What is wrong with an answer; null for a decision, and if there is none, which is a deny. */
export function faultOf({ reasons }: PolicyResult): string | null {
  const fault = reasons.find(({ code }) => code === 'policy_error' || code === 'policy_malformed');
  return fault === undefined ? null : fault.detail;
}

/** The thread's file, which is TypeScript from a clone and JavaScript in the package. */
function workerFile(): URL {
  return new URL(`./probe-worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url);
}

async function answerOf(worker: Worker, deadlineMs: number): Promise<ProbeAnswer> {
  const { promise, resolve } = Promise.withResolvers<ProbeAnswer>();
  const timer = setTimeout(
    () => resolve({ fault: `it did not answer within ${deadlineMs / 1000} seconds` }),
    deadlineMs,
  );
  worker.once('message', resolve);
  worker.once('error', (error: Error & { code?: string }) => {
    const isMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
    resolve({ fault: isMemory ? `it needs more than ${MAX_HEAP_MB} MB of memory` : error.message });
  });
  worker.once('exit', () => resolve({ fault: 'its thread ended without an answer' }));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}

function question({ environments }: BrokerData): Omit<Question, 'operation'> {
  const [environment] = environments;
  return {
    principal: NOBODY,
    environment: environment === undefined ? null : { key: environment[0], kind: environment[1].kind },
    namespace: null,
    request: null,
    approvals: [],
    rejections: [],
    emergency: { frozen: false, freezes: [], engage: null, breakglass: null, breakglass_recent: 0 },
  };
}

function inputsOf({ broker }: Bundle, versions: InputVersions): ProbeTask['inputs'] {
  const version = versions.get(broker.input_version);
  if (version === undefined) {
    throw new BundleError(`this broker does not support version ${broker.input_version} of the input`);
  }
  const zones = createZoneClock(broker.zones)(0);
  return OPERATION_NAMES.map((operation) => ({
    operation,
    input_json: JSON.stringify(
      version.from({
        schema_version: INPUT_SCHEMA_VERSION,
        operation: askedName(operation, broker.operations, OPERATIONS),
        ...question(broker),
        clock: { now_ms: 0, tzdb: TZDB_VERSION, zones },
      }),
    ),
  }));
}
