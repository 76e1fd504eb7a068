/** The one injected clock: epoch milliseconds. All code that depends on time takes it as an argument. */
export type Clock = () => number;

/** The only code that reads the machine's wall clock. */
export const systemClock: Clock = () => Date.now();
