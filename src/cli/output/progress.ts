import type { Io } from '../io.ts';

/** How far some work is. */
export interface Progress {
  show(done: number, of: number): void;
  /** Removes the bar. */
  end(): void;
}

/** Without a terminal, a line after so many. */
const LINE_EVERY = 25_600;
const BAR_WIDTH = 24;
/** A bar that is drawn more often shows nothing more. */
const DRAW_MS = 100;

/** A bar on a terminal, and otherwise a line now and then, on standard error. */
export function createProgress(io: Io, what: string): Progress {
  const isTerminal = io.columns !== null && io.columns !== undefined;
  let drawnMs = Number.NEGATIVE_INFINITY;
  let isDrawn = false;
  return {
    show: (done, of) => {
      if (!isTerminal) {
        if (done > 0 && done % LINE_EVERY === 0) io.stderr(`Verified ${done} of ${of} ${what}.\n`);
        return;
      }
      const nowMs = performance.now();
      if (nowMs - drawnMs < DRAW_MS) return;
      drawnMs = nowMs;
      isDrawn = true;
      io.stderr(`\r${bar(done, of)} ${done} of ${of} ${what}`);
    },
    end: () => {
      if (isDrawn) io.stderr('\r\u001b[K');
      isDrawn = false;
    },
  };
}

function bar(done: number, of: number): string {
  const filled = of === 0 ? BAR_WIDTH : Math.floor((Math.min(done, of) / of) * BAR_WIDTH);
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
}
