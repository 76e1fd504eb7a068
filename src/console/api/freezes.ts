/*
 * Every answer names the freezes that its caller may see. A change of that header is the first sign that one was engaged or
 * lifted, sooner than the list of freezes is read again.
 */

let last: string | null | undefined;
const listeners = new Set<() => void>();

/** Takes the header of an answer. */
export function noteFreezes(header: string | null): void {
  if (header === last) return;
  const isFirst = last === undefined;
  last = header;
  if (!isFirst) for (const listener of listeners) listener();
}

/** Calls back whenever the header changes. @returns what ends that */
export function onFreezesChanged(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
