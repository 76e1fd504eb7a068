/** A string literal, or one of the characters that open, close or separate members. */
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\]:,]/g;

/**
 * True if an object in the JSON text has duplicate members, compared after unescaping. `JSON.parse` silently keeps the
 * last one, other parsers keep the first: two readers could see different documents.
 *
 * @param text valid JSON; otherwise the result is meaningless
 * @see RFC 8259 section 4, RFC 7515 section 4
 */
export function hasDuplicateMembers(text: string): boolean {
  const open: (Set<string> | null)[] = [];
  let last = '';
  for (const token of text.match(TOKENS) ?? []) {
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(null);
    else if (token === '}' || token === ']') open.pop();
    else if (token === ':') {
      const name: unknown = last.includes('\\') ? JSON.parse(last) : last.slice(1, -1);
      const members = open.at(-1);
      if (members && typeof name === 'string') {
        if (members.has(name)) return true;
        members.add(name);
      }
    }
    last = token;
  }
  return false;
}
