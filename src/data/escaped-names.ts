/**
 * Names of members in which a character that needs no escape is written as one (`"organizatio\u006e"`). No serialiser
 * does that, and V8's JSON parser can misread an escaped name: it takes it for one that ends in a backslash and was
 * parsed earlier, in a document of somebody else. A name without escapes is never misread, and what an escaped one is
 * misread as has a backslash. So where such names are refused, nothing that an attribute may be called is ever lost or
 * invented, and names that have to be escaped, which no rule can name, pass as they are.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const SPACES: ReadonlySet<number | undefined> = new Set([0x20, 0x09, 0x0a, 0x0d]);

/** The four digits of an escape for a letter, a digit, an underscore or a hyphen: what attributes may be called. */
const PLAIN_CHARACTER = /^00(?:2d|3[0-9]|[46][1-9a-f]|[57][0-9a]|5f)$/i;

/** A string literal: where it ends, and whether it has an escape that it does not need. */
interface Literal {
  /** The place after the closing quote. */
  end: number;
  isOdd: boolean;
}

function readLiteral(json: Buffer, start: number): Literal {
  let isOdd = false;
  let place = start + 1;
  while (place < json.length && json[place] !== QUOTE) {
    if (json[place] !== BACKSLASH) {
      place += 1;
      continue;
    }
    const isUnicode = json[place + 1] === 0x75;
    isOdd ||= isUnicode && PLAIN_CHARACTER.test(json.toString('latin1', place + 2, place + 6));
    place += 2;
  }
  return { end: place + 1, isOdd };
}

function isName(json: Buffer, end: number): boolean {
  let place = end;
  while (SPACES.has(json[place])) place += 1;
  return json[place] === COLON;
}

/**
 * True when some member's name writes a letter, a digit, an underscore or a hyphen as an escape. Looks at each byte
 * once, and takes any bytes: whether they are JSON is for the parser to say afterwards.
 */
export function hasNeedlessEscapeInName(json: Buffer): boolean {
  if (!json.includes(BACKSLASH)) return false;
  let place = json.indexOf(QUOTE);
  while (place !== -1) {
    const { end, isOdd } = readLiteral(json, place);
    if (isOdd && isName(json, end)) return true;
    place = json.indexOf(QUOTE, end);
  }
  return false;
}
