/*
 * Search parameters as they come from an address, which anybody may have written: what they cannot mean is left out.
 */

/** A text, if there is one. */
export function textOf<Name extends string>(name: Name, value: unknown): { [N in Name]?: string } {
  // The router reads what looks like a number as one.
  const text = typeof value === 'number' ? String(value) : value;
  return typeof text === 'string' && text !== '' ? ({ [name]: text } as { [N in Name]: string }) : {};
}

/** One of a list of words, or whether something is so. */
export function oneOf<Name extends string, Word extends string | boolean>(
  name: Name,
  value: unknown,
  words: readonly Word[],
): { [N in Name]?: Word } {
  return words.includes(value as Word) ? ({ [name]: value } as { [N in Name]: Word }) : {};
}

/** A whole number of at least 1. */
export function countOf<Name extends string>(name: Name, value: unknown): { [N in Name]?: number } {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1
    ? ({ [name]: value } as { [N in Name]: number })
    : {};
}
