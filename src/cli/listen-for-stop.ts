import type { Io } from './io.ts';

/** The exit status of a forced stop: 128 plus the number of SIGINT. */
const FORCED = 130;

/** Handles signals without a gap: the first one resolves, every later one ends the process. */
export function listenForStop(io: Io): { first: Promise<void>; disarm: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isStopping = false;
  const disarm = io.onStopSignal(() => {
    if (isStopping) io.exit(FORCED);
    isStopping = true;
    resolve();
  });
  return { first: promise, disarm };
}
