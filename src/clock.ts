/** The one injected clock: epoch milliseconds. Everything that depends on time takes it as an argument. */
export type Clock = () => number;

/** The only reader of the machine's wall clock. */
export const systemClock: Clock = () => Date.now();
