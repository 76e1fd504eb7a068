/** The separators that a `*` never crosses in repository paths, subjects and references. */
const SEPARATORS = /([/:@])/;

/** True when the pattern has a `*`. */
export function isGlob(pattern: string): boolean {
  return pattern.includes('*');
}

/**
 * True when the whole value matches the pattern. `*` matches any characters except `/`, `:` and `@`. Every other
 * character matches itself. No regular expression is built, so no pattern can be slow or unanchored.
 */
export function matchesGlob(pattern: string, value: string): boolean {
  const patternParts = pattern.split(SEPARATORS);
  const valueParts = value.split(SEPARATORS);
  // The separators are at the odd indexes, so they are compared like other text.
  return (
    patternParts.length === valueParts.length &&
    patternParts.every((part, index) => matchesPart(part, valueParts[index] ?? ''))
  );
}

function matchesPart(pattern: string, value: string): boolean {
  const [head = '', ...rest] = pattern.split('*');
  const tail = rest.pop();
  if (tail === undefined) return pattern === value;
  if (value.length < head.length + tail.length || !value.startsWith(head) || !value.endsWith(tail))
    return false;
  const end = value.length - tail.length;
  let at = head.length;
  for (const literal of rest) {
    const found = value.indexOf(literal, at);
    if (found === -1 || found + literal.length > end) return false;
    at = found + literal.length;
  }
  return true;
}
