/** The states of requests that can still change. */
export const OPEN_STATES = ['pending', 'ready'] as const;
