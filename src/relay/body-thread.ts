import { Worker } from 'node:worker_threads';
import type { BodyName } from '../snapshot/body.ts';
import { SnapshotFault, type SnapshotFaultCode } from '../snapshot/fault.ts';
import { RelayFault } from './fault.ts';
import { type FlagTexts, flagTexts } from './flag-texts.ts';

/*
 * Verifies bodies while requests are answered: to read one with thousands of flags takes some tenths of a second, in which a thread
 * does nothing else. Small ones are read at once.
 */

/** What the thread is asked. */
export interface BodyTask {
  bytes: Uint8Array;
  name: BodyName;
}

/** What it answers. */
export type BodyAnswer = { flags: FlagTexts } | { fault: { code: SnapshotFaultCode; message: string } };

/** Verifies bodies. */
export interface BodyReader {
  /** @throws SnapshotFault, RelayFault if the thread fails */
  read(bytes: Buffer, name: BodyName): Promise<FlagTexts>;
  close(): Promise<void>;
}

/** Up to this size, to read a body takes about as long as to hand it over. */
const SMALL_BYTES = 128 * 1024;
/** After so long without one, the thread ends, and gives its memory back. */
const IDLE_MS = 120_000;
/** For the largest body. */
const DEADLINE_MS = 60_000;
const MAX_HEAP_MB = 1024;
/** What is thrown away soon is collected soon, so that the thread takes little memory. */
const YOUNG_MB = 4;

/**
 * Creates it. The thread begins with the first large body, and then waits for the next.
 *
 * @param start starts the thread
 */
export function createBodyReader(start: () => Worker = startWorker): BodyReader {
  let worker: Worker | null = null;
  /** One after the other: each answer belongs to the task before it. */
  let last: Promise<unknown> = Promise.resolve();

  let idle: NodeJS.Timeout | undefined;

  async function end(): Promise<void> {
    clearTimeout(idle);
    const ended = worker;
    worker = null;
    await ended?.terminate();
  }

  async function ask(task: BodyTask): Promise<FlagTexts> {
    clearTimeout(idle);
    worker ??= start();
    const asked = worker;
    const { promise, resolve, reject } = Promise.withResolvers<BodyAnswer>();
    const timer = setTimeout(() => reject(new Error('it took too long')), DEADLINE_MS);
    asked.once('message', resolve).once('error', reject);
    asked.once('exit', () => reject(new Error('it ended')));
    asked.postMessage(task);
    try {
      const answer = await promise;
      if ('flags' in answer) return answer.flags;
      throw new SnapshotFault(answer.fault.code, answer.fault.message);
    } catch (error) {
      if (error instanceof SnapshotFault) throw error;
      await end();
      throw new RelayFault('unreadable', `the thread that reads bodies failed: ${(error as Error).message}`, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
      // Without those of the library, which carry its messages.
      for (const event of ['message', 'error', 'exit']) asked.removeAllListeners(event);
      // One that fails while it waits is replaced by the next body, and ends nothing else.
      const forget = () => {
        if (worker === asked) worker = null;
      };
      asked.once('error', forget).once('exit', forget);
      idle = setTimeout(end, IDLE_MS).unref();
    }
  }

  return {
    read: async (bytes, name) => {
      if (bytes.length <= SMALL_BYTES) return flagTexts(bytes, name);
      const former = last;
      const { environment, version, digest } = name;
      const asking = former.then(() => ask({ bytes, name: { environment, version, digest } }));
      last = asking.catch(() => undefined);
      return asking;
    },
    close: end,
  };
}

function startWorker(): Worker {
  const worker = new Worker(workerFile(), {
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB, maxYoungGenerationSizeMb: YOUNG_MB },
    env: {},
    execArgv: [],
  });
  worker.unref();
  return worker;
}

/** The thread's file, which is TypeScript from a clone and JavaScript in the package. */
function workerFile(): URL {
  return new URL(`./body-worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url);
}
