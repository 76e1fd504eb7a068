/*
 * Every answer names the freezes that its caller may see. A change of that header is the first sign that one was engaged or
 * lifted, sooner than the list of freezes is read again.
 */

let last: string | null | undefined;
const listeners = new Set<() => void>();

/** Takes the header of an answer. */
export function noteFreezes(header: string | null): void {
  if (header === last) return;
  last = header;
  for (const listener of listeners) listener();
}

/** What the last answer named; null for no freeze. */
export function namedFreezes(): string | null {
  return last ?? null;
}

/** Calls back whenever the header changes. @returns what ends that */
export function onFreezesChanged(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
