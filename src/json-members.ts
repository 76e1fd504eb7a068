/** A string literal, or one of the characters that open, close or separate members. */
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\]:,]/g;

/**
 * True when some object in the JSON text has two members of the same name, compared after unescaping.
 * `JSON.parse` keeps the last one silently, other parsers keep the first: two readers would see two documents.
 *
 * @param text valid JSON; for anything else the answer means nothing
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
